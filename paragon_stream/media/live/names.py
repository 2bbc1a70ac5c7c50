"""Names of sources and outputs for display, without passwords and stream keys."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^/?#]*@")
"""Up to the last "@" of the host's part, as FFmpeg reads it: passwords may contain "@"."""
_QUERY = re.compile(r"\?.*$")
_KEY = re.compile(r"^(rtmps?://[^/]+/[^/]+/).+$", re.IGNORECASE)


def shown_name(url: str) -> str:
    """`url` without login and query; of an RTMP address also without the last part, which is the key."""
    if "://" not in url:
        return url
    return _KEY.sub(r"\1…", _QUERY.sub("?…", _LOGIN.sub("…@", url)))
