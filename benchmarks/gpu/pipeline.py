"""The whole chain on your machine: decode → engine → dropped, against its slowest part; and VapourSynth.

    git clone … && cd paragon-stream
    pip install -e '.[cuda]' tensorrt-rtx          # and vapoursynth, for the filter
    python benchmarks/gpu/pipeline.py              # minutes; writes benchmarks/results/gpu_pipeline.json

For every engine that can run here and every size: frames a second of decoding alone, of the engine alone
(`paragon-stream bench`, buffers in the host's memory) and of the pipeline of both, whose bar is 0.95 of the
slower; with the video decoded by the CPU and, where it can, by the engine's GPU (`--hwaccel`). A trace of
each pipeline (stages, and the device's upload, compute and download) is written beside the results, for
ui.perfetto.dev and `scripts/draw_trace.py`. Whole renders with NVENC, where there is one, say whether frames
stayed on the GPU. With several GPUs each row is measured on the first and on all of them. Without a GPU it
runs too: --engines openvino.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

import av  # noqa: E402
import numpy as np  # noqa: E402
from common import RESULTS, machine, write_results  # noqa: E402

from paragon_stream.api import upscale  # noqa: E402
from paragon_stream.bench import bench  # noqa: E402
from paragon_stream.device import DevicePicture, DevicePlane  # noqa: E402
from paragon_stream.device.discovery import find_gpus  # noqa: E402
from paragon_stream.doctor.examination import examine  # noqa: E402
from paragon_stream.errors import ParagonError  # noqa: E402
from paragon_stream.frame import pixel_format  # noqa: E402
from paragon_stream.framejob import allocate_planes  # noqa: E402
from paragon_stream.media.decode.decoder_choice import HwAccel, with_decoder  # noqa: E402
from paragon_stream.media.facts.info import MediaInfo  # noqa: E402
from paragon_stream.media.prepare import open_reader, prepare  # noqa: E402
from paragon_stream.options.source import SourceOptions  # noqa: E402
from paragon_stream.pipeline.pipeline import Pipeline  # noqa: E402
from paragon_stream.pipeline.slot import Slot  # noqa: E402
from paragon_stream.pipeline.stage import Stage  # noqa: E402
from paragon_stream.pipeline.trace import Trace  # noqa: E402
from paragon_stream.runtimes import Flavour, gpu_of, installed_engines  # noqa: E402
from paragon_stream.runtimes.registry import torch_on_gpu  # noqa: E402
from paragon_stream.upscaler import Upscaler, UpscalerOptions  # noqa: E402

SPARE_SLOTS = 4
DISTINCT_FRAMES = 24

FILTER = """
import vapoursynth as vs
import paragon_stream.vapoursynth as paragon
grey = [80, 120, 130]
clip = vs.core.std.BlankClip(None, {width}, {height}, vs.YUV420P8, length={frames}, fpsnum=24, color=grey)
clip = clip.std.SetFrameProps(_Matrix=1, _Range=1, _ChromaLocation=0)
paragon.upscale(clip, variant="{variant}", engine="{engine}").set_output()
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", nargs="*", help="default: all that need a GPU and can run here")
    parser.add_argument("--variants", nargs="*", default=["realtime", "stream"])
    parser.add_argument("--sizes", nargs="*", default=["960x540", "1280x720", "1920x1080"])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--device", default=None, help="cuda or cuda:N")
    options = parser.parse_args()
    on_gpu = [name for name in installed_engines() if name in ("cuda", "tensorrt", "tensorrt-rtx")]
    if on_gpu and torch_on_gpu() is not None:
        on_gpu.append("torch")
    engines = options.engines or on_gpu
    several = options.device is None and len(find_gpus()[0]) > 1
    if not engines:
        print("no engine can use a GPU here; `paragon-stream doctor` says why (--engines names others)")
        return 1
    head, rows = machine(), []
    findings = [asdict(finding) for finding in examine()]
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            width, height = map(int, size.split("x"))
            clip = make_clip(Path(folder) / f"{size}.mp4", width, height, options.frames)
            for variant in options.variants:
                for engine, device in product(engines, (None, "cuda:all") if several else (options.device,)):
                    chosen = UpscalerOptions(variant=variant, engine=engine, device=device)
                    for row in (
                        *measured(clip, chosen, width, height, options.frames),
                        encoded(clip, chosen),
                    ):
                        rows.append({"size": size, "variant": variant, "engine": engine, **row})
                        print(rows[-1], flush=True)
                        # After each step: the next one may end the process, or the time with the GPU.
                        path = write_results("gpu_pipeline", head, {"doctor": findings, "rows": rows})
    print(path)
    return 0


