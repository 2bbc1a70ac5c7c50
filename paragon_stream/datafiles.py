"""The folders of data files: shipped weights (`engines`) and scripts (`filters`).

In a checkout they are at the top of the repository; in a wheel they are inside the package, under `_data`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: Literal["engines", "filters"]) -> Path:
    """The folder `name` of the installed package, else of the checkout that contains this file.

    The folder may be missing if an installation was reduced.
    """
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
