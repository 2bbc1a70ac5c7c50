"""Completes a file after FFmpeg's muxer, with the parts that the muxer cannot write."""

from __future__ import annotations

from pathlib import Path

from paragon_stream.errors import OutputError, reason
from paragon_stream.media.facts.info import MediaInfo, StreamInfo, StreamKind
from paragon_stream.media.facts.languages import language_code
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.matroska.header import write_header
from paragon_stream.media.mp4.fast_start import finish_mp4
from paragon_stream.media.mp4.languages import read_languages
from paragon_stream.media.mp4.mov_languages import mov_has
from paragon_stream.media.output.matroska_header import file_tags_of, header_change
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.wholefile import fitting


class Finishing:
    """Matroska and WebM: the rest of the header. MP4 and MOV: the index before the pictures, no default
    subtitles unless the source has some, and languages with region or script. Others need nothing."""

    def __init__(self, plan: OutputPlan, info: MediaInfo) -> None:
        self._header = header_change(plan, info)
        self._fast = plan.fast_start
        self._disabled = _disabled_tracks(plan, info)
        self._languages = _languages(plan, info)
        self._is_mp4 = plan.container is not None and plan.container.name in ("mp4", "mov")
        self.file_tags = file_tags_of(plan, self._header)
        """The options of FFmpeg's muxer."""
        self.muxer_options = dict(plan.muxer_options)
        if self._header is not None and self._header.room:
            self.muxer_options["metadata_header_padding"] = str(self._header.room)

    def finish(self, file: Path) -> list[str]:
        """Change the complete `file`. Returns sentences about parts that could not be written. Raises
        OutputError."""
        if not file.exists():
            return []  # the next step reports the missing file
        if self._is_mp4:
            return self._finish_mp4(file)
        return self.write_header(file)

    def write_header(self, file: Path) -> list[str]:
        """Complete the header of a file that may not be complete. Returns warnings, like `finish`."""
        if self._header is None or not self._header.room or not file.exists():
            return []
        with av_errors_as(OutputError, f"cannot write {file}"):
            written = write_header(file, self._header)
        return [] if written else ["the header has no room for all languages, chapters and tags"]

    def _finish_mp4(self, file: Path) -> list[str]:
        spare = file.with_name(fitting(file.name, ".fast"))
        try:
            done = finish_mp4(
                file, spare, fast=self._fast, disabled=self._disabled, languages=self._languages
            )
            if done != file:
                spare.replace(file)
            with file.open("rb") as whole:
                written = read_languages(whole, file.stat().st_size) if self._languages else ()
        except OSError as error:
            return [
                f"the file is complete, but its index stays at its end: it cannot be moved ({reason(error)})"
            ]
        finally:
            spare.unlink(missing_ok=True)
        lost = [tag for number, tag in self._languages.items() if written[number : number + 1] != (tag,)]
        return [f"the language tags {', '.join(lost)} could not be written"] if lost else []


def _disabled_tracks(plan: OutputPlan, info: MediaInfo) -> tuple[int, ...]:
    """Track numbers of the first subtitles if none are shown by default, because FFmpeg enables them."""
    tracks = _tracks(plan, info)
    subtitles = [number for number, stream in enumerate(tracks) if stream.kind is StreamKind.SUBTITLE]
    if any("default" in tracks[number].dispositions for number in subtitles):
        return ()
    return tuple(subtitles[:1])


def _languages(plan: OutputPlan, info: MediaInfo) -> dict[int, str]:
    """The languages that FFmpeg cannot write, by number of track: BCP 47 tags that say more than a language,
    and in MOV languages without a number of their own."""
    found = {}
    for number, stream in enumerate(_tracks(plan, info)):
        code = language_code(stream.language) or stream.language
        if "-" in stream.language_tag:
            found[number] = stream.language_tag
        elif code and plan.container is not None and plan.container.name == "mov" and not mov_has(code):
            found[number] = code
    return found


def _tracks(plan: OutputPlan, info: MediaInfo) -> list[StreamInfo]:
    """The streams that become tracks, in the order in which the writer adds them."""
    kept = {each.stream.index: each for each in plan.streams if each.is_track}
    order = [stream for stream in info.streams if stream.index in {*kept, info.video.index}]
    order += [each.stream for file in plan.added for each in file.streams if each.is_track]
    return [stream for stream in order if stream.kind is not StreamKind.COVER]
