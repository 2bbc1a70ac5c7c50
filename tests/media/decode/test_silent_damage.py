"""Damage that FFmpeg's decoders only log: pictures left out, and pictures that are delivered as if whole."""

from __future__ import annotations

from collections.abc import Callable, Collection
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clip_damage import packets_changed
from clips import make_clip

from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.decode.seeking import decoder_at
from paragon_stream.media.facts.info import Damage
from paragon_stream.media.live.connection import Connection, DecodedFrame
from paragon_stream.media.live.source import CaptureOptions, find_source
from paragon_stream.media.measure.roundtrip import QUIET_X265
from paragon_stream.media.quantisers.hevc import base_units, stored_units

FRAMES = 40
HEVC = f"{QUIET_X265}:keyint=10:bframes=3:b-adapt=0"


def changed(source: Path, target: Path, numbers: Collection[int], change: Callable[[bytes], bytes]) -> Path:
    """The video of a file, with `change` applied to the packets of these numbers."""
    return packets_changed(source, target, lambda number, data: change(data) if number in numbers else data)


def decoded(path: Path, *, threads: int = 1, most: int | None = None) -> tuple[int, Damage]:
    """The number of frames, of `most`, and the damage that was found until then."""
    decoder = Decoder(path, 0, threads=threads)
    count = 0
    for _ in decoder:
        count += 1
        if count == most:
            break
    damage = decoder.damage
    decoder.close()
    return count, damage


def without_slice_header(packet: bytes) -> bytes:
    """Ones behind the header of the last NAL unit, which is the slice (lengths of four bytes)."""
    at = 0
    while (end := at + 4 + int.from_bytes(packet[at : at + 4])) < len(packet):
        at = end
    return packet[: at + 6] + b"\xff" * 12 + packet[at + 18 :]


@pytest.mark.parametrize("open_gop", [0, 1])
@pytest.mark.parametrize("threads", [1, 3])
def test_hevc_pictures_that_the_decoder_leaves_out(tmp_path: Path, open_gop: int, threads: int) -> None:
    options = {"x265-params": f"{HEVC}:open-gop={open_gop}"}
    whole = make_clip(tmp_path / "whole.mkv", codec="libx265", options=options, frames=FRAMES)
    assert decoded(whole, threads=threads) == (FRAMES, Damage())
    broken = changed(whole, tmp_path / "broken.mkv", {12, 13, 31}, without_slice_header)
    count, damage = decoded(broken, threads=threads)
    assert count < FRAMES and count + damage.undecodable_packets == FRAMES
    _, early = decoded(broken, threads=threads, most=count - 1)  # the reader stops before the end
    assert 0 < early.undecodable_packets < damage.undecodable_packets


def test_hevc_pictures_that_a_live_session_leaves_out(tmp_path: Path) -> None:
    options = {"x265-params": HEVC}
    whole = make_clip(tmp_path / "whole.mkv", codec="libx265", options=options, frames=2 * FRAMES)
    broken = changed(whole, tmp_path / "broken.mkv", {12, 31}, without_slice_header)
    for path, lost in ((whole, False), (broken, True)):
        source = find_source(str(path), CaptureOptions(), "linux")
        connection = Connection(source, quantisers=False, sound=False, patience=None)
        count = sum(isinstance(item, DecodedFrame) for item in connection)
        assert connection.damage.undecodable_packets == 2 * FRAMES - count
        assert (count < 2 * FRAMES) is lost
        connection.close()


@pytest.mark.parametrize("open_gop", [0, 1])
def test_no_hevc_picture_is_missed_where_decoding_begins_in_the_middle(tmp_path: Path, open_gop: int) -> None:
    """Decoders skip pictures that refer to what precedes the key frame, and recordings begin anywhere."""
    options = {"x265-params": f"{HEVC}:open-gop={open_gop}"}
    whole = make_clip(tmp_path / "whole.ts", codec="libx265", options=options, frames=FRAMES)
    later, frames = decoder_at(whole, 0, Fraction(3), threads=2)
    assert 0 < len(list(frames)) <= FRAMES and later.damage == Damage()
    later.close()
    data = whole.read_bytes()
    middle = len(data) // 188 // 2 * 188
    (tmp_path / "later.ts").write_bytes(data[: 3 * 188] + data[middle:])
    count, damage = decoded(tmp_path / "later.ts")
    assert 0 < count < FRAMES and damage.undecodable_packets == 0


def test_hevc_pictures_around_an_end_of_sequence(tmp_path: Path) -> None:
    """Decoders skip the pictures behind it that refer to pictures before it, as at the beginning of a stream.
    They also discard those before it that wait to be shown, which counts (H.265, C.5.2.2)."""
    options = {"x265-params": f"{HEVC}:open-gop=1"}
    whole = make_clip(tmp_path / "whole.mkv", codec="libx265", options=options, frames=FRAMES)
    with av.open(str(whole)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
        length_size, _ = stored_units(file.streams.video[0].codec_context.extradata)
    kinds = [{kind for kind, _ in base_units(packet, length_size)} for packet in packets]
    keys = [number for number, found in enumerate(kinds) if 21 in found]
    skipped = sum(bool(found & {8, 9}) for found in kinds[keys[0] : keys[1]])
    assert skipped
    end = b"\0\0\0\2\x48\1"  # a length, and a unit of type 36, which is its header alone
    parted = changed(whole, tmp_path / "parted.mkv", {keys[0] - 1}, lambda data: data + end)
    count, damage = decoded(parted)
    assert count + damage.undecodable_packets == FRAMES - skipped


def motion_jpeg(folder: Path) -> Path:
    return make_clip(folder / "in.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=12)


def test_motion_jpeg_pictures_without_an_end(tmp_path: Path) -> None:
    whole = motion_jpeg(tmp_path)
    assert decoded(whole) == (12, Damage())
    broken = changed(whole, tmp_path / "broken.avi", {0, 5, 9}, lambda data: data[: len(data) // 2])
    assert decoded(broken)[1] == Damage(corrupt_frames=3)


def test_a_camera_that_writes_no_end_markers(tmp_path: Path) -> None:
    bare = changed(motion_jpeg(tmp_path), tmp_path / "bare.avi", range(12), lambda data: data[:-2])
    assert decoded(bare) == (12, Damage())


def test_the_first_picture_with_a_wrong_checksum_counts(tmp_path: Path) -> None:
    options = {"level": "3", "slicecrc": "1", "g": "1"}
    whole = make_clip(tmp_path / "whole.mkv", codec="ffv1", options=options)
    middle = lambda data: data[: len(data) // 2] + bytes(20) + data[len(data) // 2 + 20 :]  # noqa: E731
    broken = changed(whole, tmp_path / "broken.mkv", {0, 7}, middle)
    assert decoded(broken)[1] == Damage(corrupt_frames=2)
