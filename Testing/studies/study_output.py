"""What the studies share: the command line's common options, tables on the terminal, results on disk."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY)]


def study_parser(file: str, description: str | None) -> argparse.ArgumentParser:
    """Return a command line with --output, --seed and --device; `file` is the study's own."""
    name = Path(file).name
    parser = argparse.ArgumentParser(prog=name, description=description)
    default = Path("out") / "studies" / Path(file).stem
    parser.add_argument(
        "--output", type=Path, default=default, help=f"folder of JSON and pictures (default {default})"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of people and noise (default 0)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    return parser


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; floats have three significant digits."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[k]) for row in [list(header), *cells]) for k in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [row[0].ljust(widths[0])]
        padded += [value.rjust(width) for value, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(line(row) for row in [list(header), rule, *cells])


def write_json(path: Path, content: dict) -> None:
    """Write a study's results, arrays as lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, default=_plain) + "\n")


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a study's results")
