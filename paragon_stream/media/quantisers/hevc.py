"""Slice quantisers of H.265, read from packets: parameter sets and slice headers (H.265, 7.3.2 and 7.3.6).

Only what stands before `slice_qp_delta` is read. Screen content coding and the layers of multi-layer streams
are left out. Numbers in parentheses are sections of the standard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paragon_stream.media.quantisers.bits import BitReader, HeaderError
from paragon_stream.media.quantisers.nal import ParameterSets, payload, sized_units, units

_VPS, _SPS, PPS = 32, 33, 34
SLICES = range(32)
RANDOM_ACCESS = range(16, 24)
_IDR = (19, 20)
_B, _P, _I = 0, 1, 2
_MOST_OF_A_SLICE_HEADER = 1024
"""Bytes; weights for sixteen references fill a few hundred."""
_MOST_REFERENCES = 16
_SCREEN_CONTENT_PROFILES = (9, 11)

type ReferenceSet = tuple[tuple[int, bool], ...]
"""(Distance in display order, whether the current picture may refer to it), earlier ones first."""


@dataclass(frozen=True, kw_only=True)
class _Sequence:
    separate_planes: bool
    has_chroma: bool
    address_bits: int
    order_bits: int
    offsets: bool
    """Sample adaptive offset."""
    sets: tuple[ReferenceSet, ...]
    long_term: bool
    long_term_used: tuple[bool, ...]
    motion_prediction: bool


@dataclass(frozen=True, kw_only=True)
class _Picture:
    sequence: int
    dependent_slices: bool
    output_flag: bool
    extra_bits: int
    cabac_flag: bool
    references: tuple[int, int]
    quantiser: int
    weighted: tuple[bool, bool]
    """Whether P slices and B slices have weights."""
    bypass: bool
    reordering: bool


class HevcHeaders:
    """Reads one stream, packet by packet in coded order. `extradata` is the container's header."""

    def __init__(self, extradata: bytes | None) -> None:
        self._sets = ParameterSets(header=2, sequence=(_SPS, _read_sequence), picture=(PPS, _read_picture))
        self._length_size, found = stored_units(extradata)
        for unit in found:
            self._sets.take(unit_kind(unit), unit)

    def quantiser(self, packet: bytes) -> float | None:
        """Mean of the slices' quantisers of the picture in `packet`; None where they cannot be read.

        Counts like H.264's at 8 bits, at every depth. Coding without loss counts as 0.
        """
        found: list[float] = []
        for kind, unit in base_units(packet, self._length_size):
            if kind in SLICES:
                try:
                    header = payload(unit, header=2, limit=_MOST_OF_A_SLICE_HEADER)
                    value = self._slice(kind, BitReader(header))
                except (HeaderError, KeyError, IndexError):
                    continue
                found += [] if value is None else [value]
            else:
                self._sets.take(kind, unit)
        return sum(found) / len(found) if found else None

    def _slice(self, kind: int, bits: BitReader) -> float | None:
        """The quantiser of a slice (7.3.6.1); None for one that inherits it."""
        first = bits.flag()
        if kind in RANDOM_ACCESS:
            bits.skip(1)  # no_output_of_prior_pics_flag
        picture = self._sets.pictures[bits.unsigned()]
        sequence = self._sets.sequences[picture.sequence]
        if not first:
            if picture.dependent_slices and bits.flag():
                return None
            bits.skip(sequence.address_bits)  # slice_segment_address
        bits.skip(picture.extra_bits)  # slice_reserved_flag
        slice_type = bits.unsigned()
        if slice_type > _I:
            raise HeaderError("no such slice")
        bits.skip(picture.output_flag + 2 * sequence.separate_planes)  # pic_output_flag, colour_plane_id
        usable, motion = 0, False
        if kind not in _IDR:
            usable, motion = _read_references(sequence, bits)
        if sequence.offsets:
            bits.skip(1 + sequence.has_chroma)  # slice_sao_luma_flag, slice_sao_chroma_flag
        if slice_type != _I:
            _skip_prediction(picture, sequence, bits, slice_type, usable, motion)
        quantiser = picture.quantiser + bits.signed()
        return 0.0 if picture.bypass and quantiser <= 4 else float(quantiser)


def unit_kind(unit: bytes) -> int:
    """`nal_unit_type` (7.4.2.2)."""
    return unit[0] >> 1 & 63 if unit else 0


def base_units(packet: bytes, length_size: int) -> Iterator[tuple[int, bytes]]:
    """The kind and the bytes of each unit of the base layer; those of other layers are left out."""
    for unit in units(packet, length_size):
        if len(unit) >= 2 and not (unit[0] & 1 or unit[1] >> 3):
            yield unit_kind(unit), unit


