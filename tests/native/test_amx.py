"""The form for AMX: everything around its instructions by an emulation, and the instructions in Bochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bare_form import compute_bare
from emulated_form import HOSTS, emulated, form
from native_material import CASES, computed, make_job, noise

from paragon_stream.native.library import Kernels, kernels, missing


@pytest.fixture(scope="module")
def vectors() -> Kernels:
    """The form with the same arithmetic in vectors."""
    found = [] if missing() else [each for each in kernels() if each.form is HOSTS["amx_bf16"]]
    if not found:
        pytest.skip("this CPU has no AVX-512 BF16, or there are no kernels")
    return found[0]


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The form for AMX with instructions that this processor has in place of AMX's."""
    return emulated("amx_bf16", tmp_path_factory.mktemp("amx"))


@pytest.mark.parametrize(("variant", "scale", "pixels", "size"), CASES)
def test_tiles_compute_what_vectors_do(
    vectors: Kernels, tiles: Kernels, variant: str, scale: int, pixels: str, size: tuple[int, int]
) -> None:
    job = make_job(variant, scale, pixels, size)
    planes = noise(job)
    results = [computed(job, chosen, planes, 0.5) for chosen in (vectors, tiles)]
    for got, wanted in zip(results[1], results[0], strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.slow
def test_the_instructions_compute_what_vectors_do(tmp_path: Path) -> None:
    """Both forms in the emulator, whose bf16 rounds in another way than a Zen 4's."""
    jobs = [make_job(*case) for case in CASES]
    frames = [(job, noise(job), 0.5) for job in jobs]
    by_tiles, by_vectors = (
        compute_bare(chosen, 8, frames, tmp_path / chosen.name)
        for chosen in (form("amx_bf16"), HOSTS["amx_bf16"])
    )
    for job, got, wanted in zip(jobs, by_tiles, by_vectors, strict=True):
        shift = job.target.pixel_format.shift
        for one, other in zip(got, wanted, strict=True):
            apart = np.abs((one >> shift).astype(int) - (other >> shift).astype(int))
            assert apart.max() <= 1 and np.mean(apart > 0) < 0.05
            assert one.std() > 0 or one.size < 16
