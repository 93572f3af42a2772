"""A report as one HTML file that needs nothing else: style and pictures are inside it."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

from AMDiffLib.evaluation.document import Block, Commands, Heading, Picture, Table

_QUALITY = 90
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1b1f24; background: #fff;
  max-width: 1180px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .4rem; }
h2 { font-size: 1.25rem; margin-top: 2.4rem; border-bottom: 1px solid #d5dbe1; padding-bottom: .2rem; }
h3 { font-size: 1.02rem; margin-top: 1.6rem; }
p { max-width: 62rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: .6rem 0; }
th, td { padding: .28rem .6rem; border-bottom: 1px solid #e3e8ec; text-align: right; white-space: nowrap; }
th { vertical-align: bottom; background: #f4f6f8; font-weight: 600; white-space: normal; min-width: 4.2rem; }
th:first-child, td:first-child { text-align: left; }
tbody tr:hover { background: #f8fafc; }
.paper { color: #6a4a00; background: #fdf8ec; }
figure { margin: 1.2rem 0; }
img { max-width: 100%; height: auto; border: 1px solid #e3e8ec; }
figcaption { font-size: 13px; color: #4a5560; max-width: 62rem; }
pre { background: #f4f6f8; padding: .7rem .9rem; overflow-x: auto; font-size: 12.5px; }
nav { font-size: 13px; }
nav a { margin-right: .9rem; }
@media print { body { margin: 0; max-width: none; } .wide { overflow: visible; } h2 { break-after: avoid; } }
"""
_INLINE = (
    (re.compile(r"`(.+?)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*(.+?)\*"), r"<em>\1</em>"),
)


def as_html(blocks: Sequence[Block], *, title: str) -> str:
    """Return the page; a column whose title is in italics holds figures of the paper, and is tinted so.

    Raises FileNotFoundError for a picture that is not there.
    """
    links = [
        f'<a href="#{_anchor(block.text)}">{_inline(block.text)}</a>'
        for block in blocks
        if isinstance(block, Heading) and block.level == 2
    ]
    body = [_block(block) for block in blocks]
    if links:
        body.insert(1, f"<nav>{''.join(links)}</nav>")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        anchor = f' id="{_anchor(block.text)}"' if block.level == 2 else ""
        return f"<h{block.level}{anchor}>{_inline(block.text)}</h{block.level}>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return _picture(block.path, block.caption)
    if isinstance(block, Commands):
        return "<pre>" + html.escape("\n".join(block.lines)) + "</pre>"
    return f"<p>{_inline(block)}</p>"


def _table(block: Table) -> str:
    of_paper = [title.startswith("*") and not title.startswith("**") for title in block.head]

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=paper' if paper else ''}>{_inline(cell)}</{tag}>"
            for cell, paper in zip(cells, of_paper, strict=True)
        )

    rows = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in block.rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{row(block.head, "th")}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _picture(path: Path, caption: str) -> str:
    from PIL import Image

    small = io.BytesIO()  # a fifth of the PNG, which stays beside the page
    with Image.open(path) as image:
        image.convert("RGB").save(small, "WEBP", quality=_QUALITY, method=6)
    content = base64.b64encode(small.getvalue()).decode("ascii")
    text = html.escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/webp;base64,{content}">'
        f"<figcaption>{_inline(caption)}</figcaption></figure>"
    )


def _inline(text: str) -> str:
    text = html.escape(text, quote=False)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
