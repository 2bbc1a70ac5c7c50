"""Names and shapes of the tensors of layers that several lines have. `f` is a number of features."""

from __future__ import annotations

type Shapes = dict[str, tuple[int, ...]]


def conv(name: str, outputs: int, inputs: int, kernel: int, *, bias: bool = True) -> Shapes:
    """A square convolution; depthwise if `inputs` is 1."""
    shapes: Shapes = {f"{name}.weight": (outputs, inputs, kernel, kernel)}
    return shapes | ({f"{name}.bias": (outputs,)} if bias else {})


def linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def affine(name: str, f: int) -> Shapes:
    """Weight and bias of a norm over channels."""
    return {f"{name}.weight": (f,), f"{name}.bias": (f,)}


def layer_scale(name: str, f: int, *, flat: bool = False) -> Shapes:
    """`flat`: one axis, as the older generations store it."""
    return {f"{name}.gamma": (f,) if flat else (1, f, 1, 1)}


def inception(name: str, f: int, band: int) -> Shapes:
    """Three depthwise convolutions of an eighth of the channels each: 3×3, a row, a column."""
    part = max(1, f // 8)
    shapes: Shapes = {}
    for axis, kernel in (("hw", (3, 3)), ("w", (1, band)), ("h", (band, 1))):
        shapes |= {f"{name}.dwconv_{axis}.weight": (part, 1, *kernel), f"{name}.dwconv_{axis}.bias": (part,)}
    return shapes


def squeeze_excite(name: str, f: int, squeezed: int) -> Shapes:
    """Two 1×1 convolutions on means over the picture: places 1 and 3 of a sequence."""
    return conv(f"{name}.1", squeezed, f, 1) | conv(f"{name}.3", f, squeezed, 1)


def magic_kernel(name: str, channels: int, *, sources: bool = False) -> Shapes:
    """The fixed filters of a MagicKernel resampler; `sources`: with the buffers of generation 8."""
    shapes: Shapes = {}
    for part, taps in (("sharpen", 7), ("resample_conv", 5)):
        if sources:
            shapes[f"{name}.{part}.source_kernel"] = (taps,)
        shapes[f"{name}.{part}.conv_h.weight"] = (channels, 1, 1, taps)
        shapes[f"{name}.{part}.conv_v.weight"] = (channels, 1, taps, 1)
    return shapes


def within(prefix: str, shapes: Shapes) -> Shapes:
    """The same tensors under `prefix`."""
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}
