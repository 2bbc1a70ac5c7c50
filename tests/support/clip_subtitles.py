"""The words of the test clips: three events each, all within the first half second."""

ASS_SCRIPT = """[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default,Arial,16,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1
Style: Sign,Georgia,24,&H0000FFFF,&H000000FF,&H00000000,&H00000000,-1,0,0,0,100,100,0,0,1,1,0,8,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.04,0:00:00.20,Default,,0,0,0,,Hello, {\\i1}world{\\i0}
Dialogue: 0,0:00:00.20,0:00:00.36,Sign,,0,0,0,,{\\pos(100,40)}Zwölf Boxkämpfer
Dialogue: 0,0:00:00.40,0:00:00.48,Default,,0,0,0,,Two\\Nlines
"""

SRT_SCRIPT = """1
00:00:00,040 --> 00:00:00,200
Hello, <i>world</i>

2
00:00:00,200 --> 00:00:00,360
Zwölf Boxkämpfer

3
00:00:00,400 --> 00:00:00,480
Two
lines
"""


def pgs(shown: bool, number: int = 0) -> bytes:
    """A PGS display set as Matroska holds it: a white bar of 8×2 pixels, or nothing, which clears the screen.

    Segments of the patent US 20090185789 A1, figures 7 to 11.
    """

    def segment(kind: int, content: bytes) -> bytes:
        return bytes([kind]) + len(content).to_bytes(2) + content

    size = (96).to_bytes(2) + (64).to_bytes(2)
    place = (8).to_bytes(2) + (4).to_bytes(2)
    composition = size + b"\x10" + number.to_bytes(2) + (b"\x80\0\0" if shown else b"\0\0\0")
    if not shown:
        return segment(0x16, composition + b"\0") + segment(0x80, b"")
    bar = (8).to_bytes(2) + (2).to_bytes(2)
    pixels = b"\0\x88\x01\0\0" * 2  # eight of colour 1, end of line
    return b"".join(
        [
            segment(0x16, composition + b"\x01" + b"\0\0\0\0" + place),
            segment(0x17, b"\x01\0" + place + bar),
            segment(0x14, b"\0\0" + bytes([1, 235, 128, 128, 255])),
            segment(0x15, b"\0\0\0\xc0" + (4 + len(pixels)).to_bytes(3) + bar + pixels),
            segment(0x80, b""),
        ]
    )


def pgs_segments(display_set: bytes) -> list[bytes]:
    """The segments of a display set, each as transport streams and .sup files hold it in a packet."""
    found = []
    while display_set:
        size = 3 + int.from_bytes(display_set[1:3])
        found.append(display_set[:size])
        display_set = display_set[size:]
    return found


def vobsub(blocks: int) -> bytes:
    """A DVD's subtitle of 8×2 pixels, which ends after `blocks` of 1024 ticks of 90 kHz."""
    pixels = b"\x02\x10" * 2  # eight of colour 1 in each field
    begin = 4 + len(pixels)
    end = begin + 24
    area = bytes([5]) + (8 << 12 | 15).to_bytes(3) + (4 << 12 | 5).to_bytes(3)
    show = b"\x01\x03\x32\x10\x04\xff\xf0" + area + b"\x06" + (4).to_bytes(2) + (6).to_bytes(2)
    first = bytes(2) + end.to_bytes(2) + show + b"\xff"
    last = blocks.to_bytes(2) + end.to_bytes(2) + b"\x02\xff"
    assert len(first) == 24
    return (end + len(last)).to_bytes(2) + begin.to_bytes(2) + pixels + first + last
