"""The lesions as the panel lists them: few columns, low-count and denoised values beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import vtk

from .lesion_marks import reason_text
from .measurement_table import lesion_ras
from .measuring_library import quantification
from .translation import _
from .trust_facts import HotSpot, counts_tip, interval_tip, lesions_by_hand

USE_COLUMN = 0
"""The column whose cells accept and reject."""

_LOW_COUNT = "low_count_"
# What is shown of a measurement: the column, the quantity whose 90 % interval follows the denoised value,
# decimals (None: words), in both volumes, also shown when empty.
_COLUMNS = (
    (_("SUVmax"), "suv_max_g_per_ml", "suv_max", 1, True, True),
    (_("SUVpeak"), "suv_peak_g_per_ml", "suv_peak", 1, True, True),
    (_("MTV [mL]"), "mtv_ml", "mtv_ml", 1, False, True),
    (_("TLG [g]"), "tlg_g", "tlg_g", 1, True, True),
    (_("/ liver"), "suv_max_to_liver_ratio", None, 1, True, True),
    (_("/ blood pool"), "suv_max_to_blood_pool_ratio", None, 1, True, True),
    (_("Deauville"), "deauville_score", None, 0, True, False),
    (_("SULpeak"), "sul_peak_g_per_ml", None, 1, True, False),
    (_("Measurable"), "percist_measurable", None, None, True, False),
)

_ORGANS = {
    "liver": _("liver"),
    "lung": _("lung"),
    "bone": _("bone"),
    "muscle": _("muscle"),
    "kidney": _("kidney"),
    "spleen": _("spleen"),
    "aorta": _("aorta"),
}


@dataclass(frozen=True, kw_only=True)
class LesionRow:
    """One lesion of the table of measurements: its row there, number, name, and what it was rejected as."""

    row: int
    number: int
    name: str
    rejected_as: str | None


def lesion_rows(measurements_node) -> list[LesionRow]:
    """Return the lesions of a table of measurements, in its order."""
    cells = _Cells(measurements_node)
    return [
        LesionRow(
            row=row,
            number=int(cells.number("label", row)),
            name=cells.text("name", row),
            rejected_as=cells.text("rejected_as", row) or None,
        )
        for row in cells.rows_of("lesion")
    ]


def fill_lesion_table(panel_node, measurements_node, report: dict, removed: Sequence[HotSpot] = ()) -> None:
    """Fill the panel's table: a row per lesion of the table of measurements, in its order, then `removed`.

    `report` is the result's, `removed` are the hot spots of the input that the output removed.
    """
    cells = _Cells(measurements_node)
    rows = cells.rows_of("lesion")
    by_hand = lesions_by_hand(measurements_node)
    modified = panel_node.StartModify()
    panel_node.SetLocked(False)
    panel_node.RemoveAllColumns()
    reasons = [cells.text("rejected_as", row) for row in rows]
    uses = ["✗ " + reason_text(reason) if reason else "✓" for reason in reasons]
    _add(panel_node, _("Use"), [*uses, *("" for spot in removed)])
    _add(panel_node, _("Lesion"), [*(cells.text("name", row) for row in rows), *map(_removed_name, removed)])
    checks = [_count_check(cells, row) for row in rows]
    if removed or any(checks):
        _add(panel_node, _("Counts"), [*checks, *map(_removed_check, removed)], tip=counts_tip())
    _add(panel_node, _("Site"), [*(_site(cells, row) for row in rows), *("" for spot in removed)])
    for heading, column, quantity, decimals, in_both, always in _COLUMNS:
        intervals = [_interval(cells, row, quantity, decimals, by_hand) for row in rows]
        texts = [
            _values(cells, row, column, decimals, in_both) + interval
            for row, interval in zip(rows, intervals, strict=True)
        ]
        if always or any(text.strip(" |–") for text in texts):
            of_removed = [_removed_value(spot, column) for spot in removed]
            _add(
                panel_node, heading, [*texts, *of_removed], tip=interval_tip(report) if any(intervals) else ""
            )
    panel_node.SetUseColumnTitleAsColumnHeader(True)
    panel_node.SetLocked(True)
    panel_node.EndModify(modified)


def place_of_row(measurements_node, removed: Sequence[HotSpot], row: int):
    """Return where the lesion or removed hot spot of a row of the panel's table is, mm RAS; None for none."""
    lesions = lesion_rows(measurements_node)
    if 0 <= row < len(lesions):
        return lesion_ras(measurements_node, lesions[row].row)
    row -= len(lesions)
    return removed[row].ras if 0 <= row < len(removed) else None


