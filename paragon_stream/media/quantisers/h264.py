"""Slice quantisers of H.264, read from packets: parameter sets and slice headers (H.264, 7.3.2 and 7.3.3).

For frames that a GPU decodes; the CPU's decoder exports more, the quantiser of every block. Only what stands
before `slice_qp_delta` is read. Numbers in parentheses are sections of the standard.
"""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.media.quantisers.bits import BitReader, HeaderError
from paragon_stream.media.quantisers.nal import ParameterSets, payload, sized_units, units

_SLICE, _IDR, _SPS, _PPS = 1, 5, 7, 8
_PARTITION_A = 2
_P, _B, _I, _SP, _SI = range(5)
_WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles."""
_MOST_OF_A_SLICE_HEADER = 1024
"""Bytes."""
_MOST_STEPS = 64
"""Largest number of turns of a loop that a flag in the header ends; there are at most 32 references."""


@dataclass(frozen=True, kw_only=True)
class _Sequence:
    separate_planes: bool
    has_chroma: bool
    number_bits: int
    order_type: int
    order_bits: int
    order_is_fixed: bool
    frames_only: bool


@dataclass(frozen=True, kw_only=True)
class _Picture:
    sequence: int
    cabac: bool
    order_of_fields: bool
    references: tuple[int, int]
    weighted: bool
    weighted_both: int
    quantiser: int
    redundant: bool


class H264Headers:
    """Reads one stream, packet by packet in coded order. `extradata` is the container's header."""

    def __init__(self, extradata: bytes | None) -> None:
        self._sets = ParameterSets(header=1, sequence=(_SPS, _read_sequence), picture=(_PPS, _read_picture))
        self._length_size = 0
        if extradata and extradata[0] == 1 and len(extradata) > 6:  # avcC (ISO/IEC 14496-15, 5.3.3.1)
            self._length_size = (extradata[4] & 3) + 1
            at = 5
            for mask in (31, 255):
                count = extradata[at] & mask if at < len(extradata) else 0
                found, at = sized_units(extradata, at + 1, count)
                for unit in found:
                    self._sets.take(_kind(unit), unit)
        elif extradata:
            for unit in units(extradata, 0):
                self._sets.take(_kind(unit), unit)

    def quantiser(self, packet: bytes) -> float | None:
        """Mean of the slices' quantisers of the picture in `packet`; None where they cannot be read.

        0…51 at every depth: 24 is the same step, relative to white. Coding without loss counts as 0.
        """
        found: list[int] = []
        for unit in units(packet, self._length_size):
            kind = _kind(unit)
            if kind in (_SLICE, _PARTITION_A, _IDR):
                try:
                    header = payload(unit, header=1, limit=_MOST_OF_A_SLICE_HEADER)
                    found.append(self._slice(BitReader(header), kind, is_reference=unit[0] & 0x60 != 0))
                except (HeaderError, KeyError):
                    continue
            else:
                self._sets.take(kind, unit)
        return max(0.0, sum(found) / len(found)) if found else None

    def _slice(self, bits: BitReader, kind: int, *, is_reference: bool) -> int:
        """The quantiser of a slice (7.3.3)."""
        bits.unsigned()  # first_mb_in_slice
        slice_type = bits.unsigned() % 5
        picture = self._sets.pictures[bits.unsigned()]
        sequence = self._sets.sequences[picture.sequence]
        bits.skip(2 * sequence.separate_planes + sequence.number_bits)  # colour_plane_id, frame_num
        field = not sequence.frames_only and bits.flag()  # field_pic_flag
        bits.skip(field)  # bottom_field_flag
        if kind == _IDR:
            bits.unsigned()  # idr_pic_id
        both_fields = picture.order_of_fields and not field
        if sequence.order_type == 0:
            bits.skip(sequence.order_bits)  # pic_order_cnt_lsb
            if both_fields:
                bits.signed()  # delta_pic_order_cnt_bottom
        elif sequence.order_type == 1 and not sequence.order_is_fixed:
            for _ in range(1 + both_fields):
                bits.signed()  # delta_pic_order_cnt
        if picture.redundant:
            bits.unsigned()  # redundant_pic_cnt
        if slice_type not in (_I, _SI):
            _skip_prediction(picture, sequence, bits, slice_type)
        if is_reference:
            _skip_marking(bits, kind)
        if picture.cabac and slice_type not in (_I, _SI):
            bits.unsigned()  # cabac_init_idc
        return picture.quantiser + bits.signed()


