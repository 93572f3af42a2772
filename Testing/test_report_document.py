"""One definition of a table gives Markdown, text and HTML, and the page needs nothing beside itself."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from AMDiffLib.evaluation.document import Commands, Heading, Picture, as_markdown, as_text, table
from AMDiffLib.evaluation.html_page import as_html

RAMP = np.linspace(0, 255, 24 * 40).reshape(24, 40).astype(np.uint8)


class Reader(HTMLParser):
    """Collects cells and attributes, and that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.attributes += attributes
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def blocks(picture: Path) -> list:
    found = table(
        ["region", "**model**", "*paper*"], [["liver", "0.08 < 0.1", "*0.091*"], ["lung", "-", "-"]]
    )
    return [
        Heading(text="Title & more", level=1),
        "Some `code` in a text, p < 0.05.",
        Heading(text="Table 2: denoising"),
        found,
        Picture(path=picture, caption="A *caption*"),
        Commands(lines=("python -m one", "python -m two <file>")),
    ]


@pytest.fixture
def a_picture(tmp_path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(RAMP).save(path)
    return path


def test_the_page_holds_its_tables_and_pictures_and_asks_for_nothing_else(a_picture):
    page = as_html(blocks(a_picture), title="Title & more")
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.rows == [["region", "model", "paper"], ["liver", "0.08 < 0.1", "0.091"], ["lung", "-", "-"]]
    sources = [value for name, value in reader.attributes if name in ("src", "href")]
    assert sources[0] == "#table-2-denoising"
    shown = Image.open(io.BytesIO(base64.b64decode(sources[1].removeprefix("data:image/webp;base64,"))))
    assert shown.format == "WEBP"
    assert np.abs(np.asarray(shown.convert("L"), int) - RAMP).mean() < 2.0
    assert not re.search(r"https?:|<script|@import|url\(", page)
    assert "<em>0.091</em>" in page
    assert "<pre>python -m one\npython -m two &lt;file&gt;</pre>" in page
    a_picture.unlink()
    with pytest.raises(FileNotFoundError):
        as_html(blocks(a_picture), title="Title")


def test_the_papers_columns_are_marked_and_the_models_are_not(a_picture):
    page = as_html(blocks(a_picture), title="Title")
    assert page.count("class=paper") == 3  # its head and a cell of two rows
    assert "<th class=paper><em>paper</em></th>" in page
    assert "<th><strong>model</strong></th>" in page


def test_the_same_table_as_markdown_and_as_text(a_picture):
    text = as_markdown(blocks(a_picture))
    assert "| region | **model** | *paper* |\n| --- | --- | --- |\n| liver | 0.08 < 0.1 | *0.091* |" in text
    assert "![A *caption*](picture.png)" in text
    assert "    python -m one" in text
    assert as_text(blocks(a_picture)[3]).splitlines() == [
        "  region       model  paper",
        "  liver   0.08 < 0.1  0.091",
        "  lung             -      -",
    ]


def test_a_row_that_does_not_fit_its_table_is_refused():
    with pytest.raises(ValueError, match="'liver' has 2 cells, the table 3"):
        table(["a", "b", "c"], [["liver", "1"]])
