"""Where the files that travel with the package lie: shipped weights (`engines`) and scripts (`filters`).

In a checkout they stand at the top of the repository; a wheel carries them inside the package, under `_data`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: Literal["engines", "filters"]) -> Path:
    """The folder `name`, of the installed package if it has one, else of the checkout this file stands in.

    The folder is not promised to exist: an installation may have been stripped of it.
    """
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