def make_clip(path: Path, width: int, height: int, frames: int) -> Path:
    """H.264 of moving gradients and grain, repeated; about as hard to decode as film."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((height, width))
    pictures = []
    for number in range(DISTINCT_FRAMES):
        luma = 90 + 60 * np.sin((columns + 6 * number) / 37) * np.cos((rows - 4 * number) / 29)
        luma = np.clip(luma + rng.normal(0, 4, luma.shape), 16, 235).astype(np.uint8)
        chroma = np.full((height // 2, width), 128, np.uint8)
        pictures.append(np.concatenate([luma, chroma.reshape(-1, width)]))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24000, 1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(pictures[number % len(pictures)], format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def measured(
    clip: Path, options: UpscalerOptions, width: int, height: int, frames: int
) -> Iterator[dict[str, Any]]:
    """A row for each decoder."""
    try:
        alone = bench(options, width=width, height=height, frames=frames)
        facts = {
            "engine_fps": alone.fps,
            "engine_latency_ms": alone.latency_ms,
            "start_seconds": alone.compile_seconds,
            "device": alone.device,
            "vspipe_fps": vspipe_fps(options, width, height, frames),
        }
        on_cpu = prepare(clip, SourceOptions())
        on_gpu, _ = with_decoder(on_cpu, HwAccel.AUTO, gpu_of(options.engine, options.device))
        for info in (on_cpu,) if on_gpu is on_cpu else (on_cpu, on_gpu):
            name = f"gpu_trace_{width}x{height}_{options.variant}_{options.engine}_{info.video.gpu or 'cpu'}"
            decode = decode_fps(info)
            chain = pipeline_fps(info, options, name.replace(":", ""))
            part = chain["pipeline_fps"] / min(decode, alone.fps)
            yield {"decode_fps": decode, **facts, **chain, "of_the_slowest_part": part}
    except ParagonError as error:
        yield {"failed": str(error)}


def encoded(clip: Path, options: UpscalerOptions) -> dict[str, Any]:
    """A whole render into a file by NVENC, of H.264 and of HEVC; why not, where that cannot be."""
    found: dict[str, Any] = {}
    for codec in ("h264_nvenc", "hevc_nvenc"):
        try:
            report = upscale(
                clip,
                clip.with_name(f"{codec}.mkv"),
                variant=options.variant,
                engine=options.engine,
                device=options.device,
                codec=codec,
                overwrite=True,
            )
            busy = {name: stage.busy / report.wall_seconds for name, stage in report.stages.items()}
            found[codec] = {"fps": report.fps, "results_in": report.results_in, "busy": busy}
        except ParagonError as error:
            found[codec] = {"failed": str(error)}
    return {"render": found}


def decode_fps(info: MediaInfo) -> float:
    """Into host planes on the CPU; on a GPU frames stay there."""
    planes, count, begin = allocate_planes(info.video.format), 0, time.perf_counter()
    with open_reader(info, fetch=not_needed) as reader:
        while reader.read_into(planes) is not None:
            count += 1
    return count / (time.perf_counter() - begin)


def not_needed(plane: DevicePlane) -> Any:
    raise AssertionError("no strengths are asked for, so no frame is looked at")


def pipeline_fps(info: MediaInfo, options: UpscalerOptions, trace_name: str) -> dict[str, Any]:
    """Decode → engine → dropped, as a file is rendered; and how busy each stage and stream was."""
    trace = Trace()
    with (
        Upscaler.for_format(
            info.video.format, options, pixel_format=pixel_format("yuv420p"), flavour=Flavour.THROUGHPUT
        ) as upscaler,
        open_reader(info, fetch=upscaler.fetch) as reader,
    ):

        def decode(slot: Slot) -> bool:
            slot.timing, slot.picture = reader.read_into(slot.inputs), reader.picture
            return slot.timing is not None

        def compute(slot: Slot) -> None:
            inputs = slot.picture if isinstance(slot.picture, DevicePicture) else slot.inputs
            slot.completion = upscaler.run(inputs, slot.outputs, slot.strength)

        upscaler.trace(trace)
        stages = [
            Stage(name="decode", work=decode),
            Stage(name="engine", work=compute),
            Stage(name="drop", work=lambda slot: None),
        ]
        slots = [Slot(*upscaler.allocate()) for _ in range(upscaler.session.in_flight + SPARE_SLOTS)]
        stats = Pipeline(slots, stages, trace).run()
        reruns, decoder = upscaler.reruns, reader.decoder
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{trace_name}.json").write_text(trace.to_json())
    busy: dict[str, float] = {}
    for span in trace.spans:
        if ", in flight" not in span.track:
            busy[span.track] = busy.get(span.track, 0.0) + span.end - span.begin
    return {
        "pipeline_fps": stats.stages["drop"].frames / stats.wall,
        "busy": {track: seconds / stats.wall for track, seconds in busy.items()},
        "reruns": reruns,
        "decoder": decoder,
    }


def vspipe_fps(options: UpscalerOptions, width: int, height: int, frames: int) -> float | None:
    """The filter under vspipe, output dropped; None without vspipe."""
    vspipe = shutil.which("vspipe")
    if vspipe is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "filter.vpy"
        script.write_text(
            FILTER.format(
                width=width, height=height, frames=frames, variant=options.variant, engine=options.engine
            )
        )
        # vspipe looks there for its Python; the user's own setting is left alone.
        environment = {**os.environ, "XDG_CONFIG_HOME": folder}
        config = [sys.executable, "-m", "vapoursynth", "config"]
        subprocess.run(config, env=environment, check=False, capture_output=True)
        answer = subprocess.run(
            [vspipe, str(script), "--"], env=environment, capture_output=True, text=True, timeout=1800
        )
    words = answer.stderr.split()
    if answer.returncode or "fps)" not in words:
        print(answer.stderr.strip()[-400:])
        return None
    return float(words[words.index("fps)") - 1].lstrip("("))


if __name__ == "__main__":
    sys.exit(main())
