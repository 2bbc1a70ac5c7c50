"""Quality of the shipped weights, measured on the shipped files through the frame job.

    scripts/python benchmarks/quality.py --eval FOLDER --clip FILE|FOLDER... [--frames 10]

Pictures: Set5 and Set14 (folders of those names; never trained or tuned on). Video: clips, shrunk by
bicubic, encoded at several levels, decoded, upscaled, and shrunk by other kernels without encoding; at ×2 and
every other scale with a `video` set. `--pictures` and `--video` name the sets to measure anew (as
stream_x2_fidelity, or all), where only some of them changed; the others keep their figures. Results go to
`benchmarks/results/quality.json`; the tables of `engines/*.md` and `engines/quality.json` (what
`paragon-stream models` shows) are written from it by model_cards.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from common import REPOSITORY, RESULTS, machine, write_results
from model_cards import START, card_tables, gains, label, summary, write_card

from paragon_stream.checkpoint import ShippedSet, list_shipped, load_weights
from paragon_stream.media.measure.roundtrip import QUIET_X265, Encoding
from paragon_stream.train.data.clips import find_clips, read_clip
from paragon_stream.train.measure.evaluate import evaluate
from paragon_stream.train.measure.evaluate_video import evaluate_video
from paragon_stream.upscaler import Upscaler

LEVELS: Mapping[str, Encoding | None] = {
    "clean": None,
    **{
        f"H.264 CRF {crf}": Encoding(encoder="libx264", options={"crf": str(crf), "preset": "medium"})
        for crf in (18, 23, 28, 32)
    },
    "HEVC CRF 22": Encoding(
        encoder="libx265", options={"crf": "22", "preset": "medium", "x265-params": QUIET_X265}
    ),
}
KERNELS = {"clean, shrunk by area": "area", "clean, shrunk by Lanczos": "lanczos"}
"""Levels without compression by other kernels than bicubic, and the kernels' names."""
SUMMARY = REPOSITORY / "engines" / "quality.json"
"""The figures that `paragon-stream models` shows, by file: see `paragon_stream.checkpoint.quality`."""


def label_of(shipped: ShippedSet) -> str:
    return label(shipped.variant, shipped.scale, shipped.name)


def measure_pictures(shipped: ShippedSet, pictures: Path) -> dict[str, Any]:
    """Set → method → measure."""
    rows: dict[str, Any] = {}
    for folder in (pictures / "Set5", pictures / "Set14"):
        if folder.is_dir():
            found = evaluate(load_weights(shipped.path), folder)
            rows[folder.name] = found.means()
            rows["engine"], rows["precision"] = found.engine, found.precision
            print(label_of(shipped), folder.name, f"{rows[folder.name]['model']['psnr_y']:.2f}", flush=True)
    return rows


def measure_video(sets: list[ShippedSet], scale: int, clips: list[Path], frames: int) -> list[dict[str, Any]]:
    """One row per clip and level, with the scores of every set (by its label) and of the filters."""
    rows = []
    for path in clips:
        clip = read_clip(path, frames=frames, scale=scale)
        height, width = clip.frames[0][0].shape
        upscalers = {
            label_of(s): Upscaler(
                width=width // scale,
                height=height // scale,
                pixel_format="yuv420p",
                color=clip.color,
                weights=s.path,
                precision="fp32",
            )
            for s in sets
        }
        measured = evaluate_video(clip, LEVELS, upscalers, scale)
        for level, kernel in KERNELS.items():
            measured += evaluate_video(clip, {level: None}, upscalers, scale, degradation=kernel)
        for row in measured:
            rows.append(
                {
                    "clip": row.name,
                    "scale": scale,
                    "frames": len(clip.frames),
                    "level": row.level,
                    "strength": row.strength,
                    "scores": row.scores,
                }
            )
            shown = ", ".join(f"{key} {gains(rows[-1:], key)[0]:+.2f}" for key in upscalers)
            print(row.name, row.level, f"strength {row.strength:.2f}: {shown}", flush=True)
        for upscaler in upscalers.values():
            upscaler.close()
    return rows