def stored_units(extradata: bytes | None) -> tuple[int, list[bytes]]:
    """The number of bytes of each unit's length in packets (0: start codes), and the units of a container's
    header."""
    if not extradata:
        return 0, []
    if extradata[0] != 1 or len(extradata) <= 22:
        return 0, list(units(extradata, 0))
    found: list[bytes] = []
    at = 23
    for _ in range(extradata[22]):  # hvcC (ISO/IEC 14496-15, 8.3.3.1)
        count = int.from_bytes(extradata[at + 1 : at + 3])
        some, at = sized_units(extradata, at + 3, count)
        found += some
    return (extradata[21] & 3) + 1, found


def _read_references(sequence: _Sequence, bits: BitReader) -> tuple[int, bool]:
    """The number of pictures that the slice may refer to, and whether it predicts motion from one of them."""
    bits.skip(sequence.order_bits)  # slice_pic_order_cnt_lsb
    count = len(sequence.sets)
    if not bits.flag():  # short_term_ref_pic_set_sps_flag
        chosen = _read_set(bits, count, sequence.sets)
    else:
        chosen = sequence.sets[bits.bits((count - 1).bit_length()) if count > 1 else 0]
    usable = sum(used for _, used in chosen)
    if sequence.long_term:
        known = len(sequence.long_term_used)
        from_sequence = bits.unsigned() if known else 0
        for index in range(from_sequence + _at_most(bits.unsigned(), 33)):
            if index < from_sequence:
                usable += sequence.long_term_used[bits.bits((known - 1).bit_length()) if known > 1 else 0]
            else:
                bits.skip(sequence.order_bits)  # poc_lsb_lt
                usable += bits.flag()  # used_by_curr_pic_lt_flag
            if bits.flag():  # delta_poc_msb_present_flag
                bits.unsigned()
    return usable, sequence.motion_prediction and bits.flag()


def _skip_prediction(
    picture: _Picture, sequence: _Sequence, bits: BitReader, slice_type: int, usable: int, motion: bool
) -> None:
    lists = 2 if slice_type == _B else 1
    active = list(picture.references)
    if bits.flag():  # num_ref_idx_active_override_flag
        active[:lists] = [_at_most(bits.unsigned(), 15) + 1 for _ in range(lists)]
    if picture.reordering and usable > 1:
        for count in active[:lists]:
            if bits.flag():  # ref_pic_list_modification_flag
                bits.skip(count * (usable - 1).bit_length())
    bits.skip((slice_type == _B) + picture.cabac_flag)  # mvd_l1_zero_flag, cabac_init_flag
    if motion:
        other = slice_type == _B and not bits.flag()  # collocated_from_l0_flag
        if active[other] > 1:
            bits.unsigned()  # collocated_ref_idx
    if picture.weighted[slice_type == _B]:
        bits.unsigned()  # luma_log2_weight_denom
        if sequence.has_chroma:
            bits.signed()  # delta_chroma_log2_weight_denom
        for count in active[:lists]:
            luma = [bits.flag() for _ in range(count)]
            chroma = [sequence.has_chroma and bits.flag() for _ in range(count)]
            for number in range(count):
                for _ in range(2 * luma[number] + 4 * chroma[number]):
                    bits.signed()
    bits.unsigned()  # candidates for merging


def _read_sequence(bits: BitReader) -> tuple[int, _Sequence]:
    """7.3.2.2, up to `sps_temporal_mvp_enabled_flag`."""
    bits.skip(4)  # sps_video_parameter_set_id
    layers = bits.bits(3)  # sps_max_sub_layers_minus1
    bits.skip(1)  # sps_temporal_id_nesting_flag
    _skip_profile(bits, layers)
    number = bits.unsigned()
    chroma = bits.unsigned()
    separate = chroma == 3 and bits.flag()
    width, height = bits.unsigned(), bits.unsigned()
    if bits.flag():  # conformance_window_flag
        for _ in range(4):
            bits.unsigned()
    bits.unsigned(), bits.unsigned()  # depths
    order_bits = bits.unsigned() + 4
    for _ in range(layers + 1 if bits.flag() else 1):
        bits.unsigned(), bits.unsigned(), bits.unsigned()  # sizes of the buffers of decoded pictures
    smallest = bits.unsigned() + 3
    block = 1 << _at_most(smallest + bits.unsigned(), 16)
    for _ in range(4):
        bits.unsigned()  # sizes and depths of transform blocks
    if bits.flag() and bits.flag():  # scaling lists
        _skip_scaling_lists(bits)
    bits.skip(1)  # amp_enabled_flag
    offsets = bits.flag()  # sample_adaptive_offset_enabled_flag
    if bits.flag():  # pcm_enabled_flag
        bits.skip(8)  # depths
        bits.unsigned(), bits.unsigned()  # sizes
        bits.skip(1)  # pcm_loop_filter_disabled_flag
    sets: list[ReferenceSet] = []
    count = _at_most(bits.unsigned(), 64)
    for _ in range(count):
        sets.append(_read_set(bits, count, sets))
    long_term = bits.flag()  # long_term_ref_pics_present_flag
    used = []
    if long_term:
        for _ in range(_at_most(bits.unsigned(), 32)):
            bits.skip(order_bits)  # lt_ref_pic_poc_lsb_sps
            used.append(bits.flag())
    blocks = -(-width // block) * -(-height // block)
    return number, _Sequence(
        separate_planes=separate,
        has_chroma=chroma != 0 and not separate,
        address_bits=(blocks - 1).bit_length(),
        order_bits=order_bits,
        offsets=offsets,
        sets=tuple(sets),
        long_term=long_term,
        long_term_used=tuple(used),
        motion_prediction=bits.flag(),
    )


def _skip_profile(bits: BitReader, layers: int) -> None:
    """7.3.3."""
    bits.skip(3)  # general_profile_space, general_tier_flag
    if bits.bits(5) in _SCREEN_CONTENT_PROFILES:
        raise HeaderError("screen content coding is not read")
    bits.skip(80 + 8)  # compatibility and constraint flags, general_level_idc
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)


