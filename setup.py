"""What pyproject.toml cannot say: the CPU kernels are compiled, and the wheel is then one for this system.

Where they cannot be compiled the package is installed without them; `paragon-stream doctor` says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))
from paragon_stream.native.build import BuildFailed, build, library_file


class BuildWithKernels(build_py):
    def run(self) -> None:
        super().run()
        made = Path(self.build_lib) / "paragon_stream" / "native" / "lib" / library_file().name
        try:
            build(library_file() if self.editable_mode else made)
        except BuildFailed as failure:
            self.warn(f"installing without the CPU kernels: {failure}")


class WithLibrary(Distribution):
    def has_ext_modules(self) -> bool:
        """Files that are not for every system come with the Python files."""
        return True


class WheelOfThisSystem(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        """Any Python 3: the kernels do not use its ABI. Any system where there are no kernels."""
        folder = Path(self.get_finalized_command("build_py").build_lib)
        built = (folder / "paragon_stream/native/lib" / library_file().name).is_file()
        return "py3", "none", super().get_tag()[2] if built else "any"


setup(distclass=WithLibrary, cmdclass={"build_py": BuildWithKernels, "bdist_wheel": WheelOfThisSystem})
