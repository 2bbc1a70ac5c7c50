"""What the documents point to exists."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "engines/*.md", "filters/*.md", "examples/*.md")
    for path in REPOSITORY.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OUR_FILE = re.compile(
    r"`((?:scripts|tests|docs|examples|filters|engines|benchmarks|paragon_stream)/[\w./-]*)[ `]"
)


def broken_references(document: Path) -> list[str]:
    """Relative links, and names of our files in code quotes, that lead nowhere."""
    text = document.read_text("utf-8")
    links = [target.split("#")[0] for target in LINK.findall(text) if "://" not in target]
    missing = [link for link in links if link and not (document.parent / link).exists()]
    return missing + [name for name in OUR_FILE.findall(text) if not (REPOSITORY / name).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_references_lead_somewhere(document: Path) -> None:
    assert broken_references(document) == []


def test_a_broken_reference_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("[x](gone.md) [y](https://example.org/gone) `scripts/gone` `scripts/test -k x`")
    assert broken_references(document) == ["gone.md", "scripts/gone"]


@pytest.mark.parametrize(
    "picture", sorted((REPOSITORY / "docs" / "images").glob("*.svg")), ids=lambda p: p.name
)
def test_pictures_are_well_formed(picture: Path) -> None:
    root = ET.parse(picture).getroot()
    assert root.find("{http://www.w3.org/2000/svg}title") is not None, (
        "readers who cannot see it need its title"
    )
