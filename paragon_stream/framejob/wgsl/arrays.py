"""The dispatches that write the arrays of the target, out of cells of detail and the source."""

from __future__ import annotations

import math

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.cells import Cells
from paragon_stream.framejob.cuda.program import Buffer, BufferKind, PlaneLayout
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Detail, Pair
from paragon_stream.framejob.wgsl.planes import WORDS, array_text, codes_text, source_text
from paragon_stream.framejob.wgsl.program import Dispatch
from paragon_stream.framejob.wgsl.resample import (
    GROUP,
    AxisTable,
    columns_text,
    resampling_tables,
    rows_text,
    whole_text,
)
from paragon_stream.framejob.wgsl.steps import Workspace
from paragon_stream.framejob.wgsl.text import head

_STATUS_DECLARED = "<storage, read_write> status: array<atomic<u32>>"
_WORDS_DECLARED = "<storage, read_write> output: array<u32>"
_FLOATS_DECLARED = "<storage, read_write> output: array<f32>"
_TABLE_DECLARED = "<storage, read> table: array<u32>"
_STATUS = Buffer(kind=BufferKind.STATUS)


class Source:
    """The source's planes as texts declare and bind them."""

    def __init__(self, job: FrameJob) -> None:
        self.layouts = layouts(job.source, padded=False)
        self.declared = [f"<storage, read> plane_{n}: array<u32>" for n in range(len(self.layouts))]
        self.buffers = tuple(Buffer(kind=BufferKind.INPUT, index=n) for n in range(len(self.layouts)))
        self.sizes = {
            **{f"pitch_{n}": layout.pitch for n, layout in enumerate(self.layouts)},
            "width": job.source.width,
            "height": job.source.height,
        }


