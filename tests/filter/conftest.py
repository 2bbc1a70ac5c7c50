"""Everything here needs VapourSynth; without it, the whole folder is left out."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("vapoursynth") else ["test_*.py"]
