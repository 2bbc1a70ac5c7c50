"""A verification as one self-contained HTML page."""

from __future__ import annotations

from html import escape

from paragon_stream.verification.findings import Check, Verification

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top; }
th, td { border-bottom: 1px solid #8884; }
.ok { color: #2a8a3e; } .wrong { color: #c8322b; font-weight: 600; } .skipped { color: #888; }
code { word-break: break-all; }
"""


def to_html(result: Verification) -> str:
    """The page."""
    verdict = "Nothing is wrong" if result.ok else f"{len(result.findings)} findings"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(verdict)}: '
        f"{escape(result.output)}</title><style>{_STYLE}</style></head><body>",
        f'<h1 class="{"ok" if result.ok else "wrong"}">{escape(verdict)}</h1>',
        f"<p>Source <code>{escape(result.source)}</code><br>Output <code>{escape(result.output)}</code><br>"
        f"{result.frames} frames compared</p>",
        "<h2>Checks</h2><table><tr><th>Check</th><th>Result</th></tr>",
        *(_row(result, check) for check in Check),
        "</table>",
    ]
    if result.planes:
        parts.append(
            "<h2>Planes</h2><p>Differences from the source at the source's size, in 8-bit codes and in "
            "samples of the source.</p><table><tr><th>Plane</th><th>Mean shift</th>"
            "<th>Largest shift of a frame</th>"
            "<th>Contrast</th><th>Offset right, down</th></tr>"
        )
        for plane in result.planes:
            contrast = "flat" if plane.contrast is None else f"{plane.contrast:.3f}"
            offset = (
                "not measured" if plane.offset is None else f"{plane.offset[0]:+.2f}, {plane.offset[1]:+.2f}"
            )
            parts.append(
                f"<tr><td>{plane.name}</td><td>{plane.mean_shift:+.2f}</td><td>{plane.largest_shift:.2f}</td>"
                f"<td>{contrast}</td><td>{offset}</td></tr>"
            )
        parts.append("</table>")
    if result.quality is not None:
        parts.append(
            f"<h2>Quality</h2><p>Luma, shrunk to the source's size: {result.quality[0]:.2f} dB; a Lanczos "
            f"enlargement encoded the same: {result.quality[1]:.2f} dB.</p>"
        )
    return "".join(parts) + "</body></html>\n"


def _row(result: Verification, check: Check) -> str:
    found = [finding for finding in result.findings if finding.check is check]
    if found:
        text = "<br>".join(escape(str(finding).removeprefix(f"{check}: ")) for finding in found)
        return f'<tr><td>{check}</td><td class="wrong">{text}</td></tr>'
    if check in result.skipped:
        return (
            f'<tr><td>{check}</td><td class="skipped">not checked: {escape(result.skipped[check])}</td></tr>'
        )
    if check in result.checks:
        return f'<tr><td>{check}</td><td class="ok">as expected</td></tr>'
    return f'<tr><td>{check}</td><td class="skipped">not checked</td></tr>'
