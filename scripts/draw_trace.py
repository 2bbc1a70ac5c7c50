"""Draw a piece of a trace as an SVG: one row per track, time from left to right.

scripts/python scripts/draw_trace.py trace.json docs/images/trace.svg [--from 0.5] [--seconds 0.2]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, LEFT, ROW, TOP = 1000, 190, 24, 34
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#edc948", "#e15759", "#9c755f")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trace", type=Path)
    parser.add_argument("svg", type=Path)
    parser.add_argument("--from", dest="begin", type=float, default=0.0, help="seconds into the trace")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--title", default="Where a render's time goes")
    options = parser.parse_args()
    text = draw(options.trace.read_text(), options.begin, options.seconds, options.title)
    options.svg.write_text(text, encoding="utf-8")


def draw(trace: str, begin: float, seconds: float, title: str) -> str:
    """The SVG of what happened between `begin` and `begin + seconds`."""
    events = json.loads(trace)["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    rows = {number: index for index, number in enumerate(tracks)}
    height = TOP + ROW * len(rows) + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11"><title>{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for number, index in rows.items():
        y = TOP + ROW * index
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{WIDTH - LEFT}" height="{ROW - 4}" fill="#f2f2f2"/>')
        label = escape(tracks[number])
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{label}</text>')
    scale = (WIDTH - LEFT) / seconds
    for event in events:
        if event["ph"] != "X":
            continue
        start = max(0.0, event["ts"] / 1e6 - begin)
        end = min(seconds, (event["ts"] + event["dur"]) / 1e6 - begin)
        if end <= start:
            continue
        digits = "".join(filter(str.isdigit, event["name"])) or "0"
        x, width = LEFT + start * scale, max(0.5, (end - start) * scale)
        y = TOP + ROW * rows[event["tid"]]
        colour = COLOURS[int(digits) % len(COLOURS)]
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 4}" fill="{colour}"/>')
        if width > 7 * len(digits) + 4:
            middle = f'x="{x + width / 2:.1f}" y="{y + 14}" text-anchor="middle"'
            parts.append(f'<text {middle} fill="white">{digits}</text>')
    foot = height - 8
    parts.append(f'<text x="{LEFT}" y="{foot}">{begin * 1000:.0f} ms</text>')
    parts.append(f'<text x="{WIDTH}" y="{foot}" text-anchor="end">{(begin + seconds) * 1000:.0f} ms</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
