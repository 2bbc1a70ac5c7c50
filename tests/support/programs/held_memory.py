"""Memory held after 10, 40 and 70 frames of one session: `python held_memory.py ENGINE`.

Run by test_contract in a process of its own: in the tests' own one, the heap of a hundred other tests is
spread out and given back at its own times.
"""

from __future__ import annotations

import gc
import json
import sys

import psutil
from session_material import frames, make_job

from paragon_stream.framejob import allocate_planes
from paragon_stream.runtimes import SessionOptions, runtime


def main(engine: str) -> None:
    job = make_job(160, 120)
    inputs, outputs = frames(job, 1)[0], allocate_planes(job.target)
    session, held = runtime(engine).compile(job, SessionOptions(threads=1)), []
    for count in (10, 30, 30):
        for _ in range(count):
            session.run(inputs, outputs).wait()
        gc.collect()
        held.append(psutil.Process().memory_info().rss)
    session.close()
    frame = sum(plane.nbytes for plane in (*inputs, *outputs))
    print(json.dumps({"held": held, "frame": frame}))


if __name__ == "__main__":
    main(sys.argv[1])
