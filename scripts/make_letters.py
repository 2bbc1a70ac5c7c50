"""Draw paragon_stream/sample/letters.png: the letters of a montage's captions, side by side.

Needs Pillow, whose own font they are from: Aileron Regular by Sora Sagano, CC0.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE, HEIGHT = 15, 20
LETTERS = [chr(code) for code in range(32, 127)]
OUT = Path(__file__).resolve().parent.parent / "paragon_stream" / "sample" / "letters.png"


def main() -> None:
    font = ImageFont.load_default(SIZE)
    widths = [round(font.getlength(letter)) for letter in LETTERS]
    strip = Image.new("L", (sum(widths), HEIGHT + 1))
    draw = ImageDraw.Draw(strip)
    left = 0
    for letter, width in zip(LETTERS, widths, strict=True):
        draw.text((left, HEIGHT - 4), letter, fill=255, font=font, anchor="ls")
        left += width
    draw.rectangle((0, 0, strip.width, 0), fill=0)
    left = 0
    for width in widths:  # the first row shows where letters begin
        strip.putpixel((left, 0), 255)
        left += width
    strip.save(OUT, optimize=True)


if __name__ == "__main__":
    main()
