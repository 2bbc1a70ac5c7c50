"""Names of sources and outputs: for display, without passwords and stream keys; the hosts in them."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

_LOGIN = re.compile(r"(?<=://)[^/?#]*@")
"""Up to the last "@" of the host's part, as FFmpeg reads it: passwords may contain "@"."""
_QUERY = re.compile(r"\?.*$")
_KEY = re.compile(r"^(rtmps?://[^/]+/[^/]+/).+$", re.IGNORECASE)


def shown_name(url: str) -> str:
    """`url` without login and query; of an RTMP address also without the last part, which is the key."""
    if "://" not in url:
        return url
    return _KEY.sub(r"\1…", _QUERY.sub("?…", _LOGIN.sub("…@", url)))


def has_host(url: str) -> bool:
    """Whether the host in `url` is known. It is looked up, which may take seconds."""
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None, flags=socket.AI_PASSIVE)
    except (OSError, ValueError):
        return False
    return True
