"""The shape of samples is told of the right frames, however many threads decode them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from clips import in_one_stream, make_clip

from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.decode.sample_aspects import AspectLog

WIDE, NARROW = Fraction(4, 3), Fraction(1)


@pytest.mark.parametrize("threads", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"preset": "ultrafast", "bf": "3", "g": "25"}),
        ("libx264", {"preset": "ultrafast", "g": "1"}),
        ("mpeg2video", {"bf": "2", "g": "9"}),
        ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:bframes=3"}),
    ],
)
def test_of_every_frame(tmp_path: Path, codec: str, options: dict[str, str], threads: int) -> None:
    parts = []
    for number, aspect in enumerate((NARROW, WIDE, NARROW)):
        begin = 40 * number
        path = tmp_path / f"{number}.ts"
        parts.append(
            make_clip(
                path,
                width=64,
                height=48,
                codec=codec,
                options=options,
                sar=aspect,
                pts=list(range(begin, begin + 30)),
            )
        )
    clip = in_one_stream(tmp_path / "in.ts", parts)
    for quantisers in (False, True):
        decoder = Decoder(clip, 0, threads=threads, quantisers=quantisers)
        found = [decoder.aspect(frame) for frame in decoder]
        decoder.close()
        assert found == [NARROW] * 30 + [WIDE] * 30 + [NARROW] * 30


def test_frames_that_are_shown_before_a_key_frame_decoded_earlier() -> None:
    log = AspectLog(frame_threads=False)
    for serial in range(4):
        log.sent(serial, serial % 2 == 0)
        log.decoded([], WIDE if serial >= 2 else NARROW)
    assert [log.of(serial) for serial in (0, 1, 2, 3)] == [NARROW, NARROW, WIDE, WIDE]
    assert AspectLog(frame_threads=True).of(3) is None