def chosen(names: list[str] | None, shipped: list[ShippedSet]) -> list[ShippedSet]:
    """The sets that options name; all without them."""
    if names is None or "all" in names:
        return shipped
    found = [each for each in shipped if each.path.stem in names]
    if len(found) < len(names):
        raise SystemExit(f"there are only {', '.join(each.path.stem for each in shipped)}")
    return found


def check_whole(
    weights: Mapping[str, str],
    earlier: Mapping[str, str],
    pictured: Collection[str],
    filmed: Collection[str],
    with_video: Collection[str],
) -> None:
    """`weights` and `earlier` are digests by file, the others files. Exits if a file that has changed keeps
    figures of the one before: in pictures, or in video if its scale is measured there."""
    for name, digest in weights.items():
        if earlier.get(name) != digest:
            for option, measured, needed in (
                ("--pictures", pictured, True),
                ("--video", filmed, name in with_video),
            ):
                if needed and name not in measured:
                    raise SystemExit(f"{name} has changed: measure it too, by {option} {Path(name).stem}")


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`old` rows with the scores of `new` ones in place of theirs, and all rows of new scales.

    Filters measure the same again: if they do not, the clips or their frames are others, and the figures
    could not stand side by side."""
    rows = {(row["clip"], row["scale"], row["level"]): row for row in old}
    scales = {row["scale"] for row in old}
    old = [*old, *(row for row in new if row["scale"] not in scales)]
    for row in (row for row in new if row["scale"] in scales):
        known = rows.get((row["clip"], row["scale"], row["level"]))
        if known is None or known["frames"] != row["frames"]:
            raise SystemExit(f"{row['clip']} was not measured with {row['frames']} frames earlier")
        for method in ("bicubic", "lanczos"):
            before, now = (each["scores"][method]["psnr_y"] for each in (known, row))
            if abs(before - now) > 0.005:
                raise SystemExit(f"{row['clip']}, {row['level']}: {method} was {before:.3f} dB, is {now:.3f}")
        known["scores"] |= row["scores"]
    return old


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, required=True, help="a folder with Set5/ and Set14/")
    parser.add_argument(
        "--clip", type=Path, action="append", required=True, help="a video or a folder of videos"
    )
    parser.add_argument("--frames", type=int, default=10, help="of every clip")
    parser.add_argument(
        "--pictures", action="append", metavar="SET", help="measure this set's pictures alone"
    )
    parser.add_argument("--video", action="append", metavar="SET", help="measure this set's video alone")
    options = parser.parse_args()
    clips = [path for each in options.clip for path in find_clips(each)]
    shipped = list_shipped()
    head = machine()
    parts = options.pictures is not None or options.video is not None
    pictured = chosen(options.pictures or ([] if parts else None), shipped)
    filmed = chosen(options.video or ([] if parts else None), shipped)
    with_video = {2} | {s.scale for s in shipped if s.name == "video"}
    scales = sorted({s.scale for s in filmed} & with_video)
    digests = {s.path.name: load_weights(s.path).sha256 for s in shipped}
    earlier = json.loads((RESULTS / "quality.json").read_text(encoding="utf-8")) if parts else {}
    if parts:
        check_whole(
            digests,
            earlier["weights"],
            [s.path.name for s in pictured],
            [s.path.name for s in filmed],
            [s.path.name for s in shipped if s.scale in with_video],
        )
    pictures = {label_of(s): measure_pictures(s, options.eval) for s in pictured}
    video = [
        row
        for scale in scales
        for row in measure_video([s for s in filmed if s.scale == scale], scale, clips, options.frames)
    ]
    if parts:
        pictures = earlier["pictures"] | pictures
        video = merged(earlier["video"], video)
    results: dict[str, Any] = {
        "weights": digests,
        "pictures": pictures,
        "video": video,
    }
    written = write_results("quality", head, results)
    stems = {s.path.stem: label_of(s) for s in shipped}
    SUMMARY.write_text(json.dumps(summary(stems, results), indent=1) + "\n", encoding="utf-8")
    for card in sorted((REPOSITORY / "engines").glob("*.md")):
        if START in card.read_text(encoding="utf-8"):
            write_card(card, card_tables(results, card.stem))
    for name in sorted({s.name for s in shipped}):
        if not (REPOSITORY / "engines" / f"{name}.md").is_file():
            print(f"the set {name} has no card: engines/{name}.md")
    print(written)


if __name__ == "__main__":
    main()
