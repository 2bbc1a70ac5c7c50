"""offline_compiler.py FILE.spirv…: compute shaders compiled by the first Vulkan driver, as one line of JSON.

Mesa's RADV compiles for a GPU that is not there: RADV_FORCE_FAMILY=phoenix. It makes pipelines and cannot do
anything else, so no library works with it: this speaks Vulkan itself, through ctypes. Files that are no
compute shaders are passed over. Each shader gives the driver's statistics (instructions, registers, spills),
and "group", the threads of its workgroups.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

_U32, _U64, _POINTER = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
_STATISTICS = b"VK_KHR_pipeline_executable_properties"
_COMPUTE_STAGE, _CAPTURE_STATISTICS = 0x20, 0x40


def _structure(name: str, number: int, *fields: tuple[str, Any]) -> type[ctypes.Structure]:
    """A structure of Vulkan's, whose `sType` is `number`."""

    def made(self: Any, **values: Any) -> None:
        ctypes.Structure.__init__(self, sType=number, **values)

    members = [("sType", _U32), ("pNext", _POINTER), *fields]
    return type(name, (ctypes.Structure,), {"_fields_": members, "__init__": made})


_ExecutableFeatures = _structure("ExecutableFeatures", 1000269000, ("on", _U32))
_Application = _structure(
    "Application", 0, ("name", ctypes.c_char_p), ("version", _U32), ("engine", ctypes.c_char_p),
    ("engine_version", _U32), ("api", _U32),
)  # fmt: skip
_Instance = _structure(
    "Instance", 1, ("flags", _U32), ("application", _POINTER), ("layers", _U32), ("layer_names", _POINTER),
    ("extensions", _U32), ("extension_names", _POINTER),
)  # fmt: skip
_Queue = _structure("Queue", 2, ("flags", _U32), ("family", _U32), ("count", _U32), ("priorities", _POINTER))
_Device = _structure(
    "Device", 3, ("flags", _U32), ("queues", _U32), ("queue", _POINTER), ("layers", _U32),
    ("layer_names", _POINTER), ("extensions", _U32), ("extension_names", _POINTER), ("features", _POINTER),
)  # fmt: skip
_Module = _structure("Module", 16, ("flags", _U32), ("size", ctypes.c_size_t), ("code", ctypes.c_char_p))
_Stage = _structure(
    "Stage", 18, ("flags", _U32), ("stage", _U32), ("module", _U64), ("name", ctypes.c_char_p),
    ("constants", _POINTER),
)  # fmt: skip
_Pipeline = _structure(
    "Pipeline", 29, ("flags", _U32), ("stage", _Stage), ("layout", _U64), ("base", _U64),
    ("base_index", ctypes.c_int32),
)  # fmt: skip
_Layout = _structure(
    "Layout", 30, ("flags", _U32), ("sets", _U32), ("set_layouts", _POINTER), ("ranges", _U32),
    ("range", _POINTER),
)  # fmt: skip
_SetLayout = _structure("SetLayout", 32, ("flags", _U32), ("count", _U32), ("bindings", _POINTER))
_Executable = _structure("Executable", 1000269003, ("pipeline", _U64), ("index", _U32))
_Statistic = _structure(
    "Statistic", 1000269004, ("name", ctypes.c_char * 256), ("description", ctypes.c_char * 256),
    ("format", _U32), ("value", _U64),
)  # fmt: skip


class _Binding(ctypes.Structure):
    _fields_ = (
        ("binding", _U32),
        ("type", _U32),
        ("count", _U32),
        ("stages", _U32),
        ("samplers", _POINTER),
    )


