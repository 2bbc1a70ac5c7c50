"""setuptools as the build backend, with a C++ compiler among the requirements of machines that have none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  (the hooks that pip calls)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bootstrap import COMPILER

from paragon_stream.native.build import compiler
from paragon_stream.native.forms import forms_of, machine


def _compiler_wanted() -> list[str]:
    return [COMPILER] if forms_of(machine()) and not compiler() else []


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_compiler_wanted()]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    return [*build_meta.get_requires_for_build_editable(config_settings), *_compiler_wanted()]
