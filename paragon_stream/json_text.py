"""JSON for files and other programs."""

from __future__ import annotations

import json


def json_text(value: object, *, indent: int = 2) -> str:
    """`value` as JSON that is UTF-8 whatever is in it; what JSON has no form for is put as text.

    The bytes of a file's name that are no UTF-8 are in Python's strings as lone surrogates; they become
    escapes (`\\udce9`), which Python's `json` reads back as they were.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
