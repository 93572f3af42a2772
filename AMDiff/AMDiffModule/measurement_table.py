"""From measurements.csv to a table node with typed columns, units and definitions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import vtk

from .translation import _

# In the order in which a report is read; columns that are not named here follow as they come.
_TITLES = {
    "name": _("Name"),
    "kind": _("Kind"),
    "status": _("Status"),
    "rejected_as": _("Rejected as"),
    "location": _("Location"),
    "suv_max_g_per_ml": _("SUVmax"),
    "suv_mean_g_per_ml": _("SUVmean"),
    "suv_peak_g_per_ml": _("SUVpeak"),
    "mtv_ml": _("MTV"),
    "tlg_g": _("TLG"),
    "volume_ml": _("Volume"),
    "suv_max_to_liver_ratio": _("SUVmax / liver"),
    "suv_max_to_blood_pool_ratio": _("SUVmax / blood pool"),
    "mtv_suv_4_ml": _("MTV at SUV 4.0"),
    "tlg_suv_4_g": _("TLG at SUV 4.0"),
    "mtv_41_percent_ml": _("MTV at 41 %"),
    "tlg_41_percent_g": _("TLG at 41 %"),
    "deauville_score": _("Deauville"),
    "sul_peak_g_per_ml": _("SULpeak"),
    "percist_measurable": _("PERCIST measurable"),
    "percist_threshold_sul_g_per_ml": _("PERCIST threshold"),
    "suv_sd_g_per_ml": _("SUV standard deviation"),
    "count_z": _("Agreement with the counts, z"),
    "count_check": _("Count check"),
    "suv_max_low_g_per_ml": _("SUVmax, 90 % interval from"),
    "suv_max_high_g_per_ml": _("SUVmax, 90 % interval to"),
    "suv_mean_low_g_per_ml": _("SUVmean, 90 % interval from"),
    "suv_mean_high_g_per_ml": _("SUVmean, 90 % interval to"),
    "suv_peak_low_g_per_ml": _("SUVpeak, 90 % interval from"),
    "suv_peak_high_g_per_ml": _("SUVpeak, 90 % interval to"),
    "mtv_low_ml": _("MTV, 90 % interval from"),
    "mtv_high_ml": _("MTV, 90 % interval to"),
    "tlg_low_g": _("TLG, 90 % interval from"),
    "tlg_high_g": _("TLG, 90 % interval to"),
}
# Before the name of a quantity in the low-count input; without it, it is that of the denoised volume.
_LOW_COUNT = "low_count_"
_REMARKS_ATTRIBUTE = "AMDiff.remarks"
_UNITS = {"_g_per_ml": "g/mL", "_ml": "mL", "_g": "g", "_mm": "mm", "_percent": "%"}
_TEXT_COLUMNS = frozenset(
    {"name", "kind", "location", "status", "rejected_as", "percist_measurable", "notice"}
    | {"low_count_percist_measurable", "count_check"}
)


def fill_table(table_node, measurements_csv: Path, definitions_json: Path | None = None) -> None:
    """Fill a table node from files.

    Raises:
        ValueError: the file is empty, or a cell of a numeric column holds no number.
    """
    with measurements_csv.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, found = list(reader), list(reader.fieldnames or [])
    if not found:
        raise ValueError(f"{measurements_csv.name} is empty")
    content = {}
    if definitions_json is not None and definitions_json.is_file():
        content = json.loads(definitions_json.read_text(encoding="utf-8"))
    definitions = content.get("definitions", {})
    fill_from_rows(table_node, rows, {name: definitions.get(name, "") for name in found})
    remember_remarks(table_node, content.get("remarks", []))


def fill_from_rows(table_node, rows: list[dict[str, str]], columns: dict[str, str]) -> None:
    """Put `rows` in place of what a table node holds; `columns` are their names with definitions.

    A numeric cell that is empty becomes NaN, as in Segment Statistics.

    Raises:
        ValueError: a cell of a numeric column holds no number.
    """
    known = [name for title in _TITLES for name in (_LOW_COUNT + title, title) if name in columns]
    arrays = [
        _text_array(rows, name) if name in _TEXT_COLUMNS else _number_array(rows, name)
        for name in (*known, *(name for name in columns if name not in known))
    ]
    modified = table_node.StartModify()
    table_node.SetLocked(False)
    table_node.RemoveAllColumns()
    for array in arrays:
        column = array.GetName()
        table_node.AddColumn(array)
        table_node.SetColumnTitle(column, _title(column, two_volumes=_LOW_COUNT + column in columns))
        table_node.SetColumnUnitLabel(column, _unit(column))
        table_node.SetColumnDescription(column, columns[column])
    table_node.SetUseColumnTitleAsColumnHeader(True)
    table_node.SetLocked(True)
    table_node.EndModify(modified)


def remember_remarks(table_node, remarks) -> None:
    """Write into the table what could not be measured, and why."""
    table_node.SetAttribute(_REMARKS_ATTRIBUTE, "\n".join(remarks) or None)


def remarks_of(table_node) -> list[str]:
    """Return what could not be measured, and why."""
    return (table_node.GetAttribute(_REMARKS_ATTRIBUTE) or "").splitlines()


def first_lesion_ras(table_node) -> tuple[float, float, float] | None:
    """Return the centroid of the first lesion row in mm, RAS; None when there is no lesion."""
    rows = range(table_node.GetNumberOfRows())
    return next((ras for row in rows if (ras := lesion_ras(table_node, row)) is not None), None)


def lesion_ras(table_node, row: int) -> tuple[float, float, float] | None:
    """Return the centroid of a lesion's row in mm, RAS; None when the row is not a lesion's."""
    columns = table_node.GetTable()
    kinds = columns.GetColumnByName("kind")
    centroid = [columns.GetColumnByName(f"centroid_{axis}_mm") for axis in "lps"]
    if kinds is None or None in centroid or not 0 <= row < kinds.GetNumberOfValues():
        return None
    if kinds.GetValue(row) != "lesion":
        return None
    left, posterior, superior = (column.GetValue(row) for column in centroid)
    return (-left, -posterior, superior)


def _text_array(rows: list[dict], column: str):
    array = vtk.vtkStringArray()
    array.SetName(column)
    for row in rows:
        array.InsertNextValue(row[column])
    return array


def _number_array(rows: list[dict], column: str):
    array = vtk.vtkDoubleArray()
    array.SetName(column)
    for row in rows:
        array.InsertNextValue(float(row[column]) if row[column] else float("nan"))
    return array


def _title(column: str, *, two_volumes: bool) -> str:
    if column.startswith(_LOW_COUNT):
        quantity = _title(column.removeprefix(_LOW_COUNT), two_volumes=False)
        return _("{quantity}, low-count").format(quantity=quantity)
    if column in _TITLES:
        title = _TITLES[column]
        return _("{quantity}, denoised").format(quantity=title) if two_volumes else title
    for ending in _UNITS:
        column = column.removesuffix(ending)
    return column.replace("_", " ").capitalize()


def _unit(column: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if column.endswith(ending)), "")
