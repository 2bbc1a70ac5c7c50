"""`RenderRequest` as JSON: the same request comes back, and what is not one is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.cut import parse_time
from paragon_stream.media.facts.rate import parse_rate
from paragon_stream.media.facts.tracks import parse_tracks
from paragon_stream.render.request import RenderRequest

FULL = RenderRequest(
    source=Path("in.mkv"),
    destination="out.mkv",
    variant="stream",
    weights=Path("w.safetensors"),
    alpha=0.0,
    to=1.5,
    strength="auto",
    crf=20,
    encoder_options={"g": "24"},
    fps=Fraction(24000, 1001),
    start=Fraction(1001, 30),
    end="1:00:00.5",
    audio=["eng", 2],
    subtitles=[],
    chapters=False,
    add=[Path("film.eng.srt")],
    deinterlace="bwdif-2x",
    overwrite=True,
)


def test_what_is_stored_means_the_same() -> None:
    found = RenderRequest.from_json(FULL.to_json())
    assert found.to_json() == FULL.to_json()
    assert str(found.source) == "in.mkv" and found.destination == "out.mkv"
    assert parse_rate(found.fps) == FULL.fps and parse_time(found.start or 0) == FULL.start
    assert found.encoder_options == {"g": "24"} and found.alpha == 0.0 and found.hwaccel == "auto"
    assert parse_tracks(found.audio) == ("eng", "2") and parse_tracks(found.subtitles) == ()
    assert found.chapters is False and list(found.add) == ["film.eng.srt"] and found.overwrite


def test_defaults_are_not_stored() -> None:
    text = RenderRequest(source="a.mkv", destination="b.mkv").to_json()
    assert text.split() == ["{", '"source":', '"a.mkv",', '"destination":', '"b.mkv"', "}"]


def test_numbers_of_numpy_are_numbers() -> None:
    request = RenderRequest("a.mkv", "b.mkv", scale=np.int64(2), crf=np.float32(18.5), audio=[np.int64(1)])
    names = {"source": "a.mkv", "destination": "b.mkv"}
    assert request.to_plain() == names | {"scale": 2, "crf": 18.5, "audio": [1]}
    assert RenderRequest.from_json(request.to_json()).scale == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a render request"),
        ("[]", "JSON object"),
        ('{"source": "a"}', "lacks destination"),
        ('{"source": "a", "destination": "b", "speed": 3}', "no option speed"),
        ('{"source": null, "destination": "b"}', "source takes a text, not None"),
        ('{"source": "a", "destination": "b", "overwrite": "false"}', "overwrite takes true or false"),
        ('{"source": "a", "destination": "b", "crf": "18"}', "crf takes a number"),
        ('{"source": "a", "destination": "b", "start": [1]}', "start takes a text or a number"),
        ('{"source": "a", "destination": "b", "add": "sub.srt"}', "add takes a list"),
        ('{"source": "a", "destination": "b", "mux": ["movflags"]}', "mux takes a table"),
    ],
)
def test_what_is_no_request_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RenderRequest.from_json(text)


@pytest.mark.parametrize("text", ["", " ", ","])
def test_an_empty_list_of_tracks_drops_nothing(text: str) -> None:
    """It is usually an unset variable of a script."""
    with pytest.raises(UsageError, match="a list of tracks is empty"):
        parse_tracks(text)
    assert parse_tracks("none") == () and parse_tracks([]) == () and parse_tracks("all") is None
