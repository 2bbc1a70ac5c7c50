"""`export onnx`: files that ONNX Runtime computes as torch does, TensorRT-RTX builds, and that load again."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from network_reference import random_spec, random_weights

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from trained_looking import trained_looking  # noqa: E402

from paragon_stream.checkpoint import Weights, load_weights  # noqa: E402
from paragon_stream.checkpoint.published import published_network  # noqa: E402
from paragon_stream.cli.export_onnx import onnx as command  # noqa: E402
from paragon_stream.cli.main import run  # noqa: E402
from paragon_stream.errors import CheckpointError, InputError, UsageError  # noqa: E402
from paragon_stream.frame import FrameFormat  # noqa: E402
from paragon_stream.framejob import build_job  # noqa: E402
from paragon_stream.framejob.onnx.dynamic import SizeRange  # noqa: E402
from paragon_stream.framejob.onnx.network import (  # noqa: E402
    INPUT,
    OUTPUT,
    PREVIOUS_INPUT,
    VIDEO_WEIGHT,
    emit_network,
)
from paragon_stream.framejob.onnx.quantise import convolutions, quantised  # noqa: E402
from paragon_stream.models.answer import answers  # noqa: E402
from paragon_stream.models.build import build  # noqa: E402
from paragon_stream.onnx_export import CHECKED_SIZES, OnnxExport, export_onnx  # noqa: E402
from paragon_stream.runtimes.int8.calibration import calibrate, drawn_pictures, left_wide  # noqa: E402
from paragon_stream.runtimes.onnxruntime import run_model  # noqa: E402

NETWORKS: list[tuple[str, str, int, dict[str, Any]]] = [
    ("paragonsr-nc", "nano", 3, {}),
    ("paragonsr-r0", "s", 2, {}),
    ("p2r2", "nano", 4, {}),
    ("p2r3", "nano", 2, {}),
    ("p2v4", "nano", 2, {}),
    ("p2v5", "l", 2, {}),
    ("p2v6", "photo", 2, {}),
    ("p2v7", "stream", 8, {}),
    ("p2v8", "photo", 4, {}),
    ("p2head", "photo", 3, {}),
    ("p2head", "pro", 8, {}),
    ("p2head", "pro", 2, {"attention_mode": "none"}),
    ("p2head", "pro", 3, {"features": 16}),  # whose channel attention has one channel
]
SMALL = {"l": {"groups": 1}, "s": {"groups": 1, "blocks": 2}, "pro": {"groups": 1, "blocks": 2}}
SMALL["photo"] = SMALL["pro"]
SMALL["ultimate"] = {"features": 8, "groups": 7, "blocks": 7, "window": 8, "tokens": 5}


def random_network(generation: str, variant: str, scale: int, **options: Any) -> Weights:
    """A network of a published kind, with fewer blocks if it has many."""
    features = {"features": options.pop("features")} if "features" in options else {}
    spec = published_network(generation, variant, scale, alpha=0.4, **options)
    return trained_looking(replace(spec, **SMALL.get(variant, {}), **features))


@pytest.mark.parametrize(("generation", "variant", "scale", "options"), NETWORKS)
def test_every_size_is_computed_as_torch_does(
    generation: str, variant: str, scale: int, options: dict[str, Any]
) -> None:
    weights = random_network(generation, variant, scale, **options)
    model = emit_network(weights)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version >= 18
    net = build(weights.spec)
    net.load_state_dict({name: torch.tensor(value) for name, value in weights.tensors.items()})
    net.eval()
    for width, height in CHECKED_SIZES:
        if weights.spec.window:
            assert width % weights.spec.window
            assert height % weights.spec.window
        image = np.random.default_rng(width).random((1, 3, height, width), np.float32)
        with torch.no_grad():
            expected = net(torch.tensor(image)).numpy()
        found = run_model(model, [{INPUT: image}], [OUTPUT])[0][0]
        assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("half", [False, True])
def test_v6_attends_over_small_maps_as_a_whole(half: bool) -> None:
    """Maps up to one window are neither filled nor shifted in upstream; the file for every size has both
    forms, and so do files for one size."""
    openvino = pytest.importorskip("openvino")
    weights = random_network("p2v6", "photo", 2, window_size=8)
    answer = answers(weights)
    every = emit_network(weights, half=half)
    core, settings = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    on_openvino = core.compile_model(core.read_model(every.SerializeToString()), "CPU", settings)
    for width, height in [(5, 3), (1, 8), (8, 7), (8, 8), (9, 8), (8, 9), (4, 20), (16, 16), (21, 11)]:
        image = np.random.default_rng(width).random((1, 3, height, width), np.float32)
        expected = answer(image)
        most = np.abs(expected).max() * (3e-3 if half else 2e-5)
        one = emit_network(weights, size=(width, height), half=half)
        for model in (every, one):
            assert np.abs(run_model(model, [{INPUT: image}], [OUTPUT])[0][0] - expected).max() < most
        if not half:
            assert np.abs(on_openvino(image)[0] - expected).max() < most


@pytest.mark.parametrize(("generation", "variant"), [("p2v11atd", "pro"), ("p2dev", "ultimate")])
def test_graphs_that_depend_on_the_size_are_written_for_one(
    generation: str, variant: str, tmp_path: Path
) -> None:
    """Pro and Ultimate that divide pictures into categories, and take means and squares of them."""
    weights = random_network(generation, variant, 2)
    width, height = CHECKED_SIZES[0]
    model = emit_network(weights, size=(width, height), video=True)
    onnx.checker.check_model(model, full_check=True)
    image = np.random.default_rng(1).random((1, 3, height, width), np.float32)
    before = np.random.default_rng(2).random((1, weights.spec.features, height, width), np.float32)
    found = run_model(model, [{INPUT: image, PREVIOUS_INPUT: before}], [OUTPUT])[0][0]
    expected = answers(weights)(image, before, VIDEO_WEIGHT)
    assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()
    path = tmp_path / "x.onnx"
    onnx.save(model, str(path))
    again = load_weights(path)
    assert again.spec == weights.spec
    for name, value in weights.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], value)
    with pytest.raises(UsageError, match="depends on the size of the picture: give --size"):
        emit_network(weights)


def export(path: Path, weights: Weights | str, **options: Any) -> OnnxExport:
    if isinstance(weights, Weights):
        from safetensors.numpy import save_file

        from paragon_stream.checkpoint import metadata_of

        source = path.with_suffix(".safetensors")
        save_file(dict(weights.tensors), source, metadata=metadata_of(weights))
        weights = str(source)
    return export_onnx(path, weights=weights, **options)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_file_is_checked_and_loads_again(tmp_path: Path, precision: str) -> None:
    path = tmp_path / "x.onnx"
    weights = random_weights(random_spec("stream"))
    made = export(path, weights, precision=precision)
    assert made.difference is not None
    assert made.difference < (1e-5 if precision == "fp32" else 1e-2)
    again = load_weights(path)
    assert again.spec == weights.spec
    rounding = 0 if precision == "fp32" else 1e-3
    for name, value in weights.tensors.items():
        np.testing.assert_allclose(again.tensors[name], value, rtol=rounding, atol=rounding / 10)
    assert len(list(tmp_path.iterdir())) == 2  # one file, and the source


def test_other_peoples_onnx_files_are_refused_in_one_line(tmp_path: Path) -> None:
    from paragon_stream.framejob.onnx.graph import OnnxGraph

    graph = OnnxGraph("other")
    graph.output(graph.input("x", onnx.TensorProto.FLOAT, [1]), "y", onnx.TensorProto.FLOAT, [1])
    path = tmp_path / "other.onnx"
    model = graph.model()
    onnx.save(model, str(path))
    with pytest.raises(CheckpointError, match="the graph of a frame job"):
        load_weights(path)
    model.producer_name = "pytorch"
    onnx.save(model, str(path))
    with pytest.raises(CheckpointError, match="its tensors cannot be identified"):
        load_weights(path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="damaged ONNX file"):
        load_weights(path)


def test_video_mode_blends_the_features_of_the_frame_before(tmp_path: Path) -> None:
    made = export(tmp_path / "video.onnx", random_weights(random_spec("realtime")), video=True)
    assert made.difference is not None
    assert made.difference < 1e-5
    model = onnx.load(str(made.path))
    assert [each.name for each in model.graph.input] == ["input", "prev_feat"]
    assert [each.name for each in model.graph.output] == ["output", "feature_map"]
    with pytest.raises(UsageError, match="has no video mode"):
        export(tmp_path / "no.onnx", random_network("p2v6", "stream", 2), video=True)


def test_int8_keeps_within_its_budget_of_noise_and_names_what_it_left() -> None:
    weights = load_weights("fidelity", variant="realtime", scale=2)
    model = emit_network(weights)
    feeds = [{INPUT: picture[None]} for picture in drawn_pictures(count=2, side=64)]
    found = calibrate(model, feeds, [OUTPUT], run_model, peak=1.0)
    assert found.chosen
    made = quantised(model, found, found.chosen)
    onnx.checker.check_model(made, full_check=True)
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("QuantizeLinear") == len(found.chosen)
    assert len(left_wide(model, found)) == len(convolutions(model)) - len(found.chosen)
    exact, small = (run_model(each, feeds, [OUTPUT]) for each in (model, made))
    noise = np.mean([np.square(a[0] - b[0]).mean() for a, b in zip(exact, small, strict=True)])
    assert 0 < noise < 10**-5.2
    every = quantised(model, found, range(len(convolutions(model))))  # the budget is what keeps it so low
    worse = run_model(every, feeds, [OUTPUT])
    assert np.mean([np.square(a[0] - b[0]).mean() for a, b in zip(exact, worse, strict=True)]) > 2 * noise


def test_the_command_says_what_does_not_go_together(tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        result = CliRunner().invoke(command, [str(tmp_path / "x.onnx"), *arguments])
        return str(result.exception)

    assert "--frame-job needs --size" in refused("--frame-job", "yuv420p")
    assert "exclude each other" in refused("--dynamic", "--size", "64x64")
    assert "not a size such as" in refused("--size", "64")
    assert "not in bf16" in refused("--precision", "bf16")
    frame_job = ("--frame-job", "yuv420p", "--size", "64x48")
    assert "strength of 7.0 is outside" in refused(*frame_job, "--weights", "video", "--strength", "7")
    assert "--calibrate /gone does not exist" in refused("--precision", "int8", "--calibrate", "/gone")
    assert not list(tmp_path.iterdir())
    (tmp_path / "x.onnx").write_bytes(b"mine")
    assert "x.onnx exists already: use --overwrite to replace it" in refused()
    assert (tmp_path / "x.onnx").read_bytes() == b"mine"


def test_pictures_are_sought_among_all_files_and_no_more_than_needed_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paragon_stream import onnx_export

    for number in range(90):
        (tmp_path / f"{number:03}.{'png' if number >= 65 else 'txt'}").touch()
    read: list[str] = []

    def read_calibration_picture(path: Path) -> Any:
        if path.suffix != ".png":
            raise InputError("no picture")
        read.append(path.name)
        return np.zeros((200, 200, 3), np.uint8)

    monkeypatch.setattr(onnx_export, "read_calibration_picture", read_calibration_picture)
    assert len(onnx_export._pictures(tmp_path)) == 16
    assert read == [f"{number:03}.png" for number in range(65, 81)]


def test_the_sizes_of_a_frame_job_are_whole_windows() -> None:
    weights = random_network("p2head", "photo", 2)
    job = build_job(weights, FrameFormat.of("yuv420p", 960, 540))
    sizes = SizeRange.usual(job)
    assert str(sizes) == "64x64 960x544 3840x2160"
    sizes.check(job)


@pytest.mark.parametrize(("strength", "inputs"), [((), 4), (("--strength", "0.5"), 3)])
def test_a_frame_job_has_a_strength_that_is_given(
    tmp_path: Path, strength: tuple[str, ...], inputs: int
) -> None:
    path = tmp_path / "x.onnx"
    options = ("--frame-job", "yuv420p", "--size", "64x48", "--weights", "video", *strength)
    assert CliRunner().invoke(command, [str(path), *options]).exit_code == 0
    assert len(onnx.load(path).graph.input) == inputs


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="needs tensorrt-rtx")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("generation", "variant"),
    [("p2r3", "nano"), ("p2v6", "photo"), ("p2v8", "photo"), ("p2head", "stream"), ("p2head", "pro")],
)
def test_tensorrt_builds_engines_for_many_sizes(generation: str, variant: str, half: bool) -> None:
    """Engines with the shapes that the documents pass to trtexec."""
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    model = emit_network(random_network(generation, variant, 2), half=half)
    assert parser.parse(model.SerializeToString()), parser.get_error(0)
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, (1, 3, 64, 64), (1, 3, 720, 1280), (1, 3, 1080, 1920))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None and engine.nbytes > 10_000


def test_rounded_files_and_useless_options_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="--calibrate is for --precision int8, not for fp16"):
        export(tmp_path / "x.onnx", "fidelity", precision="fp16", calibrate=tmp_path)
    path = export(tmp_path / "x.onnx", "fidelity", check=False).path
    model = onnx.load(str(path))
    model.metadata_props.add(key="precision", value="int8")
    onnx.save(model, str(path))
    load_weights(path)
    assert "weights x: an int8 export, so most tensors are rounded to 8 bits" in caplog.text
    for words in (["convert", str(path)], ["models", "export", "video", "--strength=0"]):
        assert run([*words, str(tmp_path / "x.pth")]) == 2
        assert "x.pth must end in .safetensors" in capsys.readouterr().err
    assert not (tmp_path / "x.pth").exists()
