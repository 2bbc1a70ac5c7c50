"""Quantiser indices of AV1, read from packets: sequence and frame headers up to `base_q_idx`.

Numbers in parentheses are sections of the AV1 bitstream specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from paragon_stream.media.quantisers.bits import BitReader, HeaderError

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY, _INTRA_ONLY, _SWITCH = 0, 2, 3
_SELECT = 2
"""`seq_force_…`: each frame header has its own value."""
_SLOTS, _REFERENCES = 8, 7
_MOST_OF_A_HEADER = 512
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class _Sequence:
    still: bool
    """A still picture's reduced header."""
    display_time_bits: int
    """Length of `frame_presentation_time` in bits; 0 if there is none."""
    removal_times: tuple[tuple[int, bool], ...]
    """For each operating point its layers, and whether frames carry its buffer removal time."""
    decoder_model: bool
    removal_time_bits: int
    size_bits: tuple[int, int]
    size: tuple[int, int]
    frame_id_bits: int
    delta_id_bits: int
    large_blocks: bool
    motion_of_references: bool
    screen_content: int
    integer_motion: int
    order_bits: int
    super_resolution: bool


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Facts of a frame that are kept in a reference slot."""

    quantiser: int
    size: tuple[int, int]
    """Width before super-resolution shrank it, height."""
    key: bool


class Av1Headers:
    """Reads one stream, packet by packet in coded order. `extradata` is the container's header."""

    def __init__(self, extradata: bytes | None) -> None:
        self._sequence: _Sequence | None = None
        self._slots: list[_Frame | None] = [None] * _SLOTS
        if extradata and extradata[0] == 0x81:  # av1C
            self.quantiser(extradata[4:])

    def quantiser(self, packet: bytes) -> float | None:
        """`base_q_idx` (0…255; 0 is lossless) of the frame that `packet` shows; None if it is unknown."""
        shown: _Frame | None = None
        try:
            for kind, layers, data in _units(packet):
                if kind == _SEQUENCE_HEADER:
                    self._sequence = _read_sequence(BitReader(data))
                elif kind in (_FRAME_HEADER, _FRAME):
                    shown = self._frame(BitReader(data[:_MOST_OF_A_HEADER]), layers) or shown
        except HeaderError:
            return None
        return None if shown is None else float(shown.quantiser)

    def _frame(self, bits: BitReader, layers: tuple[int, int]) -> _Frame | None:
        """Reads an uncompressed header (5.9.2); the frame if it is shown."""
        sequence = self._sequence
        if sequence is None:
            raise HeaderError("no sequence header yet")
        kind, shown, resilient = _KEY, True, True
        if not sequence.still:
            if bits.flag():  # show_existing_frame
                existing = self._slots[bits.bits(3)]  # frame_to_show_map_idx
                if existing is not None and existing.key:
                    self._slots = [existing] * _SLOTS
                return existing
            kind, shown = bits.bits(2), bits.flag()  # frame_type, show_frame
            if shown:
                bits.skip(sequence.display_time_bits)  # frame_presentation_time
            else:
                bits.skip(1)  # showable_frame
            resilient = kind == _SWITCH or (kind == _KEY and shown) or bits.flag()  # error_resilient_mode
        intra = kind in (_KEY, _INTRA_ONLY)
        fixed_distribution = bits.flag()  # disable_cdf_update
        screen_content = bits.flag() if sequence.screen_content == _SELECT else sequence.screen_content == 1
        integer_motion = intra
        if screen_content:
            flag = bits.flag() if sequence.integer_motion == _SELECT else sequence.integer_motion == 1
            integer_motion = integer_motion or flag
        bits.skip(sequence.frame_id_bits)  # current_frame_id
        own_size = kind == _SWITCH or (not sequence.still and bits.flag())  # frame_size_override_flag
        bits.skip(sequence.order_bits)  # order_hint
        if not (intra or resilient):
            bits.skip(3)  # primary_ref_frame
        if sequence.decoder_model and bits.flag():  # buffer_removal_time_present_flag
            _skip_removal_times(sequence, bits, layers)
        refreshed = 0xFF if kind == _SWITCH or (kind == _KEY and shown) else bits.bits(8)
        if (not intra or refreshed != 0xFF) and resilient:
            bits.skip(_SLOTS * sequence.order_bits)  # ref_order_hint
        if intra:
            size, coded_width = _read_size(sequence, bits, own_size)
            if screen_content and coded_width == size[0]:
                bits.skip(1)  # allow_intrabc
        else:
            size, coded_width = self._inter_size(sequence, bits, own_size and not resilient, own_size)
            if not integer_motion:
                bits.skip(1)  # allow_high_precision_mv
            if not bits.flag():  # is_filter_switchable
                bits.skip(2)  # interpolation_filter
            bits.skip(1)  # is_motion_mode_switchable
            if not resilient and sequence.motion_of_references:
                bits.skip(1)  # use_ref_frame_mvs
        if not (sequence.still or fixed_distribution):
            bits.skip(1)  # disable_frame_end_update_cdf
        _skip_tiles(bits, coded_width, size[1], large_blocks=sequence.large_blocks)
        frame = _Frame(quantiser=bits.bits(8), size=size, key=kind == _KEY)
        for slot in range(_SLOTS):
            if refreshed >> slot & 1:
                self._slots[slot] = frame
        return frame if shown else None

    def _inter_size(
        self, sequence: _Sequence, bits: BitReader, from_references: bool, own_size: bool
    ) -> tuple[tuple[int, int], int]:
        """References and size (7.20 of short signalling is only needed for sizes by reference)."""
        short = sequence.order_bits > 0 and bits.flag()  # frame_refs_short_signaling
        if short:
            bits.skip(6)  # last_frame_idx, gold_frame_idx
        references = []
        for _ in range(_REFERENCES):
            if not short:
                references.append(bits.bits(3))  # ref_frame_idx
            bits.skip(sequence.delta_id_bits)  # delta_frame_id_minus_1
        if from_references:
            for number in range(_REFERENCES):
                if bits.flag():  # found_ref
                    found = self._slots[references[number]] if references else None
                    if found is None:
                        raise HeaderError("the size is that of an unknown frame")
                    return found.size, _read_coded_width(sequence, bits, found.size[0])
        return _read_size(sequence, bits, own_size)


