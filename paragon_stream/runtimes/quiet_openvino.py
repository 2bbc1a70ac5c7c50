"""OpenVINO without its telemetry.

`import openvino` sends "general_import" to a statistics server in a background thread, unless the package
`openvino_telemetry` cannot be imported. This module prevents that import.
"""

from __future__ import annotations

import sys

_blocked = "openvino_telemetry" not in sys.modules
if _blocked:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # makes its import fail

import openvino as ov  # noqa: E402

if _blocked:
    del sys.modules["openvino_telemetry"]

__all__ = ["ov"]
