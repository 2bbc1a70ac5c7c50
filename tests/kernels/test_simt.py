"""The emulated GPU instructions against the text of NVIDIA's PTX manual; and the arithmetic of GELU."""

from __future__ import annotations

import ctypes
import math

import numpy as np
from emulator import build
from numpy.typing import NDArray

from paragon_stream.framejob.cuda.source import gelu_constants, kernel_text
from paragon_stream.framejob.cuda.weights import fragments

HARNESS = """
#include "host_simt.h"
{kernels}
extern "C" const char* launch(const char*, int grid_x, int grid_y, int threads, int shared_bytes, int order,
                              int fill, const uint64_t* arguments) {{
    return launch_kernel(*typed(kernel), grid_x, grid_y, threads, shared_bytes, order, fill, arguments);
}}
"""


def launch(kernels: str, threads: int, *arrays: NDArray, shared: int = 0, order: int = 0) -> str | None:
    words = (ctypes.c_uint64 * len(arrays))(*(array.ctypes.data for array in arrays))
    said = build(HARNESS.format(kernels=kernels)).launch(b"", 1, 1, threads, shared, order, 255, words)
    return said.decode() if said else None


MULTIPLY = """
KERNEL(kernel, 32, 1)(const unsigned* a, const unsigned* b, float* c) {
    int lane = thread_index();
    half2 left[4] = {a[4 * lane], a[4 * lane + 1], a[4 * lane + 2], a[4 * lane + 3]};
    float sum[4] = {c[4 * lane], c[4 * lane + 1], c[4 * lane + 2], c[4 * lane + 3]};
    multiply_add(sum, left, make_uint2(b[2 * lane], b[2 * lane + 1]));
    for (int i = 0; i < 4; ++i) c[4 * lane + i] = sum[i];
}
"""


def a_place(lane: int, i: int) -> tuple[int, int]:
    """PTX ISA 9.7.14.5.8, mma.m16n8k16, .f16 A: row and column of element a_i of a thread."""
    group_id, thread_id_in_group = lane >> 2, lane % 4
    row = group_id if 0 <= i < 2 or 4 <= i < 6 else group_id + 8
    column = thread_id_in_group * 2 + (i & 1) + (0 if i < 4 else 8)
    return row, column


def b_place(lane: int, i: int) -> tuple[int, int]:
    group_id, thread_id_in_group = lane >> 2, lane % 4
    return thread_id_in_group * 2 + (i & 1) + (0 if i < 2 else 8), group_id


def c_place(lane: int, i: int) -> tuple[int, int]:
    group_id, thread_id_in_group = lane >> 2, lane % 4
    return group_id if i < 2 else group_id + 8, thread_id_in_group * 2 + (i & 1)


def test_multiply_add_is_a_matrix_product() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((16, 16)).astype(np.float16), rng.standard_normal((16, 8)).astype(np.float16)
    c = rng.standard_normal((16, 8)).astype(np.float32)
    lanes = range(32)
    left = np.array([[a[a_place(lane, i)] for i in range(8)] for lane in lanes])
    right = np.array([[b[b_place(lane, i)] for i in range(4)] for lane in lanes])
    sums = np.array([[c[c_place(lane, i)] for i in range(4)] for lane in lanes])
    np.testing.assert_array_equal(fragments(b.astype(np.float64)), right)  # what the weights are packed by
    assert launch(MULTIPLY, 32, left.view(np.uint32), right.view(np.uint32), sums) is None
    wanted = a.astype(np.float64) @ b.astype(np.float64) + c
    got = np.zeros((16, 8))
    for lane in lanes:
        for i in range(4):
            got[c_place(lane, i)] = sums[lane, i]
    np.testing.assert_allclose(got, wanted, atol=1e-6)


RACE = """
KERNEL(kernel, 64, 1)(unsigned* out) {
    SHARED_MEMORY(shared);
    unsigned* cell = reinterpret_cast<unsigned*>(shared);
    cell[thread_index()] = thread_index();
    %s
    out[thread_index()] = cell[(thread_index() + 33) %% 64];
}
"""


def test_the_emulator_sees_races() -> None:
    """A missing barrier changes the result with the order of threads; a present one does not."""
    for barrier, alike in (("", False), ("sync_warp();", False), ("sync_block();", True)):
        results = []
        for order in range(3):
            out = np.zeros(64, np.uint32)
            assert launch(RACE % barrier, 64, out, shared=256, order=order) is None
            results.append(tuple(out))
        assert (len(set(results)) == 1) is alike


def test_the_emulator_sees_writes_outside_of_shared_memory() -> None:
    out = np.zeros(64, np.uint32)
    assert "outside of shared memory" in str(launch(RACE % "sync_block();", 64, out, shared=240))


DIVERGED = """
KERNEL(kernel, 32, 1)(unsigned* out) {
    if (thread_index() < 16) sync_warp();
    else out[thread_index()] = from_below(1u, 1);
}
"""


def test_the_emulator_sees_warps_that_part() -> None:
    assert "not together" in str(launch(DIVERGED, 32, np.zeros(32, np.uint32)))


GELU = """
KERNEL(kernel, 32, 1)(unsigned* values) {
    for (int i = thread_index(); i < 32768; i += 32) values[i] = gelu2(values[i]);
}
"""


def test_gelu_of_every_half() -> None:
    values = np.arange(65536, dtype=np.uint16)
    x = values.view(np.float16).astype(np.float64)
    text = "\n".join([*gelu_constants(), kernel_text("gelu.cuh"), GELU])
    assert launch(text, 32, values) is None
    got = values.view(np.float16).astype(np.float64)
    finite = np.isfinite(x)
    exact = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x[finite]])
    error = np.abs(got[finite] - exact)
    assert error[np.abs(x[finite]) < 4].max() <= 1.1e-3
    assert error[x[finite] < 0].max() <= 5.1e-4
    large = x[finite] >= 4
    np.testing.assert_array_less(error[large] / exact[large], 2**-11 + 1.3e-4)
