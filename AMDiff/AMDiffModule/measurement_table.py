"""From measurements.csv to a table node with typed columns, units and definitions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import vtk

from .translation import _

# In the order in which a report is read; columns that are not named here follow as they come.
_TITLES = {
    "name": "Name",
    "kind": "Kind",
    "location": "Location",
    "suv_max_g_per_ml": "SUVmax",
    "suv_mean_g_per_ml": "SUVmean",
    "suv_peak_g_per_ml": "SUVpeak",
    "mtv_ml": "MTV",
    "tlg_g": "TLG",
    "volume_ml": "Volume",
}
_UNITS = {"_g_per_ml": "g/mL", "_ml": "mL", "_g": "g", "_mm": "mm", "_percent": "%"}
_TEXT_COLUMNS = frozenset({"name", "kind", "location"})


def fill_table(table_node, measurements_csv: Path, definitions_json: Path | None = None) -> None:
    """Fill an empty table node; a numeric cell that does not apply becomes NaN, as in Segment Statistics.

    Raises:
        ValueError: the file is empty, or a cell of a numeric column holds no number.
    """
    with measurements_csv.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, found = list(reader), list(reader.fieldnames or [])
    if not found:
        raise ValueError(f"{measurements_csv.name} is empty")
    definitions = {}
    if definitions_json is not None and definitions_json.is_file():
        definitions = json.loads(definitions_json.read_text(encoding="utf-8")).get("definitions", {})
    known, others = (
        (name for name in _TITLES if name in found),
        (name for name in found if name not in _TITLES),
    )
    for column in (*known, *others):
        array = _text_array(rows, column) if column in _TEXT_COLUMNS else _number_array(rows, column)
        array.SetName(column)
        table_node.AddColumn(array)
        table_node.SetColumnTitle(column, _title(column))
        table_node.SetColumnUnitLabel(column, _unit(column))
        table_node.SetColumnDescription(column, definitions.get(column, ""))
    table_node.SetUseColumnTitleAsColumnHeader(True)
    table_node.SetLocked(True)


def first_lesion_ras(table_node) -> tuple[float, float, float] | None:
    """Return the centroid of the first lesion row in mm, RAS; None when there is no lesion."""
    columns = table_node.GetTable()
    kinds = columns.GetColumnByName("kind")
    centroid = [columns.GetColumnByName(f"centroid_{axis}_mm") for axis in "lps"]
    if kinds is None or None in centroid:
        return None
    for row in range(kinds.GetNumberOfValues()):
        if kinds.GetValue(row) == "lesion":
            left, posterior, superior = (column.GetValue(row) for column in centroid)
            return (-left, -posterior, superior)
    return None


def _text_array(rows: list[dict], column: str):
    array = vtk.vtkStringArray()
    for row in rows:
        array.InsertNextValue(row[column])
    return array


def _number_array(rows: list[dict], column: str):
    array = vtk.vtkDoubleArray()
    for row in rows:
        array.InsertNextValue(float(row[column]) if row[column] else float("nan"))
    return array


def _title(column: str) -> str:
    if column in _TITLES:
        return _(_TITLES[column])
    for ending in _UNITS:
        column = column.removesuffix(ending)
    return column.replace("_", " ").capitalize()


def _unit(column: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if column.endswith(ending)), "")
