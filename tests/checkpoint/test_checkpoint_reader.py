"""Reading checkpoint files: safetensors and torch archives, and everything that must be refused."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from paragon_stream.checkpoint.reader import read_checkpoint
from paragon_stream.errors import CheckpointError


class Storage:
    """Stands for a torch storage while a pickle is written."""

    def __init__(self, key: str, kind: type, values: np.ndarray) -> None:
        self.key, self.kind, self.values = key, kind, values


class Reduced:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@contextmanager
def fake_torch() -> Iterator[types.ModuleType]:
    """Just enough of torch's names to write what torch.save writes."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "HalfStorage", "BFloat16Storage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild(*_: Any) -> None: ...

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    rebuild.__name__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    kept = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules |= {"torch": torch, "torch._utils": utils}
    try:
        yield torch
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def torch_archive(content: Any, storages: list[Storage], **members: bytes) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, Storage):
                return "storage", value.kind, value.key, "cpu", value.values.size
            return None

    pickled = io.BytesIO()
    Pickler(pickled, 2).dump(content)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("weights/data.pkl", pickled.getvalue())
        file.writestr("weights/byteorder", members.pop("byteorder", b"little"))
        for storage in storages:
            file.writestr(f"weights/data/{storage.key}", storage.values.tobytes())
    return archive.getvalue()


def one_tensor(
    torch: types.ModuleType,
    *,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int = 0,
    count: int = 12,
) -> tuple[Any, Storage]:
    storage = Storage("0", torch.FloatStorage, np.arange(count, dtype=np.float32))
    tensor = Reduced(
        sys.modules["torch._utils"]._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict()
    )
    return tensor, storage


def test_torch_archive_with_wrapper_prefix_and_strides() -> None:
    with fake_torch() as torch:
        tensor, storage = one_tensor(torch, size=(3, 4), stride=(1, 3))
        wrapped = {"params_ema": OrderedDict({"module._orig_mod.conv_in.weight": tensor}), "params": {}}
        data = torch_archive(wrapped, [storage])
    tensors, metadata = read_checkpoint(data)
    assert metadata == {}
    np.testing.assert_array_equal(tensors["conv_in.weight"], np.arange(12).reshape(4, 3).T)
    assert tensors["conv_in.weight"].dtype == np.float32


@pytest.mark.parametrize("kind", ["HalfStorage", "BFloat16Storage"])
def test_torch_archive_of_16_bit_floats(kind: str) -> None:
    values = np.array([1.5, -0.25, 3.0], np.float32)
    with fake_torch() as torch:
        words = (
            values.astype(np.float16)
            if kind == "HalfStorage"
            else (values.view(np.uint32) >> 16).astype("<u2")
        )
        storage = Storage("7", getattr(torch, kind), words)
        tensor = Reduced(
            sys.modules["torch._utils"]._rebuild_tensor_v2, storage, 0, (3,), (1,), False, OrderedDict()
        )
        data = torch_archive({"x": tensor}, [storage])
    np.testing.assert_array_equal(read_checkpoint(data)[0]["x"], values)


def test_pickle_runs_nothing(tmp_path: Any) -> None:
    target = tmp_path / "proof"
    with fake_torch():
        data = torch_archive({"x": Reduced(open, str(target), "w")}, [])
    with pytest.raises(CheckpointError, match=r"io\.open.*not loaded for safety"):
        read_checkpoint(data)
    assert not target.exists()


@pytest.mark.parametrize(
    ("size", "stride", "offset", "says"),
    [
        ((4, 4), (4, 1), 0, "beyond"),
        ((3, 4), (4, 1), 1, "beyond"),
        ((3,), (-1,), 5, "impossible"),
        ((2, 2), (1,), 0, "impossible"),
    ],
)
def test_tensor_outside_its_storage(size: Any, stride: Any, offset: int, says: str) -> None:
    with fake_torch() as torch:
        tensor, storage = one_tensor(torch, size=size, stride=stride, offset=offset)
        data = torch_archive({"x": tensor}, [storage])
    with pytest.raises(CheckpointError, match=says):
        read_checkpoint(data)