def layouts(format: FrameFormat, *, padded: bool) -> tuple[PlaneLayout, ...]:
    """The layouts of a format's planes: rows without gaps, or `padded` to whole words of 32 bits."""
    itemsize = format.pixel_format.bytes_per_sample
    pitches = [math.prod(shape[1:]) * itemsize for shape in format.plane_shapes]
    return tuple(
        PlaneLayout(shape=shape, itemsize=itemsize, pitch=-(-pitch // 4) * 4 if padded else pitch)
        for shape, pitch in zip(format.plane_shapes, pitches, strict=True)
    )


def unit_text(job: FrameJob) -> str:
    """Divisor of cells, so that detail of every depth fits 16-bit floats."""
    return f"const UNIT: f32 = {2.0 ** (job.target.pixel_format.depth - 8)};\n"


class Arrays:
    """The dispatches that write the arrays of the target: one for each array.

    If the target is resampled, two dispatches for each component come first: one computes the component at
    the network's scale, one resamples its rows.
    """

    def __init__(
        self,
        job: FrameJob,
        details: tuple[Detail | None, ...],
        cells: Cells,
        source: Source,
        positions: dict[int, list[int]],
        *,
        filters: int,
        single: bool,
    ) -> None:
        """`filters` is the index of the constant with the base path's filters, which begin at `positions`."""
        self._job, self._details, self._cells, self._source = job, details, cells, source
        self._positions, self._filters, self._single = positions, filters, single
        self._planes = [*job.all_outputs.values()]
        self.resampling: bytes = b""
        """The constant with the tables of the resampling; empty if nothing is resampled."""
        self._axes: list[Pair[AxisTable]] = []
        self.workspaces: tuple[int, ...] = ()
        """Sizes of the workspaces after the network's: components at the network's scale, then with resampled
        rows."""
        if not job.ends_at_network_scale:
            self.resampling, self._axes = resampling_tables(self._planes)
            self.workspaces = (
                *(4 * math.prod(plane.size) for plane in self._planes),
                *(4 * plane.resampling[0].size * plane.size[1] for plane in self._planes),
            )

    def dispatches(self) -> list[Dispatch]:
        found = enumerate(layouts(self._job.target, padded=True))
        if not self.resampling:
            return [self._array(array, layout) for array, layout in found]
        numbers = range(len(self._planes))
        return [
            *(self._whole(n) for n in numbers),
            *(self._rows(n) for n in numbers),
            *(self._resampled(array, layout) for array, layout in found),
        ]

    def _array(self, array: int, layout: PlaneLayout) -> Dispatch:
        """The dispatch that computes an array directly from the cells."""
        pixels = self._job.target.pixel_format
        computed = [plane.component for plane in self._planes if plane.component in pixels.stored[array]]
        sizes = self._from_cells | _array_sizes(layout)
        declared = [*self._declared, _STATUS_DECLARED, _WORDS_DECLARED]
        return self._dispatch(
            f"array {array}",
            declared,
            sizes,
            self._codes(computed) + array_text(pixels, pixels.stored[array], computed),
            (layout.pitch // 4, layout.shape[0]),
            WORDS,
            (*self._buffers, _STATUS, Buffer(kind=BufferKind.OUTPUT, index=array)),
        )

    def _whole(self, n: int) -> Dispatch:
        plane = self._planes[n]
        return self._dispatch(
            f"component {plane.component}",
            [*self._declared, _FLOATS_DECLARED],
            self._from_cells | {"columns": plane.size[1], "rows": plane.size[0]},
            self._codes([plane.component]) + whole_text(plane.component),
            (plane.size[1], plane.size[0]),
            GROUP,
            (*self._buffers, self._workspace(n)),
        )

    def _rows(self, n: int) -> Dispatch:
        plane, (rows, _) = self._planes[n], self._axes[n]
        return self._dispatch(
            f"rows of component {plane.component}",
            ["<storage, read> input_map: array<f32>", _TABLE_DECLARED, _FLOATS_DECLARED],
            {"columns": plane.size[1], "rows": rows.size},
            rows_text(rows),
            (plane.size[1], rows.size),
            GROUP,
            (self._workspace(n), self._table, self._workspace(n + len(self._planes))),
        )

    def _resampled(self, array: int, layout: PlaneLayout) -> Dispatch:
        pixels = self._job.target.pixel_format
        numbers = [n for n, plane in enumerate(self._planes) if plane.component in pixels.stored[array]]
        computed = [self._planes[n].component for n in numbers]
        text = "".join(columns_text(self._planes[n], self._axes[n][1]) for n in numbers)
        return self._dispatch(
            f"array {array}",
            [
                *(f"<storage, read> row_sums_{c}: array<f32>" for c in computed),
                _TABLE_DECLARED,
                _STATUS_DECLARED,
                _WORDS_DECLARED,
            ],
            _array_sizes(layout),
            text + array_text(pixels, pixels.stored[array], computed),
            (layout.pitch // 4, layout.shape[0]),
            WORDS,
            (
                *(self._workspace(n + len(self._planes)) for n in numbers),
                self._table,
                _STATUS,
                Buffer(kind=BufferKind.OUTPUT, index=array),
            ),
        )

    def _dispatch(
        self,
        name: str,
        declared: list[str],
        sizes: dict[str, int],
        text: str,
        threads: Pair[int],
        group: Pair[int],
        buffers: tuple[Buffer, ...],
    ) -> Dispatch:
        """A dispatch; `threads` and `group` are (across, down)."""
        return Dispatch(
            name=name,
            text=head(declared, [*sizes], half=False, single=self._single) + text,
            grid=(math.ceil(threads[0] / group[0]), math.ceil(threads[1] / group[1]), 1),
            buffers=buffers,
            sizes=tuple(sizes.values()),
        )

    def _codes(self, components: list[int]) -> str:
        text = codes_text(self._job, components, self._details, self._positions, self._cells.lead)
        return unit_text(self._job) + source_text(self._job) + text

    @property
    def _declared(self) -> list[str]:
        return [
            *self._source.declared,
            "<storage, read> weights: array<f32>",
            "<storage, read> cells: array<Pair>",
        ]

    @property
    def _buffers(self) -> tuple[Buffer, ...]:
        """The buffers of `_declared`."""
        return (
            *self._source.buffers,
            Buffer(kind=BufferKind.CONSTANT, index=self._filters),
            Buffer(kind=BufferKind.WORKSPACE, index=Workspace.CELLS),
        )

    @property
    def _from_cells(self) -> dict[str, int]:
        rows, columns = self._cells.size
        return {**self._source.sizes, "cell_columns": columns, "cell_rows": rows}

    @property
    def _table(self) -> Buffer:
        return Buffer(kind=BufferKind.CONSTANT, index=self._filters + 1)

    def _workspace(self, n: int) -> Buffer:
        return Buffer(kind=BufferKind.WORKSPACE, index=len(Workspace) + n)


def _array_sizes(layout: PlaneLayout) -> dict[str, int]:
    return {
        "row_bytes": math.prod(layout.shape[1:]) * layout.itemsize,
        "rows": layout.shape[0],
        "pitch": layout.pitch,
    }
