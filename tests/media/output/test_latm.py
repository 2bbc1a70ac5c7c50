"""AAC out of LATM: the same frames, which sound the same."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip
from numpy.typing import NDArray
from rendering import render

from paragon_stream.media.facts.probing import HEADERS
from paragon_stream.media.output.aac.latm import LatmError, LatmFilter, bare_aac_of, frames
from paragon_stream.media.output.stream_plans import Action

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
