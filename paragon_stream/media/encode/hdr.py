"""HDR10 static metadata as parameters of encoders."""

from __future__ import annotations

import re
from fractions import Fraction

from paragon_stream.media.facts.info import HdrMetadata


def hdr_parameters(encoder: str, hdr: HdrMetadata) -> list[str]:
    """HDR10 static metadata as KEY=VALUE for the parameter list of `encoder`; empty if it has no such keys.

    x264 and x265 count chromaticities in 1/50000 and luminance in 1/10000 cd/m², SVT-AV1 in plain units.
    """
    display, light = hdr.mastering_display, hdr.content_light
    levels = f"{light[0]},{light[1]}" if light else None
    if encoder == "libsvtav1" and display:
        display = _in_plain_units(display)
    keys = {
        "libx264": ("mastering-display", "cll"),
        "libx265": ("master-display", "max-cll"),
        "libsvtav1": ("mastering-display", "content-light"),
    }.get(encoder)
    if keys is None:
        return []
    return [f"{key}={value}" for key, value in zip(keys, (display, levels), strict=True) if value]


def _in_plain_units(display: str) -> str:
    def plain(match: re.Match[str]) -> str:
        unit = 10_000 if match["what"] == "L" else 50_000
        first, second = (float(Fraction(int(match[n]), unit)) for n in ("first", "second"))
        return f"{match['what']}({first:.6g},{second:.6g})"

    return re.sub(r"(?P<what>G|B|R|WP|L)\((?P<first>\d+),(?P<second>\d+)\)", plain, display)