def totals_text(measurements_node) -> str:
    """Return the patient's totals in one line: accepted lesions, TMTV, TLG in both volumes."""
    cells = _Cells(measurements_node)
    rows = cells.rows_of("total")
    if not rows:
        return ""
    row = rows[0]
    accepted, rejected = (int(cells.number(name, row) or 0) for name in ("lesion_count", "rejected_count"))
    parts = [
        _("{n} of {m} lesions accepted").format(n=accepted, m=accepted + rejected),
        _("TMTV {value} mL").format(
            value=_values(cells, row, "mtv_ml", 1, False) + _interval(cells, row, "mtv_ml", 1)
        ),
        _("TLG {value} g").format(
            value=_values(cells, row, "tlg_g", 1, True) + _interval(cells, row, "tlg_g", 1)
        ),
        _("at SUV 4.0: {value} mL").format(value=_values(cells, row, "mtv_suv_4_ml", 1, True)),
    ]
    if (score := _values(cells, row, "deauville_score", 0, True)).strip(" |–"):
        parts.append(_("Deauville {value}").format(value=score))
    if (threshold := _values(cells, row, "percist_threshold_sul_g_per_ml", 2, True)).strip(" |–"):
        parts.append(_("PERCIST threshold SUL {value}").format(value=threshold))
    return "  ·  ".join(parts)


def _site(cells: _Cells, row: int) -> str:
    """Return the organ, or how far the nearest one is."""
    distance = cells.number("location_distance_mm", row)
    location = cells.text("location", row)
    organ = _ORGANS.get(location, location)
    return organ if not distance else _("{mm:.0f} mm from {organ}").format(mm=distance, organ=organ)


def _values(cells: _Cells, row: int, column: str, decimals: int | None, in_both: bool) -> str:
    """Return the denoised value, or 'low-count | denoised'."""
    names = (_LOW_COUNT + column, column) if in_both else (column,)
    return " | ".join(
        cells.text(name, row) or "–" if decimals is None else _number(cells.number(name, row), decimals)
        for name in names
    )


def _interval(
    cells: _Cells, row: int, quantity: str | None, decimals: int, by_hand: frozenset[int] = frozenset()
) -> str:
    """Return ' (low–high)', with a * where the lesion was drawn by hand; empty without an interval."""
    if quantity is None:
        return ""
    ends = [cells.number(name, row) for name in quantification("column_definitions").INTERVALS[quantity]]
    if None in ends:
        return ""
    star = "*" if cells.number("label", row) in by_hand else ""
    return f" ({_number(ends[0], decimals)}–{_number(ends[1], decimals)}){star}"


def _count_check(cells: _Cells, row: int) -> str:
    """Return z with a mark: ⚠ not supported by the counts, ↓ less than them, ✓ as them; empty if unknown."""
    z = cells.number("count_z", row)
    if z is None:
        return ""
    if cells.text("count_check", row):
        mark = "⚠"
    else:
        mark = "↓" if z <= -quantification("count_consistency").UNSUPPORTED_Z else "✓"
    return f"{mark} z {z:+.1f}"


def _removed_name(spot: HotSpot) -> str:
    return _("Removed {number}").format(number=spot.number)


def _removed_check(spot: HotSpot) -> str:
    return f"⚠ z {spot.z:+.1f}"


def _removed_value(spot: HotSpot, column: str) -> str:
    """Return what is known of a removed hot spot in a column: its two SUVmax, its volume in the input."""
    values = {
        "suv_max_g_per_ml": f"{spot.low_count_suv_max:.1f} | {spot.denoised_suv_max:.1f}",
        "mtv_ml": f"{spot.volume_ml:.1f}",
    }
    return values.get(column, "")


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _add(table_node, title: str, texts: list[str], *, tip: str = "") -> None:
    """Add a column; Slicer shows `tip` over each of its cells."""
    array = vtk.vtkStringArray()
    array.SetName(title)
    for text in texts:
        array.InsertNextValue(text)
    table_node.AddColumn(array)
    table_node.SetColumnTitle(title, title)
    table_node.SetColumnDescription(title, tip)


class _Cells:
    """The cells of a table of measurements by column name; a column that is not there is empty."""

    def __init__(self, table_node) -> None:
        self._table = table_node.GetTable()
        self._count = table_node.GetNumberOfRows()

    def rows_of(self, kind: str) -> list[int]:
        return [row for row in range(self._count) if self.text("kind", row) == kind]

    def text(self, column: str, row: int) -> str:
        array = self._table.GetColumnByName(column)
        return "" if array is None else str(array.GetValue(row))

    def number(self, column: str, row: int) -> float | None:
        array = self._table.GetColumnByName(column)
        value = math.nan if array is None else float(array.GetValue(row))
        return None if math.isnan(value) else value