class Compiler:
    """The first Vulkan driver's compiler."""

    def __init__(self) -> None:
        """Raises RuntimeError where there is none, or it gives no statistics."""
        self._vulkan = ctypes.CDLL("libvulkan.so.1")
        application = _Application(api=(1 << 22) | (3 << 12))
        instance = _POINTER()
        info = _Instance(application=ctypes.addressof(application))
        self._call("vkCreateInstance", ctypes.byref(info), None, ctypes.byref(instance))
        count, gpu = _U32(1), _POINTER()
        self._call("vkEnumeratePhysicalDevices", instance, ctypes.byref(count), ctypes.byref(gpu), least=5)
        features = _ExecutableFeatures(on=1)
        priority = ctypes.c_float(1)
        queue = _Queue(count=1, priorities=ctypes.addressof(priority))
        names = (ctypes.c_char_p * 1)(_STATISTICS)
        info = _Device(
            pNext=ctypes.addressof(features),
            queues=1,
            queue=ctypes.addressof(queue),
            extensions=1,
            extension_names=ctypes.addressof(names),
        )
        self._device = _POINTER()
        self._call("vkCreateDevice", gpu, ctypes.byref(info), None, ctypes.byref(self._device))
        find = self._vulkan.vkGetDeviceProcAddr
        find.restype = _POINTER
        address = find(self._device, b"vkGetPipelineExecutableStatisticsKHR")
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, _POINTER, _POINTER, _POINTER, _POINTER)
        self._statistics = kind(address)

    def compile(self, code: bytes) -> dict[str, Any]:
        """The driver's statistics of a compute shader, by their names."""
        name, group, sets = interface(code)
        module = self._make("vkCreateShaderModule", _Module(size=len(code), code=code))
        layouts = []
        for number in range(max(sets, default=-1) + 1):
            bindings = [
                _Binding(binding, kind, 1, _COMPUTE_STAGE, None) for binding, kind in sets[number].items()
            ]
            array = (_Binding * len(bindings))(*bindings)
            info = _SetLayout(count=len(bindings), bindings=ctypes.addressof(array))
            layouts.append(self._make("vkCreateDescriptorSetLayout", info))
        handles = (_U64 * len(layouts))(*layouts)
        push = (_U32 * 3)(_COMPUTE_STAGE, 0, 128)
        layout = self._make(
            "vkCreatePipelineLayout",
            _Layout(
                sets=len(layouts),
                set_layouts=ctypes.addressof(handles),
                ranges=1,
                range=ctypes.addressof(push),
            ),
        )
        stage = _Stage(stage=_COMPUTE_STAGE, module=module, name=name)
        info = _Pipeline(flags=_CAPTURE_STATISTICS, stage=stage, layout=layout)
        pipeline = _U64()
        self._call(
            "vkCreateComputePipelines", self._device, _U64(0), 1, ctypes.byref(info), None,
            ctypes.byref(pipeline),
        )  # fmt: skip
        count, executable = _U32(0), _Executable(pipeline=pipeline.value)
        self._statistics(self._device, ctypes.addressof(executable), ctypes.addressof(count), None)
        found = (_Statistic * count.value)(*(_Statistic() for _ in range(count.value)))
        self._statistics(
            self._device, ctypes.addressof(executable), ctypes.addressof(count), ctypes.addressof(found)
        )
        return {"group": group, **{each.name.decode(): _value(each) for each in found}}

    def _make(self, function: str, info: ctypes.Structure) -> int:
        handle = _U64()
        self._call(function, self._device, ctypes.byref(info), None, ctypes.byref(handle))
        return handle.value

    def _call(self, function: str, *arguments: Any, least: int = 0) -> None:
        result = getattr(self._vulkan, function)(*arguments)
        if not 0 <= result <= least:
            raise RuntimeError(f"{function} failed: {result}")


def _value(statistic: Any) -> float:
    """The value of a statistic in the formats bool, int64 and uint64, or in float64, by its bits."""
    value = int(statistic.value)
    return float(np.uint64(value).view(np.float64)) if statistic.format == 3 else float(value)


def interface(code: bytes) -> tuple[bytes, list[int], dict[int, dict[int, int]]]:
    """The entry point of a SPIR-V module, its threads, and by set and binding the type of descriptor.

    Raises ValueError for one that is no compute shader. (Numbers: SPIR-V specification, Vulkan's headers.)
    """
    words = np.frombuffer(code, np.uint32)
    name, group, position = b"", [0, 0, 0], 5
    places: defaultdict[int, dict[int, int]] = defaultdict(dict)
    types: dict[int, tuple[int, list[int]]] = {}
    variables: list[tuple[int, int, int]] = []
    while position < len(words):
        length, operation = int(words[position] >> 16), int(words[position] & 0xFFFF)
        operands = words[position + 1 : position + length].tolist()
        if operation == 15:  # OpEntryPoint
            if operands[0] != 5:
                raise ValueError("no compute shader")
            name = words[position + 3 : position + length].tobytes().partition(b"\0")[0]
        elif operation == 16 and operands[1] == 17:  # OpExecutionMode LocalSize
            group = operands[2:5]
        elif operation == 71 and operands[1] in (3, 33, 34):  # OpDecorate BufferBlock, Binding, DescriptorSet
            places[operands[0]][operands[1]] = operands[2] if len(operands) > 2 else 1
        elif 19 <= operation <= 39:  # OpType…
            types[operands[0]] = operation, operands[1:]
        elif operation == 59:  # OpVariable
            variables.append((operands[0], operands[1], operands[2]))
        position += length
    sets: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for kind, variable, storage in variables:
        if 33 in places[variable]:
            target = types[kind][1][1]
            block = 3 in places[target]
            sets[places[variable].get(34, 0)][places[variable][33]] = _descriptor(
                storage, *types[target], block=block
            )
    return name, group, sets


def _descriptor(storage: int, operation: int, operands: list[int], *, block: bool) -> int:
    if operation == 27:  # a sampled image
        return 1
    if operation == 25:  # an image: read, or written
        return 3 if operands[5] == 2 else 2
    if operation == 26:
        return 0
    return 7 if storage == 12 or block else 6  # a buffer: storage, or uniform


def main() -> None:
    compiler = Compiler()
    found = []
    for path in map(Path, sys.argv[1:]):
        try:
            found.append({"file": path.name, **compiler.compile(path.read_bytes())})
        except ValueError:
            continue
    print(json.dumps(found))


if __name__ == "__main__":
    main()
