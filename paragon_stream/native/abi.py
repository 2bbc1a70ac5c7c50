"""The structures of `src/abi.h`, in its order."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p

ABI = 7
"""`PARAGON_ABI`: a library of another number is not loaded."""


class Bank(Structure):
    _fields_ = (
        ("step", c_int32),
        ("phases", c_int32),
        ("first", c_int32),
        ("taps", c_int32),
        ("weights", c_void_p),
    )


class Plane(Structure):
    _fields_ = (
        ("samples", c_void_p),
        ("row_bytes", c_int64),
        ("step", c_int32),
        ("bytes", c_int32),
        ("shift", c_int32),
        ("rows", c_int32),
        ("columns", c_int32),
    )


class Input(Structure):
    _fields_ = (("rows", Bank), ("columns", Bank))


class Mix(Structure):
    _fields_ = (("inputs", c_int32), ("input", c_int32 * 3), ("gain", c_float * 3))


class Term(Structure):
    _fields_ = (("mix", c_int32), ("unused", c_int32), ("rows", Bank), ("columns", Bank))


class Tail(Structure):
    _fields_ = (
        ("outputs", c_int32),
        ("first", c_int32 * 2),
        ("taps", c_int32 * 2),
        ("step", c_int32 * 2),
        ("products", c_int32),
        ("weights", c_void_p),
        ("bias", c_void_p),
    )


class Output(Structure):
    _fields_ = (
        ("rows", c_int32),
        ("columns", c_int32),
        ("offset", c_float),
        ("peak", c_float),
        ("terms", c_int32),
        ("tail", c_int32),
        ("channel", c_int32),
        ("cell", c_int32 * 2),
        ("lead", c_int32 * 2),
        ("step", c_int32 * 2),
        ("unused", c_int32),
        ("term", POINTER(Term)),
    )


class Table(Structure):
    _fields_ = (("size", c_int32), ("taps", c_int32), ("places", c_void_p), ("weights", c_void_p))


class Resize(Structure):
    _fields_ = (("rows", Table), ("columns", Table), ("peak", c_float), ("unused", c_int32))


class Block(Structure):
    _fields_ = (
        ("expand", c_void_p),
        ("depthwise", c_void_p),
        ("project", c_void_p),
        ("near_far", c_void_p),
        ("fuse", c_void_p),
        ("limit", c_float),
        ("unused", c_int32),
    )


class Program(Structure):
    _fields_ = (
        ("width", c_int32),
        ("height", c_int32),
        ("features", c_int32),
        ("blocks", c_int32),
        ("seen", c_int32),
        ("outputs", c_int32),
        ("tails", c_int32),
        ("centre", c_float),
        ("reach", (c_int32 * 2) * 2),
        ("input", POINTER(Input)),
        ("first", c_void_p),
        ("block", POINTER(Block)),
        ("mid", c_void_p),
        ("tail", POINTER(Tail)),
        ("output", POINTER(Output)),
        ("mix", POINTER(Mix)),
        ("mixes", c_int32),
        ("unused", c_int32),
        ("gelu", c_void_p),
    )


class Frame(Structure):
    _fields_ = (("inputs", POINTER(Plane)), ("outputs", POINTER(Plane)), ("first_bias", c_void_p))


class Task(Structure):
    _fields_ = (("left", c_int32), ("right", c_int32), ("top", c_int32), ("bottom", c_int32))


class StreamPlan(Structure):
    _fields_ = (("map_bytes", c_int64), ("vectors", c_int32), ("passes", c_int32))


_REALTIME = ctypes.CFUNCTYPE(c_int64, POINTER(Program), POINTER(Frame), POINTER(Task), c_void_p)
_PLAN = ctypes.CFUNCTYPE(None, POINTER(Program), POINTER(StreamPlan))
_ROWS = ctypes.CFUNCTYPE(None, POINTER(Program), c_int32, POINTER(Task))
_PASS = ctypes.CFUNCTYPE(
    c_int64, POINTER(Program), POINTER(Frame), c_int32, POINTER(Task), c_void_p, c_void_p, c_void_p
)
_CLOSE = ctypes.CFUNCTYPE(None, POINTER(Program), POINTER(Task), c_void_p)

_RESIZE = ctypes.CFUNCTYPE(c_int64, POINTER(Resize), POINTER(Plane), POINTER(Plane), POINTER(Task), c_void_p)


class Form(Structure):
    _fields_ = (
        ("lanes", c_int32),
        ("block", c_int32),
        ("realtime", _REALTIME),
        ("stream_plan", _PLAN),
        ("stream_rows", _ROWS),
        ("stream_pass", _PASS),
        ("stream_close", _CLOSE),
        ("resize", _RESIZE),
        ("peak", ctypes.CFUNCTYPE(c_int64, c_int64)),
    )
