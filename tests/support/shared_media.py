"""The clips of the developers' shared material, and which of them are refused or damaged."""

from __future__ import annotations

from places import SHARED

FOLDER = SHARED / "media"
FILES = sorted(path.name for path in FOLDER.glob("*.*") if path.suffix != ".tsv")

REFUSED = {
    "audio_only.m4a": "no video stream, only audio",
    "mp4_audio_only.mp4": "no video stream, only audio",
    "h264_sidecar_subs.srt": "no video stream, only subtitle",
    "broken_empty.mp4": "is empty",
    "broken_text_file.mp4": "is a text file",
    "broken_mp4_truncated_no_moov.mp4": "has no index",
    "mp4_drm_clearkey.mp4": "is encrypted",
}
DAMAGED = {
    "broken_mp4_faststart_truncated.mp4": 37,
    "broken_ts_2pct_packets_lost.ts": 71,
    "h264_invalid_nalu_decode_errors.mp4": 29,
    "mp4_truncated_annexb.mp4": 6,
}
"""Frames that decode in spite of the damage; which packets are hit may depend on the number of threads."""