def _skip_scaling_lists(bits: BitReader) -> None:
    """7.3.4."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.unsigned()
                continue
            for _ in range(min(64, 1 << (4 + 2 * size)) + (size > 1)):
                bits.signed()


def _read_set(bits: BitReader, count: int, known: Sequence[ReferenceSet]) -> ReferenceSet:
    """A short-term reference picture set (7.3.7, 7.4.8); in a slice header all `count` are known."""
    index = len(known)
    if index and bits.flag():
        base = known[index - 1 - (bits.unsigned() if index == count else 0)]
        sign = -1 if bits.flag() else 1
        step = sign * (bits.unsigned() + 1)
        found = []
        # The set it is derived from, moved by `step`, and the picture that it belonged to.
        for distance, _ in (*base, (0, False)):
            used = bits.flag()
            kept = used or bits.flag()
            if kept and distance + step != 0:
                found.append((distance + step, used))
        negative = sorted((entry for entry in found if entry[0] < 0), reverse=True)
        return (*negative, *sorted(entry for entry in found if entry[0] > 0))
    earlier, later = _at_most(bits.unsigned(), _MOST_REFERENCES), _at_most(bits.unsigned(), _MOST_REFERENCES)
    entries = []
    for sign, number in ((-1, earlier), (1, later)):
        distance = 0
        for _ in range(number):
            distance += sign * (bits.unsigned() + 1)
            entries.append((distance, bits.flag()))
    return tuple(entries)


def _read_picture(bits: BitReader) -> tuple[int, _Picture]:
    """7.3.2.3, up to `lists_modification_present_flag`."""
    number, sequence = bits.unsigned(), bits.unsigned()
    dependent, output = bits.flag(), bits.flag()
    extra = bits.bits(3)
    bits.skip(1)  # sign_data_hiding_enabled_flag
    cabac = bits.flag()
    references = _at_most(bits.unsigned(), 15) + 1, _at_most(bits.unsigned(), 15) + 1
    quantiser = 26 + bits.signed()
    bits.skip(2)  # constrained_intra_pred_flag, transform_skip_enabled_flag
    if bits.flag():  # cu_qp_delta_enabled_flag
        bits.unsigned()  # diff_cu_qp_delta_depth
    bits.signed(), bits.signed()  # pps_cb_qp_offset, pps_cr_qp_offset
    bits.skip(1)  # pps_slice_chroma_qp_offsets_present_flag
    weighted = bits.flag(), bits.flag()
    bypass, tiles = bits.flag(), bits.flag()
    bits.skip(1)  # entropy_coding_sync_enabled_flag
    if tiles:
        borders = _at_most(bits.unsigned(), 64) + _at_most(bits.unsigned(), 64)
        if not bits.flag():  # uniform_spacing_flag
            for _ in range(borders):
                bits.unsigned()
        bits.skip(1)  # loop_filter_across_tiles_enabled_flag
    bits.skip(1)  # pps_loop_filter_across_slices_enabled_flag
    if bits.flag():  # deblocking_filter_control_present_flag
        bits.skip(1)  # deblocking_filter_override_enabled_flag
        if not bits.flag():  # pps_deblocking_filter_disabled_flag
            bits.signed(), bits.signed()  # pps_beta_offset_div2, pps_tc_offset_div2
    if bits.flag():  # pps_scaling_list_data_present_flag
        _skip_scaling_lists(bits)
    return number, _Picture(
        sequence=sequence,
        dependent_slices=dependent,
        output_flag=output,
        extra_bits=extra,
        cabac_flag=cabac,
        references=references,
        quantiser=quantiser,
        weighted=weighted,
        bypass=bypass,
        reordering=bits.flag(),
    )


def _at_most(value: int, limit: int) -> int:
    """`value`, after a check against the standard's bound: damaged data could otherwise cause a very long
    loop."""
    if value > limit:
        raise HeaderError("a count is out of range")
    return value