def _units(packet: bytes) -> Iterator[tuple[int, tuple[int, int], bytes]]:
    """(Type, (temporal layer, spatial layer), content) of each OBU (5.3)."""
    at = 0
    while at < len(packet):
        head = packet[at]
        at += 1
        layers = 0, 0
        if head & 4:
            if at >= len(packet):
                raise HeaderError("the packet is cut off")
            layers = packet[at] >> 5, packet[at] >> 3 & 3
            at += 1
        size = len(packet) - at
        if head & 2:
            size, shift = 0, 0
            while True:
                if at >= len(packet) or shift > 49:
                    raise HeaderError("the packet is cut off")
                byte = packet[at]
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        yield head >> 3 & 15, layers, packet[at : at + size]
        at += size


def _read_sequence(bits: BitReader) -> _Sequence:
    """5.5.1, up to `enable_superres`."""
    bits.skip(4)  # seq_profile, still_picture
    still = bits.flag()  # reduced_still_picture_header
    if still:
        bits.skip(5)  # seq_level_idx
    timing = _Timing() if still else _read_timing(bits)
    width_bits, height_bits = bits.bits(4) + 1, bits.bits(4) + 1
    size = bits.bits(width_bits) + 1, bits.bits(height_bits) + 1
    id_bits = delta_bits = 0
    if not still and bits.flag():  # frame_id_numbers_present_flag
        delta_bits = bits.bits(4) + 2
        id_bits = bits.bits(3) + delta_bits + 1
    large = bits.flag()  # use_128x128_superblock
    bits.skip(2)  # enable_filter_intra, enable_intra_edge_filter
    screen, integer, order_bits, motion = _SELECT, _SELECT, 0, False
    if not still:
        bits.skip(4)  # interintra and masked compounds, warped motion, dual filter
        ordered = bits.flag()  # enable_order_hint
        if ordered:
            bits.skip(1)  # enable_jnt_comp
            motion = bits.flag()  # enable_ref_frame_mvs
        screen = _SELECT if bits.flag() else bits.bits(1)
        if screen:
            integer = _SELECT if bits.flag() else bits.bits(1)
        if ordered:
            order_bits = bits.bits(3) + 1
    return _Sequence(
        still=still,
        display_time_bits=timing.display_time_bits,
        removal_times=timing.removal_times,
        decoder_model=timing.decoder_model,
        removal_time_bits=timing.removal_time_bits,
        size_bits=(width_bits, height_bits),
        size=size,
        frame_id_bits=id_bits,
        delta_id_bits=delta_bits,
        large_blocks=large,
        motion_of_references=motion,
        screen_content=screen,
        integer_motion=integer,
        order_bits=order_bits,
        super_resolution=bits.flag(),
    )


class _Timing(NamedTuple):
    """The part of a sequence header about times; see `_Sequence`."""

    display_time_bits: int = 0
    removal_times: tuple[tuple[int, bool], ...] = ()
    decoder_model: bool = False
    removal_time_bits: int = 0


