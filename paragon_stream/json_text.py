"""JSON for files and other programs."""

from __future__ import annotations

import json


def json_text(value: object, *, indent: int | None = 2, ascii: bool = False) -> str:
    """`value` as JSON that is always valid UTF-8; objects that JSON cannot represent become text. With
    `indent` None it is one line. With `ascii` all other letters are escapes, for standard output, whose
    encoding the environment decides.

    In Python's strings, bytes of a file name that are not UTF-8 are lone surrogates. They become escapes
    (`\\udce9`), which Python's `json` reads back unchanged.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=ascii, default=str)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
