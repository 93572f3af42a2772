"""What the simulator paints for each class of a label map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from AMDiffLib.errors import BadInput
from AMDiffLib.labels import ORGANS

_MAPPING = Path(__file__).resolve().parents[2] / "Resources" / "LabelMaps" / "totalsegmentator.json"


@dataclass(frozen=True, kw_only=True)
class Paint:
    """What is painted: as which structure, and whose uptake it gets (a key of the drawn uptake)."""

    structure: str
    uptake: str


@dataclass(frozen=True, kw_only=True)
class LabelClass:
    """One class of a label map.

    Attributes:
        paint: what is painted.
        organ: label value of `AMDiffLib.labels`, 0 where the paper has none.
        attenuation: at 511 keV in 1/cm, for use without CT.
        core, core_depth_mm: what is painted deeper than this below the class's surface; None for the same.
    """

    paint: Paint
    organ: int
    attenuation: float
    core: Paint | None = None
    core_depth_mm: float = 0.0


@lru_cache(maxsize=1)
def label_classes() -> Mapping[str, LabelClass]:
    """Return the known classes by name in lower case, TotalSegmentator's of versions 1 and 2."""
    return {name.lower(): _label_class(entry) for name, entry in _content()["classes"].items()}


def _label_class(entry: dict) -> LabelClass:
    organs = {organ.name: organ.label for organ in ORGANS}
    core = entry.get("core")
    return LabelClass(
        paint=Paint(structure=entry["structure"], uptake=entry["uptake"]),
        organ=organs[entry["organ"]] if entry["organ"] else 0,
        attenuation=entry["attenuation_per_cm"],
        core=Paint(structure=core["structure"], uptake=core["uptake"]) if core else None,
        core_depth_mm=core["deeper_than_mm"] if core else 0.0,
    )


def task_names(task: str) -> dict[int, str]:
    """Return the class name of each label value of a TotalSegmentator task, "total" or "total_v1".

    Raises:
        BadInput: no such task.
    """
    tasks = _content()["tasks"]
    if task not in tasks:
        raise BadInput(
            f"there is no label scheme '{task}'; choose from {', '.join(tasks)} or give a JSON file"
        )
    return dict(enumerate(tasks[task], start=1))


def classes_of(names: Mapping[int, str]) -> dict[int, LabelClass]:
    """Return the class of each label value that has a name.

    Raises:
        BadInput: a name is not known; all such names are listed.
    """
    known = label_classes()
    unknown = sorted(f"{value} {name}" for value, name in names.items() if name.lower() not in known)
    if unknown:
        raise BadInput(
            f"the label map holds classes that the simulator does not know: {', '.join(unknown)}. Give a "
            f"JSON file {{label value: class name}} with TotalSegmentator's names, such as aorta (all "
            f"are in {_MAPPING.name}); leave out values that are to stay unlabelled"
        )
    return {value: known[name.lower()] for value, name in names.items()}


@lru_cache(maxsize=1)
def _content() -> dict:
    return json.loads(_MAPPING.read_text(encoding="utf-8"))
