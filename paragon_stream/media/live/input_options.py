"""The options of FFmpeg's demuxers, devices and protocols.

FFmpeg ignores unknown options, and PyAV neither reports nor lists them. Therefore this module reads the list
from the FFmpeg library that PyAV has loaded: a class lists its options and its children.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache

from av.container import core

from paragon_stream.errors import UsageError, suggestion

_Pointer = ctypes.c_void_p


def check_input_options(names: Iterable[str]) -> None:
    """Raise UsageError for a name that is no option of FFmpeg's."""
    known = _known()
    for name in names:
        if known and name not in known:
            hint = suggestion(name, known)
            raise UsageError(f"--input-option {name}: FFmpeg's inputs have no such option{hint}")


@cache
def _known() -> frozenset[str]:
    """The names of all options of FFmpeg's formats and protocols; empty if the library cannot be read."""
    try:
        # On Windows a library does not resolve the symbols of its dependencies.
        library = ctypes.CDLL(core.__file__)
        root, options, children = (
            library.avformat_get_class,
            library.av_opt_next,
            library.av_opt_child_class_iterate,
        )
    except (OSError, AttributeError):
        return frozenset()
    root.restype = options.restype = children.restype = _Pointer
    options.argtypes, children.argtypes = (_Pointer, _Pointer), (_Pointer, _Pointer)
    found: set[str] = set()
    classes: list[int] = [root()]
    while classes:
        of = classes.pop()
        instance = _Pointer(of)  # an object begins with the address of its class
        option = None
        while option := options(ctypes.byref(instance), option):
            # An AVOption begins with its name.
            found.add(ctypes.cast(option, ctypes.POINTER(ctypes.c_char_p))[0].decode())
        state = _Pointer()
        while child := children(of, ctypes.byref(state)):
            classes.append(child)
    return frozenset(found)
