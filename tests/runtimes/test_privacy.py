"""Nothing phones home."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, threading
from paragon_stream.runtimes import runtime
runtime("openvino")
print([t.name for t in threading.enumerate()], "openvino" in sys.modules, "openvino_telemetry" in sys.modules)
"""


def test_openvino_starts_without_its_telemetry() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "['MainThread'] True False"