def test_storage_cut_off() -> None:
    with fake_torch() as torch:
        tensor, storage = one_tensor(torch, size=(12,), stride=(1,))
        short = Storage("0", torch.FloatStorage, np.arange(5, dtype=np.float32))
        data = torch_archive({"x": tensor}, [short])
        assert storage.key == short.key
    with pytest.raises(CheckpointError, match="storage 0 is cut off"):
        read_checkpoint(data)


def test_real_torch_file(tmp_path: Any) -> None:
    torch = pytest.importorskip("torch")
    values = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    torch.save(
        {"params": {"a.weight": values.transpose(0, 2), "b": values[1].to(torch.bfloat16)}},
        tmp_path / "x.pth",
    )
    tensors, _ = read_checkpoint((tmp_path / "x.pth").read_bytes())
    np.testing.assert_array_equal(tensors["a.weight"], values.transpose(0, 2).numpy())
    np.testing.assert_array_equal(tensors["b"], values[1].numpy())


def test_safetensors_with_metadata_scalars_and_wide_types() -> None:
    data = safetensors.numpy.save(
        {"gain": np.array(0.5, np.float64), "n": np.array([3], np.int64), "h": np.ones((2, 2), np.float16)},
        metadata={"upsampler_alpha": "0.3"},
    )
    tensors, metadata = read_checkpoint(data)
    assert metadata == {"upsampler_alpha": "0.3"}
    assert tensors["gain"].shape == () and tensors["gain"] == 0.5
    assert all(tensor.dtype == np.float32 for tensor in tensors.values())


def test_safetensors_bfloat16() -> None:
    words = (np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16).astype("<u2")
    header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    data = len(header).to_bytes(8, "little") + header + words.tobytes()
    np.testing.assert_array_equal(read_checkpoint(data)[0]["x"], [1.5, -2.0])


def test_early_spelling_of_the_base_path() -> None:
    data = safetensors.numpy.save({"base.blur.conv_h.weight": np.ones((3, 1, 1, 5), np.float32)})
    assert list(read_checkpoint(data)[0]) == ["base.blur.h.weight"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite(bad: float) -> None:
    with pytest.raises(CheckpointError, match=r"tensor conv_in\.bias holds NaN or infinity"):
        read_checkpoint(safetensors.numpy.save({"conv_in.bias": np.array([0, bad], np.float32)}))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "neither"),
        (b"hello world, this is text", "neither"),
        (b"PK\x03\x04 not a zip", "not a torch archive"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{", "damaged safetensors"),
        (safetensors.numpy.save({"x": np.ones(4, np.float32)})[:-3], "damaged safetensors"),
        (safetensors.numpy.save({}), "no tensors"),
        (safetensors.numpy.save({"module.x": np.ones(1), "x": np.ones(1)}), "tensor x twice"),
    ],
)
def test_refused(data: bytes, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_checkpoint(data)


def test_training_state_is_refused_by_name() -> None:
    with fake_torch():
        data = torch_archive({"params": {"iteration": 3}}, [])
    with pytest.raises(CheckpointError, match="'iteration'"):
        read_checkpoint(data)
    with fake_torch():
        data = torch_archive([1, 2], [])
    with pytest.raises(CheckpointError, match="no state dict"):
        read_checkpoint(data)


def test_other_zip_files() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("mimetype", "application/epub+zip")
    with pytest.raises(CheckpointError, match=r"not written by torch\.save"):
        read_checkpoint(archive.getvalue())
    with fake_torch():
        data = torch_archive({}, [], byteorder=b"big")
    with pytest.raises(CheckpointError, match="big-endian"):
        read_checkpoint(data)


def test_metadata_that_are_null_are_none() -> None:
    data = safetensors.numpy.save({"a": np.zeros(1, np.float32)})
    length = int.from_bytes(data[:8], "little")
    header = b'{"__metadata__":null,' + data[9 : 8 + length]
    tensors, metadata = read_checkpoint(len(header).to_bytes(8, "little") + header + data[8 + length :])
    assert (list(tensors), metadata) == (["a"], {})


def test_what_is_no_tensor_or_no_number_is_named_in_memory_too() -> None:
    from paragon_stream.checkpoint import Weights

    for value, said in (({}, "'params_ema' is not a tensor"), (np.full(2, np.nan), "NaN or infinity")):
        with pytest.raises(CheckpointError, match=said):
            Weights.from_tensors({"params_ema": value})  # type: ignore[dict-item]
