"""Names of sources and outputs for display, without passwords and stream keys."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^/@]+@")
_QUERY = re.compile(r"\?.*$")
_KEY = re.compile(r"^(rtmps?://[^/]+/[^/]+/).+$", re.IGNORECASE)


def shown_name(url: str) -> str:
    """`url` without login and query; of an RTMP address also without the last part, which is the key."""
    if "://" not in url:
        return url
    bare = _QUERY.sub("?…", _LOGIN.sub("…@", url)) if _LOGIN.search(url) or "?" in url else url
    return _KEY.sub(r"\1…", bare)
