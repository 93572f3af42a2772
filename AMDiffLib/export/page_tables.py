"""The tables of the one-page report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from AMDiffLib.export.trust import interval_of
from AMDiffLib.labels import LESION, ORGANS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from AMDiffLib.export.result_set import ResultSet

_ROW = 0.163  # inches
_MOST_LESIONS = 12
_FONT_SIZE = 7.6
_CHARACTER = 0.062  # inches, of a usual one

# Heading, width in inches, alignment, column of the measurements, digits. Where a column has an interval, it
# stands behind the value.
_LESION_COLUMNS = (
    ("Lesion", 0.82, "left", "name", None),
    ("Site", 0.74, "left", "location", None),
    ("SUVmax", 1.10, "right", "suv_max_g_per_ml", 2),
    ("low-count", 0.60, "right", "low_count_suv_max_g_per_ml", 2),
    ("SUVmean", 0.60, "right", "suv_mean_g_per_ml", 2),
    ("SUVpeak", 0.58, "right", "suv_peak_g_per_ml", 2),
    ("MTV mL", 1.04, "right", "mtv_ml", 2),
    ("TLG g", 1.14, "right", "tlg_g", 1),
    ("/ liver", 0.44, "right", "suv_max_to_liver_ratio", 2),
    ("Deauville", 0.55, "right", "deauville_score", 0),
)
_WITH_INTERVAL = frozenset({"suv_max_g_per_ml", "mtv_ml", "tlg_g"})
_ORGAN_COLUMNS = (
    ("Organ", 0.95, "left", "name", None),
    ("SUVmean", 0.72, "right", "suv_mean_g_per_ml", 2),
    ("low-count", 0.78, "right", "low_count_suv_mean_g_per_ml", 2),
    ("SUVmax", 0.68, "right", "suv_max_g_per_ml", 2),
    ("Volume mL", 0.85, "right", "volume_ml", 0),
)


def draw_lesions(figure: Figure, results: ResultSet, *, left: float, top: float) -> float:
    """Draw the lesions and their totals from `top` (inches) downwards, and return where the table ends."""
    lesions = results.lesions
    shown = [
        {**row, "name": _name(row), "location": _site(row), "intervals": True}
        for row in lesions[:_MOST_LESIONS]
    ]
    total = {
        "name": f"All {len(lesions)} lesions" if lesions else "No lesion",
        "intervals": True,
        **{key: value for key, value in results.measurements["total"].items() if key != "name"},
    }
    columns = _columns_with_values(_LESION_COLUMNS, [*shown, total])
    bottom = _draw(figure, columns, shown, left=left, top=top, colour=LESION.colour)
    if len(lesions) > len(shown):
        more = f"and {len(lesions) - len(shown)} more, smaller by TLG: see the table in the CSV file"
        _write(figure, left, bottom, more, color="0.35", style="italic")
        bottom -= _ROW
    _line(figure, left, bottom + 0.45 * _ROW, _width(columns))
    return _draw_row(figure, columns, total, left=left, y=bottom - 0.15 * _ROW, weight="bold")


def draw_organs(figure: Figure, results: ResultSet, *, left: float, top: float) -> float:
    """Draw the organs that were found, and return where the table ends."""
    rows = [row for row in results.measurements["organs"] if row.get("suv_mean_g_per_ml") is not None]
    columns = _columns_with_values(_ORGAN_COLUMNS, rows)
    colours = {organ.name: organ.colour for organ in ORGANS}
    y = _head(figure, columns, left=left, top=top)
    for row in rows:
        _swatch(figure, left - 0.14, y, colours.get(row["name"], (128, 128, 128)))
        y = _draw_row(figure, columns, row, left=left, y=y)
    return y


def number_text(value: Any, digits: int | None) -> str:
    """Return a cell's text; empty for what was not measured."""
    if value is None:
        return ""
    return str(value) if digits is None or isinstance(value, str) else f"{value:.{digits}f}"


def _cell(row: dict[str, Any], column: str, digits: int | None) -> str:
    """Return a cell's text, with the interval where the row's are to be shown."""
    text = number_text(row.get(column), digits)
    if not (row.get("intervals") and column in _WITH_INTERVAL):
        return text
    interval = interval_of(row, column)
    if interval is None:
        return text
    ends = (f"{end:.0f}" if end >= 100 else f"{end:.1f}" for end in interval)
    return f"{text} ({'–'.join(ends)})"


def _name(row: dict[str, Any]) -> str:
    """The lesion's name, with a mark where the counts do not support it."""
    return f"⚠ {row['name']}" if row.get("count_check") else str(row["name"])


def _site(row: dict[str, Any]) -> str:
    """The organ that holds the lesion, or that it lies beside."""
    site, distance = str(row.get("location") or ""), row.get("location_distance_mm")
    return f"near {site}" if distance else site


def _columns_with_values(columns: Sequence[tuple], rows: Sequence[dict]) -> list[tuple]:
    return [column for column in columns if any(row.get(column[3]) is not None for row in rows)]


def _draw(
    figure: Figure, columns: list[tuple], rows: Sequence[dict], *, left: float, top: float, colour
) -> float:
    y = _head(figure, columns, left=left, top=top)
    for row in rows:
        _swatch(figure, left - 0.14, y, colour)
        y = _draw_row(figure, columns, row, left=left, y=y)
    return y


def _head(figure: Figure, columns: list[tuple], *, left: float, top: float) -> float:
    x = left
    for heading, width, alignment, *_ in columns:
        _write(figure, x if alignment == "left" else x + width, top, heading, ha=alignment, color="0.35")
        x += width
    _line(figure, left, top - 0.55 * _ROW, _width(columns))
    return top - 1.15 * _ROW


def _draw_row(
    figure: Figure, columns: list[tuple], row: dict, *, left: float, y: float, **style: object
) -> float:
    x = left
    texts = [_cell(row, key, digits) for *_, key, digits in columns]
    for (_, width, alignment, *_), text, next_text in zip(columns, texts, [*texts[1:], ""], strict=True):
        room = int(width / _CHARACTER)
        if alignment == "left" and next_text and len(text) > room:
            text = text[: room - 1] + "…"
        _write(figure, x if alignment == "left" else x + width, y, text, ha=alignment, **style)
        x += width
    return y - _ROW


def _width(columns: list[tuple]) -> float:
    return sum(column[1] for column in columns)


def _write(figure: Figure, x: float, y: float, text: str, **style: object) -> None:
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, fontsize=_FONT_SIZE, va="center", **style)


def _line(figure: Figure, x: float, y: float, length: float) -> None:
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    figure.add_artist(Line2D([x / width, (x + length) / width], [y / height] * 2, color="0.6", linewidth=0.6))


def _swatch(figure: Figure, x: float, y: float, colour: tuple[int, int, int]) -> None:
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    side = 0.085
    figure.add_artist(
        Rectangle(
            (x / width, (y - side / 2) / height), side / width, side / height,
            facecolor=[channel / 255 for channel in colour], edgecolor="0.4", linewidth=0.3,
            transform=figure.transFigure,
        )
    )  # fmt: skip
