"""The lesions as the panel lists them: few columns, low-count and denoised values beside each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import vtk

from .lesion_marks import reason_text
from .translation import _

USE_COLUMN = 0
"""The column whose cells accept and reject."""

_LOW_COUNT = "low_count_"
# Heading, column of the measurements, decimals (None: words), in both volumes, also shown when empty.
_COLUMNS = (
    (_("SUVmax"), "suv_max_g_per_ml", 1, True, True),
    (_("SUVpeak"), "suv_peak_g_per_ml", 1, True, True),
    (_("MTV [mL]"), "mtv_ml", 1, False, True),
    (_("TLG [g]"), "tlg_g", 1, True, True),
    (_("/ liver"), "suv_max_to_liver_ratio", 1, True, True),
    (_("/ blood pool"), "suv_max_to_blood_pool_ratio", 1, True, True),
    (_("Deauville"), "deauville_score", 0, True, False),
    (_("SULpeak"), "sul_peak_g_per_ml", 1, True, False),
    (_("Measurable"), "percist_measurable", None, True, False),
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


def fill_lesion_table(panel_node, measurements_node) -> None:
    """Fill the panel's table from the table of measurements: a row per lesion, in the same order."""
    cells = _Cells(measurements_node)
    rows = cells.rows_of("lesion")
    modified = panel_node.StartModify()
    panel_node.SetLocked(False)
    panel_node.RemoveAllColumns()
    reasons = [cells.text("rejected_as", row) for row in rows]
    _add(panel_node, _("Use"), ["✗ " + reason_text(reason) if reason else "✓" for reason in reasons])
    _add(panel_node, _("Lesion"), [cells.text("name", row) for row in rows])
    _add(panel_node, _("Site"), [_site(cells, row) for row in rows])
    for heading, column, decimals, in_both, always in _COLUMNS:
        texts = [_values(cells, row, column, decimals, in_both) for row in rows]
        if always or any(text.strip(" |–") for text in texts):
            _add(panel_node, heading, texts)
    panel_node.SetUseColumnTitleAsColumnHeader(True)
    panel_node.SetLocked(True)
    panel_node.EndModify(modified)


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
        _("TMTV {value} mL").format(value=_values(cells, row, "mtv_ml", 1, False)),
        _("TLG {value} g").format(value=_values(cells, row, "tlg_g", 1, True)),
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


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _add(table_node, title: str, texts: list[str]) -> None:
    array = vtk.vtkStringArray()
    array.SetName(title)
    for text in texts:
        array.InsertNextValue(text)
    table_node.AddColumn(array)
    table_node.SetColumnTitle(title, title)


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
