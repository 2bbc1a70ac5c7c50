"""Pictures in the container of MP4: HEIC and AVIF."""

from __future__ import annotations

_HEIF_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"),
}


def heif_kind(head: bytes) -> str:
    """ "AVIF" or "HEIC" where a file that begins with `head` is a picture of that kind, else "".

    The brands of its `ftyp` box decide (ISO/IEC 23008-12, 10). FFmpeg would read such a file as a video of
    the first tile only, without transparency.
    """
    if head[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(head[:4]), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    kinds = [_HEIF_BRANDS[brand] for brand in brands if brand in _HEIF_BRANDS]
    if brands[0] not in _HEIF_BRANDS:
        return ""  # a film that may also be read as a picture
    return "AVIF" if "AVIF" in kinds else kinds[0]
