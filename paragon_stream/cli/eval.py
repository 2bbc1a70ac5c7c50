"""`paragon-stream eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paragon_stream.cli.config_option import config_option
from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, given, verbose_option
from paragon_stream.cli.reports import check_reports
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.errors import UsageError, install_command
from paragon_stream.options.network import UpscalerOptions

if TYPE_CHECKING:
    from paragon_stream.train.measure.evaluation import Evaluation

DEFAULT_FRAMES = 24
WEIGHTS = ("weights", "variant", "scale", "alpha", "window_size", "generation")
"""Options that choose the weights."""


@click.command(cls=SectionedCommand)
@click.option(
    "--data",
    type=FilePath(path_type=Path),
    metavar="PATH",
    help="High-resolution pictures or videos: a file or a folder.",
)
@click.option(
    "--degradation",
    default="bicubic",
    show_default=True,
    metavar="D",
    help="Degradation that makes the low-resolution pictures.",
)
@click.option(
    "--encode",
    multiple=True,
    metavar="E",
    help="Encode low-resolution video: libx264:crf=23:preset=slow, or none. Repeatable.",
)
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    metavar="N",
    help="Frames of each video (default: 24; --reference: all).",
)
@click.option(
    "--reference",
    type=FilePath(path_type=Path),
    metavar="HR",
    help="Reference video, to compare with --result.",
)
@click.option(
    "--result", type=FilePath(path_type=Path), metavar="SR", help="Video that is compared with --reference."
)
@click.option(
    "--report",
    type=FilePath(dir_okay=False, path_type=Path),
    metavar="OUT.html",
    help="Write a page with crops.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    metavar="P",
    help="Arithmetic of the engine: fp32, bf16, fp16 or int8.",
)
@choices(UpscalerOptions, only=(*WEIGHTS, "strength", "engine"))
@config_option
@verbose_option
def command(
    data: Path | None,
    reference: Path | None,
    result: Path | None,
    report: Path | None,
    as_json: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Compare weights with plain filters, on pictures (in the convention of the literature) or on videos.

    Pictures and videos are downscaled, upscaled by the frame job, and compared with the originals. With
    --reference and --result, two existing videos are compared.
    """
    try:
        from paragon_stream.train.measure.page import write_report
    except ModuleNotFoundError as error:
        if error.name != "PIL":
            raise
        raise UsageError(f"eval needs torch and Pillow: {install_command('torch pillow')}") from error

    if (data is None) == (reference is None) or (reference is None) != (result is None):
        raise UsageError("give --data, or --reference and --result")
    check_reports(report, None)
    found = _pair(reference, result, options) if reference and result else _measure(data, options)
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found)
    if report is not None:
        write_report(found, report)


def _measure(data: Path | None, options: dict[str, Any]) -> Evaluation:
    from paragon_stream.checkpoint import load_weights
    from paragon_stream.checkpoint.inspection import alpha_doubts
    from paragon_stream.framejob.products import warn_of_missing_limit
    from paragon_stream.train.data.clips import find_clips, parse_levels
    from paragon_stream.train.measure.evaluate import evaluate
    from paragon_stream.train.measure.evaluate_video import evaluate_videos
    from paragon_stream.upscaler import parse_strength

    assert data is not None
    encode, frames = options.pop("encode"), options.pop("frames")
    strength = parse_strength(options.pop("strength"))
    alpha = options["alpha"]
    weights = load_weights(**given(**{name: options.pop(name) for name in WEIGHTS}))
    warn_of_missing_limit(weights)
    for doubt in () if alpha is None else alpha_doubts(weights.spec):
        print_line(f"warning: {doubt}", err=True)
    clips = find_clips(data)
    if not clips:
        if encode or frames:
            raise UsageError(f"--encode and --frames are for videos, but {data} contains none")
        return evaluate(weights, data, strength=strength or 0.0, **given(**options))
    _say_if_vmaf_is_absent()
    levels = parse_levels(encode)
    return evaluate_videos(
        weights,
        clips,
        levels,
        frames=frames or DEFAULT_FRAMES,
        strength=strength,
        **given(**options),
    )


def _pair(reference: Path, result: Path, options: dict[str, Any]) -> Evaluation:
    from paragon_stream.train.measure.evaluate_video import compare_files

    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    idle = [name for name in options if name != "frames" and context.get_parameter_source(name) != default]
    if idle:
        raise UsageError(f"--{idle[0].replace('_', '-')} does not apply to --reference and --result")
    _say_if_vmaf_is_absent()
    return compare_files(reference, result, frames=options["frames"])


def _say_if_vmaf_is_absent() -> None:
    from paragon_stream.media.measure.vmaf import vmaf_available

    if not vmaf_available():
        click.echo("VMAF is not measured: this build of PyAV lacks the filter libvmaf", err=True)


def _as_json(found: Evaluation) -> dict[str, Any]:
    return {
        "weights": found.weights,
        "scale": found.scale,
        "sha256": found.sha256,
        "engine": found.engine,
        "precision": found.precision,
        "means": {level: found.means(level) for level in found.levels},
        "rows": [
            {"name": row.name, "level": row.level, "strength": row.strength, "scores": row.scores}
            for row in found.rows
        ],
    }


def _print(found: Evaluation) -> None:
    scale = f" ×{found.scale}" if found.sha256 else ""
    for level in found.levels:
        count = sum(row.level == level for row in found.rows)
        strength = found.strength(level)
        at = f", strength {strength:.2f}" if strength else ""
        print_line(f"{found.weights}{scale}, {level}{at}" + (f", means of {count}" if count > 1 else ""))
        click.echo(f"{'':10}" + "".join(f"{measure:>12}" for measure in found.measures))
        for method, values in found.means(level).items():
            click.echo(f"{method:10}" + "".join(f"{values[measure]:12.4f}" for measure in found.measures))
