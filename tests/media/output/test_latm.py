"""AAC out of LATM: the same frames, which sound the same."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip
from numpy.typing import NDArray
from rendering import render

from paragon_stream.media.output.aac.latm import LatmError, LatmFilter, bare_aac_of, frames
from paragon_stream.media.output.stream_plans import Action
from paragon_stream.media.source.probing import HEADERS

LATM = {"mpegts_flags": "+latm"}


def samples(path: Path) -> NDArray[np.float32]:
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("latm") / "in.ts"
    return make_clip(path, frames=50, audio="aac", container_options=LATM)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
def test_it_is_not_encoded_again(clip: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    render(clip, out, strict=True)
    with av.open(str(out)) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
    assert np.array_equal(samples(out), samples(clip))


def test_transport_streams_keep_it(clip: Path, tmp_path: Path) -> None:
    done = render(clip, tmp_path / "out.ts", strict=True)
    assert done.plan.streams[0].action is Action.COPY
    with av.open(str(tmp_path / "out.ts")) as file:
        assert file.streams.audio[0].codec_context.codec.canonical_name == "aac_latm"


def test_a_packet_that_is_broken(clip: Path) -> None:
    aac = bare_aac_of(clip, 1, HEADERS)
    assert aac is not None
    packet = av.Packet(bytes(aac.frame))
    with pytest.raises(LatmError):
        LatmFilter(aac.config)(packet)
    with pytest.raises(LatmError, match="too short"):
        frames(b"\x56\xe0", aac.config)


def bits(*fields: tuple[int, int]) -> str:
    """Numbers and their widths, as ones and zeros."""
    return "".join(f"{value:0{width}b}" for value, width in fields)


HE_AAC = {
    "explicit SBR": bits((5, 5), (6, 4), (2, 4), (3, 4), (2, 5), (0, 3)),
    "explicit PS": bits((29, 5), (6, 4), (1, 4), (3, 4), (2, 5), (0, 3)),
    "implicit": bits((2, 5), (6, 4), (2, 4), (0, 3)),
    "compatible": bits((2, 5), (6, 4), (2, 4), (0, 3), (0x2B7, 11), (5, 5), (1, 1), (3, 4)),
}
"""AudioSpecificConfigs of HE-AAC at 24 kHz, which plays at 48 kHz (ISO/IEC 14496-3, 1.6.5)."""


@pytest.mark.parametrize("name", HE_AAC)
@pytest.mark.parametrize("version", [0, 1])
def test_the_configuration_of_he_aac_stays_whole(name: str, version: int) -> None:
    """The part after the base's configuration announces SBR and PS; only version 1 states its length."""
    if name == "compatible" and version == 0:
        pytest.skip("needs the length of the configuration")
    audio, frame = HE_AAC[name], bytes(range(20))
    mux = bits((version, 1))
    mux += bits((0, 1), (0, 2), (255, 8)) if version else ""
    mux += bits((1, 1), (0, 6), (0, 4), (0, 3)) + (bits((0, 2), (len(audio), 8)) if version else "")
    mux += audio + bits((0, 3), (255, 8), (0, 1), (0, 1))
    content = bits((0, 1)) + mux + bits((len(frame), 8), *((byte, 8) for byte in frame))
    content += "0" * (-len(content) % 8)
    whole = bits((0x2B7, 11), (len(content) // 8, 13)) + content
    config, found = frames(int(whole, 2).to_bytes(len(whole) // 8), None)
    assert found == [frame]
    assert config.audio == int(audio.ljust(-(-len(audio) // 8) * 8, "0"), 2).to_bytes(-(-len(audio) // 8))
    assert (config.profile, config.rate_index) == (2, 6)