def _kind(unit: bytes) -> int:
    return unit[0] & 31 if unit else 0


def _skip_prediction(picture: _Picture, sequence: _Sequence, bits: BitReader, slice_type: int) -> None:
    """Skip the syntax from `direct_spatial_mv_pred_flag` to the weights (7.3.3.1, 7.3.3.2)."""
    lists = 1
    if slice_type == _B:
        lists = 2
        bits.skip(1)  # direct_spatial_mv_pred_flag
    active = list(picture.references)
    if bits.flag():  # num_ref_idx_active_override_flag
        for number in range(lists):
            active[number] = bits.unsigned() + 1
    for _ in range(lists):
        if bits.flag():  # ref_pic_list_modification_flag
            for _ in range(_MOST_STEPS):
                if bits.unsigned() == 3:
                    break
                bits.unsigned()  # the picture
    if picture.weighted_both == 1 if slice_type == _B else picture.weighted:
        bits.unsigned()  # luma_log2_weight_denom
        if sequence.has_chroma:
            bits.unsigned()  # chroma_log2_weight_denom
        for count in active[:lists]:
            for _ in range(min(count, _MOST_STEPS)):
                for pairs in (1, 2)[: 1 + sequence.has_chroma]:
                    if bits.flag():
                        for _ in range(2 * pairs):
                            bits.signed()


def _skip_marking(bits: BitReader, kind: int) -> None:
    """`dec_ref_pic_marking` (7.3.3.3)."""
    if kind == _IDR:
        bits.skip(2)  # no_output_of_prior_pics_flag, long_term_reference_flag
    elif bits.flag():  # adaptive_ref_pic_marking_mode_flag
        for _ in range(_MOST_STEPS):
            operation = bits.unsigned()
            if operation == 0:
                break
            for _ in range({1: 1, 2: 1, 3: 2, 4: 1, 6: 1}.get(operation, 0)):
                bits.unsigned()


def _read_sequence(bits: BitReader) -> tuple[int, _Sequence]:
    """7.3.2.1.1, up to `frame_mbs_only_flag`."""
    profile = bits.bits(8)
    bits.skip(16)  # constraint flags, level_idc
    number = bits.unsigned()
    chroma, separate = 1, False
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.unsigned()
        separate = chroma == 3 and bits.flag()
        bits.unsigned(), bits.unsigned()  # depths
        bits.skip(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.flag():  # seq_scaling_matrix_present_flag
            for index in range(12 if chroma == 3 else 8):
                if bits.flag():
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    number_bits = bits.unsigned() + 4
    order_type, order_bits, fixed = bits.unsigned(), 0, False
    if order_type == 0:
        order_bits = bits.unsigned() + 4
    elif order_type == 1:
        fixed = bits.flag()  # delta_pic_order_always_zero_flag
        bits.signed(), bits.signed()  # offset_for_non_ref_pic, offset_for_top_to_bottom_field
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()  # offset_for_ref_frame
    bits.unsigned()  # max_num_ref_frames
    bits.skip(1)  # gaps_in_frame_num_value_allowed_flag
    bits.unsigned(), bits.unsigned()  # size
    return number, _Sequence(
        separate_planes=separate,
        has_chroma=chroma != 0 and not separate,
        number_bits=number_bits,
        order_type=order_type,
        order_bits=order_bits,
        order_is_fixed=fixed,
        frames_only=bits.flag(),
    )


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    """7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _read_picture(bits: BitReader) -> tuple[int, _Picture]:
    """7.3.2.2, up to `redundant_pic_cnt_present_flag`. Slice groups, which are not in use, are not read."""
    number, sequence = bits.unsigned(), bits.unsigned()
    cabac, order_of_fields = bits.flag(), bits.flag()
    if bits.unsigned():
        raise HeaderError("slice groups are not read")
    references = bits.unsigned() + 1, bits.unsigned() + 1
    weighted, weighted_both = bits.flag(), bits.bits(2)
    quantiser = 26 + bits.signed()
    bits.signed(), bits.signed()  # pic_init_qs_minus26, chroma_qp_index_offset
    bits.skip(2)  # deblocking_filter_control_present_flag, constrained_intra_pred_flag
    return number, _Picture(
        sequence=sequence,
        cabac=cabac,
        order_of_fields=order_of_fields,
        references=references,
        weighted=weighted,
        weighted_both=weighted_both,
        quantiser=quantiser,
        redundant=bits.flag(),
    )
