"""NEON's form of the kernels, compiled for ARM and run under qemu-user, against this processor's form."""

from __future__ import annotations

import numpy as np
import pytest
from foreign_form import ForeignForm
from native_material import computed, make_job, noise

from paragon_stream.native.forms import forms_of
from paragon_stream.native.library import kernels, missing

CASES = [
    ("realtime", 2, "yuv420p", (97, 61)),
    ("realtime", 3, "yuv422p10le", (33, 17)),
    ("realtime", 4, "rgb24", (17, 9)),
    ("realtime", 2, "p010le", (64, 48)),
    ("realtime", 2, "yuva420p", (1, 1)),
    ("stream", 2, "yuv420p", (61, 33)),
    ("stream", 2, "yuv444p16le", (19, 12)),
]


@pytest.fixture(scope="module")
def neon(tmp_path_factory: pytest.TempPathFactory) -> ForeignForm:
    if reason := missing():
        pytest.skip(reason)
    form = next(each for each in forms_of("aarch64") if each.precision == "fp32")
    return ForeignForm(form, tmp_path_factory.mktemp("neon"))


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "scale", "pixels", "size"), CASES)
def test_neon_computes_the_same(
    neon: ForeignForm, variant: str, scale: int, pixels: str, size: tuple[int, int]
) -> None:
    job = make_job(variant, scale, pixels, size)
    planes = noise(job)
    expected = computed(job, kernels()[0], planes, 0.5)
    shift = job.target.pixel_format.shift
    for got, wanted in zip(neon.compute(job, planes, 0.5), expected, strict=True):
        apart = np.abs((got >> shift).astype(int) - (wanted >> shift).astype(int))
        assert apart.max() <= 1 and np.mean(apart > 0) < 0.001
