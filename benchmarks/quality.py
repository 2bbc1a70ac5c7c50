"""Quality of the shipped weights, measured on the shipped files through the frame job.

    scripts/python benchmarks/quality.py [--shared ../shared] [--clip FILE]...

Pictures: Set5 and Set14 (never trained or tuned on). Video: clips (default: Big Buck Bunny, 720p),
shrunk, encoded at several levels, decoded, upscaled. Results go to `benchmarks/results/quality.json`, and
the tables of `engines/*.md` and `engines/quality.json` (what `paragon-stream models` shows) are written
from it.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paragon_stream.checkpoint import ShippedSet, list_shipped, load_weights
from paragon_stream.media.roundtrip import Encoding
from paragon_stream.train.evaluate import FILTERS, evaluate
from paragon_stream.train.evaluate_video import evaluate_video, read_clip
from paragon_stream.upscaler import Upscaler

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "quality.json"
QUIET = "log-level=none:pools=1:frame-threads=1"
LEVELS: Mapping[str, Encoding | None] = {
    "clean": None,
    **{
        f"H.264 CRF {crf}": Encoding(encoder="libx264", options={"crf": str(crf), "preset": "medium"})
        for crf in (18, 23, 28, 32)
    },
    "HEVC CRF 22": Encoding(
        encoder="libx265", options={"crf": "22", "preset": "medium", "x265-params": QUIET}
    ),
}
SUMMARY = REPOSITORY / "engines" / "quality.json"
"""What `paragon-stream models` shows, by file: see `paragon_stream.checkpoint.quality`."""

START, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def measure_pictures(shipped: ShippedSet, shared: Path) -> dict[str, Any]:
    """Set → method → measure."""
    rows: dict[str, Any] = {}
    for folder in (shared / "eval" / "Set5", shared / "eval" / "Set14"):
        if folder.is_dir():
            found = evaluate(folder, weights=shipped.path)
            rows[folder.name] = found.means()
            rows["engine"], rows["precision"] = found.engine, found.precision
    return rows


def measure_video(sets: list[ShippedSet], scale: int, clips: list[Path], frames: int) -> list[dict[str, Any]]:
    """One row per clip and level."""
    rows = []
    for path in clips:
        clip = read_clip(path, frames=frames, scale=scale)
        height, width = clip.frames[0][0].shape
        upscalers = {
            f"{s.variant} {s.name}": Upscaler(
                width=width // scale,
                height=height // scale,
                pixel_format="yuv420p",
                color=clip.color,
                weights=s.path,
                precision="fp32",
            )
            for s in sets
        }
        for row in evaluate_video(clip, LEVELS, upscalers, scale):
            print(row.clip, row.level, f"strength {row.strength:.2f}", row.psnr_y, flush=True)
            rows.append(
                {"clip": row.clip, "level": row.level, "strength": row.strength, "psnr_y": dict(row.psnr_y)}
            )
        for upscaler in upscalers.values():
            upscaler.close()
    return rows


def summary(shipped: list[ShippedSet], results: Mapping[str, Any]) -> dict[str, Any]:
    """File stem → digest and the figures that were measured on that very file."""
    table = {}
    for s in shipped:
        pictures = results["pictures"][f"{s.variant} ×{s.scale} {s.name}"]
        measured = {
            f"{data} PSNR-Y": round(pictures[data]["model"]["psnr_y"], 2)
            for data in ("Set5", "Set14")
            if data in pictures
        }
        table[s.path.stem] = {"sha256": results["weights"][s.path.name], "measured": measured}
    return table


def picture_table(results: Mapping[str, Any], name: str) -> list[str]:
    lines = ["| weights | set | PSNR-Y | SSIM-Y | bicubic | Lanczos |", "|---|---|---|---|---|---|"]
    for key, row in results["pictures"].items():
        if key.split()[-1] != name:
            continue
        for data in ("Set5", "Set14"):
            if data in row:
                model, bicubic, lanczos = (row[data][m] for m in ("model", *FILTERS[:2]))
                lines.append(
                    f"| {key.rsplit(' ', 1)[0]} | {data} | **{model['psnr_y']:.2f}** | {model['ssim_y']:.4f} "
                    f"| {bicubic['psnr_y']:.2f} | {lanczos['psnr_y']:.2f} |"
                )
    return lines


def video_table(results: Mapping[str, Any]) -> list[str]:
    rows = results["video"]
    if not rows:
        return []
    methods = list(rows[0]["psnr_y"])
    lines = [
        "| clip | LR encoded by | strength | " + " | ".join(methods) + " |",
        "|---|---|---|" + "---|" * len(methods),
    ]
    for row in rows:
        scores = " | ".join(f"{row['psnr_y'][m]:.2f}" for m in methods)
        lines.append(f"| {row['clip']} | {row['level']} | {row['strength']:.2f} | {scores} |")
    return lines


def write_card(path: Path, lines: list[str]) -> None:
    """Put a table between the markers of a model card."""
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(START)
    _, tail = rest.split(END)
    table = "\n".join(lines)
    path.write_text(f"{head}{START}\n{table}\n{END}{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--clip", type=Path, action="append")
    parser.add_argument("--frames", type=int, default=24)
    options = parser.parse_args()
    default_clip = options.shared / "media" / "h264_720p25_bbb_5s_aac51.mp4"
    clips = options.clip or ([default_clip] if default_clip.is_file() else [])
    shipped = list_shipped()
    results: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "weights": {s.path.name: load_weights(s.path).sha256 for s in shipped},
        "pictures": {
            f"{s.variant} ×{s.scale} {s.name}": measure_pictures(s, options.shared) for s in shipped
        },
        "video": measure_video([s for s in shipped if s.scale == 2], 2, clips, options.frames),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    SUMMARY.write_text(json.dumps(summary(shipped, results), indent=1) + "\n", encoding="utf-8")
    for card in sorted((REPOSITORY / "engines").glob("*.md")):
        if START in card.read_text(encoding="utf-8"):
            video = video_table(results) if card.stem == "video" else []
            write_card(card, [*picture_table(results, card.stem), "", *video])
    print(RESULTS)


if __name__ == "__main__":
    main()
