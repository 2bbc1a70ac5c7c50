"""Where the tests' material is, and how processes of their own find it."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "examples" / "sample.mkv"
SHARED = REPOSITORY.parent / "shared"
"""The developers' shared material; it may be absent."""
SUPPORT = REPOSITORY / "tests" / "support"
PROGRAMS = SUPPORT / "programs"
"""Scripts that tests run in processes of their own."""
IMPORTS = [str(REPOSITORY), str(SUPPORT)]
"""What such a process needs in its `sys.path`."""
PYTHONPATH = os.pathsep.join(IMPORTS)
