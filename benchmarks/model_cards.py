"""The measured part of the model cards `engines/*.md`, and `engines/quality.json`, from quality.py's results.

A card `engines/<set>.md` holds its tables between two markers; the rest of it is written by hand. Variants
and scales need no cards of their own: every shipped set of that name has its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

START, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PICTURE_SETS = ("Set5", "Set14")
BEST_OF = ("bicubic", "lanczos")
"""The better of these on the same input, clip by clip, is "the best filter"."""
SUMMARY_LEVEL = "H.264 CRF 23"

type Row = Mapping[str, Any]


def label(variant: str, scale: int, name: str) -> str:
    """The name of a shipped set in results: "realtime ×2 video"."""
    return f"{variant} ×{scale} {name}"


def of_set(results: Mapping[str, Any], name: str) -> list[str]:
    """The labels in the results whose set is `name`: scales upwards, realtime first."""
    found = [key for key in results["pictures"] if key.split()[-1] == name]
    return sorted(found, key=lambda key: (key.split()[1], key))


def picture_table(results: Mapping[str, Any], name: str) -> list[str]:
    """Set5 and Set14 at every scale: the weights, bicubic (also in brackets), Lanczos."""
    lines = [
        "| weights | set | PSNR-Y | Cb, Cr over the best filter | SSIM-Y | fine detail, dB "
        "| bicubic | Lanczos |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in of_set(results, name):
        for data in PICTURE_SETS:
            if data in results["pictures"][key]:
                scores = results["pictures"][key][data]
                model, bicubic, lanczos = (scores[m] for m in ("model", "bicubic", "lanczos"))
                gain = model["psnr_y"] - bicubic["psnr_y"]
                chroma = ", ".join(
                    f"{model[plane] - max(scores[name][plane] for name in BEST_OF):+.2f}"
                    for plane in ("psnr_cb", "psnr_cr")
                )
                lines.append(
                    f"| {key.rsplit(' ', 1)[0]} | {data} | **{model['psnr_y']:.2f}** ({gain:+.2f}) "
                    f"| {chroma} | {model['ssim_y']:.4f} "
                    f"| {model['detail_db']:+.1f} ({bicubic['detail_db']:+.1f}) "
                    f"| {bicubic['psnr_y']:.2f} | {lanczos['psnr_y']:.2f} |"
                )
    return lines


def gains(rows: Iterable[Row], method: str) -> tuple[float, float]:
    """dB of PSNR-Y over the best filter, the mean over clips; and over bicubic, the worst clip's."""
    over_best, over_bicubic = [], []
    for row in rows:
        psnr = {name: scores["psnr_y"] for name, scores in row["scores"].items()}
        over_best.append(psnr[method] - max(psnr[name] for name in BEST_OF))
        over_bicubic.append(psnr[method] - psnr["bicubic"])
    return sum(over_best) / len(over_best), min(over_bicubic)


def chroma_gains(rows: Sequence[Row], method: str) -> list[tuple[float, float]]:
    """dB of U and of V over the best filter: the mean over clips, and the worst clip's."""
    planes = []
    for plane in ("psnr_u", "psnr_v"):
        each = [
            row["scores"][method][plane] - max(row["scores"][name][plane] for name in BEST_OF) for row in rows
        ]
        planes.append((sum(each) / len(each), min(each)))
    return planes


def video_table(results: Mapping[str, Any], key: str) -> list[str]:
    """One shipped set on video: a row for each level of compression, means over the clips."""
    rows = [row for row in results["video"] if key in row["scores"]]
    if not rows:
        return []
    measures = [m for m in ("ssim_y", "psnr_t", "vmaf", "vmaf_neg") if m in rows[0]["scores"][key]]
    titles = {"ssim_y": "SSIM-Y", "psnr_t": "PSNR-T", "vmaf": "VMAF", "vmaf_neg": "VMAF-NEG"}
    names = ", ".join(dict.fromkeys(row["clip"] for row in rows))
    lines = [
        f"**{key}**: means over the clips {names}; Lanczos in brackets.",
        "",
        "| LR encoded by | strength | PSNR-Y | over the best filter | worst clip over bicubic "
        "| U, V over the best filter (worst clip) | " + " | ".join(titles[m] for m in measures) + " |",
        "|---|---|---|---|---|---|" + "---|" * len(measures),
    ]
    for level in dict.fromkeys(row["level"] for row in rows):
        here = [row for row in rows if row["level"] == level]
        gain, worst = gains(here, key)
        cells = [
            f"{_mean(here, key, m):.{_digits(m)}f} ({_mean(here, 'lanczos', m):.{_digits(m)}f})"
            for m in ("psnr_y", *measures)
        ]
        strength = sum(row["strength"] for row in here) / len(here)
        chroma = ", ".join(f"{mean:+.2f} ({least:+.2f})" for mean, least in chroma_gains(here, key))
        lines.append(
            f"| {level} | {strength:.2f} | {cells[0]} | **{gain:+.2f}** | {worst:+.2f} | {chroma} | "
            + " | ".join(cells[1:])
            + " |"
        )
    return lines


def _digits(measure: str) -> int:
    return {"ssim_y": 4, "vmaf": 1, "vmaf_neg": 1}.get(measure, 2)


def _mean(rows: Sequence[Row], method: str, measure: str) -> float:
    return sum(row["scores"][method][measure] for row in rows) / len(rows)


def card_tables(results: Mapping[str, Any], name: str) -> list[str]:
    """The text between the markers of the set's card. The card of `video` compares with `fidelity`."""
    lines = picture_table(results, name)
    if name == "video":
        for key in (*of_set(results, "video"), *of_set(results, "fidelity")):
            if table := video_table(results, key):
                lines += ["", *table]
    return lines


def summary(stems: Mapping[str, str], results: Mapping[str, Any]) -> dict[str, Any]:
    """File stem → digest, and the few figures of that very file that `paragon-stream models` shows.

    `stems` gives each set's label by the stem of its file.
    """
    table = {}
    for stem, key in stems.items():
        pictures = results["pictures"][key]
        measured = {
            f"{data} PSNR-Y": round(pictures[data]["model"]["psnr_y"], 2)
            for data in PICTURE_SETS
            if data in pictures
        }
        rows = [row for row in results["video"] if row["level"] == SUMMARY_LEVEL and key in row["scores"]]
        if rows:
            measured[f"{SUMMARY_LEVEL} gain"] = round(gains(rows, key)[0], 2)
            for plane, (mean, _) in zip("UV", chroma_gains(rows, key), strict=True):
                measured[f"{SUMMARY_LEVEL} gain of {plane}"] = round(mean, 2)
        table[stem] = {"sha256": results["weights"][f"{stem}.safetensors"], "measured": measured}
    return table


def write_card(path: Path, lines: Sequence[str]) -> None:
    """Put `lines` between the markers of a card; ValueError if it lacks them."""
    head, start, rest = path.read_text(encoding="utf-8").partition(START)
    _, end, tail = rest.partition(END)
    if not (start and end):
        raise ValueError(f"{path} lacks {START} … {END}")
    table = "\n".join(lines)
    path.write_text(f"{head}{START}\n{table}\n{END}{tail}", encoding="utf-8")
