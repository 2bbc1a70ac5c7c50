"""The folders of the tests' material, also for separate processes."""

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
"""The entries that such a process needs in `sys.path`."""
PYTHONPATH = os.pathsep.join(IMPORTS)