def _read_timing(bits: BitReader) -> _Timing:
    """The part of 5.5.1 from `timing_info_present_flag` to the operating points."""
    decoder_model = equal_intervals = False
    delay_bits = removal_bits = time_bits = 0
    if bits.flag():
        bits.skip(64)  # num_units_in_display_tick, time_scale
        equal_intervals = bits.flag()  # equal_picture_interval
        if equal_intervals:
            _skip_long(bits)  # num_ticks_per_picture_minus_1
        decoder_model = bits.flag()
        if decoder_model:
            delay_bits = bits.bits(5) + 1
            bits.skip(32)  # num_units_in_decoding_tick
            removal_bits, time_bits = bits.bits(5) + 1, bits.bits(5) + 1
    delays = bits.flag()  # initial_display_delay_present_flag
    points = []
    for _ in range(bits.bits(5) + 1):
        layers = bits.bits(12)  # operating_point_idc
        if bits.bits(5) > 7:  # seq_level_idx
            bits.skip(1)  # seq_tier
        modelled = decoder_model and bits.flag()
        if modelled:
            bits.skip(2 * delay_bits + 1)  # buffer delays of decoder and encoder, low_delay_mode_flag
        if delays and bits.flag():
            bits.skip(4)  # initial_display_delay_minus_1
        points.append((layers, modelled))
    return _Timing(
        display_time_bits=time_bits if decoder_model and not equal_intervals else 0,
        removal_times=tuple(points),
        decoder_model=decoder_model,
        removal_time_bits=removal_bits,
    )


def _skip_long(bits: BitReader) -> None:
    """uvlc() (4.10.3)."""
    zeros = 0
    while not bits.flag():
        zeros += 1
    if zeros < 32:
        bits.skip(zeros)


def _skip_removal_times(sequence: _Sequence, bits: BitReader, layers: tuple[int, int]) -> None:
    temporal, spatial = layers
    for point, modelled in sequence.removal_times:
        inside = point >> temporal & 1 and point >> (spatial + 8) & 1
        if modelled and (point == 0 or inside):
            bits.skip(sequence.removal_time_bits)


def _read_size(sequence: _Sequence, bits: BitReader, own: bool) -> tuple[tuple[int, int], int]:
    """(Size, coded width) and the size to show (5.9.5, 5.9.6)."""
    size = sequence.size
    if own:
        size = bits.bits(sequence.size_bits[0]) + 1, bits.bits(sequence.size_bits[1]) + 1
    coded = _read_coded_width(sequence, bits, size[0])
    if bits.flag():  # render_and_frame_size_different
        bits.skip(32)
    return size, coded


def _read_coded_width(sequence: _Sequence, bits: BitReader, width: int) -> int:
    """5.9.8."""
    if not (sequence.super_resolution and bits.flag()):
        return width
    denominator = bits.bits(3) + 9
    return (8 * width + denominator // 2) // denominator


def _skip_tiles(bits: BitReader, width: int, height: int, *, large_blocks: bool) -> None:
    """5.9.15. Sizes are in superblocks from here on."""
    shift = 7 if large_blocks else 6
    columns, rows = ((2 * ((side + 7) >> 3) * 4 + (1 << shift) - 1) >> shift for side in (width, height))
    widest, largest = 4096 >> shift, (4096 * 2304) >> (2 * shift)
    fewest_columns = _log2_above(widest, columns)
    fewest = max(fewest_columns, _log2_above(largest, rows * columns))
    if bits.flag():  # uniform_tile_spacing_flag
        across = _read_increments(bits, fewest_columns, _log2_above(1, min(columns, 64)))
        down = _read_increments(bits, max(fewest - across, 0), _log2_above(1, min(rows, 64)))
    else:
        widths = _read_spans(bits, columns, widest)
        area = (rows * columns) >> (fewest + 1 if fewest else 0)
        heights = _read_spans(bits, rows, max(area // max(widths), 1))
        across, down = _log2_above(1, len(widths)), _log2_above(1, len(heights))
    if across or down:
        bits.skip(across + down + 2)  # context_update_tile_id, tile_size_bytes_minus_1


def _log2_above(unit: int, target: int) -> int:
    """Smallest k with unit · 2**k ≥ target."""
    k = 0
    while unit << k < target:
        k += 1
    return k


def _read_increments(bits: BitReader, low: int, high: int) -> int:
    while low < high and bits.flag():
        low += 1
    return low


def _read_spans(bits: BitReader, total: int, most: int) -> list[int]:
    spans: list[int] = []
    while total > 0:
        spans.append(bits.below(min(total, most)) + 1)
        total -= spans[-1]
    return spans
