"""The semantic classes as a terminology context that Slicer's segment editor offers."""

from __future__ import annotations

from AMDiffLib.labels import SEMANTIC_CLASSES

TERMINOLOGY_CONTEXT = "AMDiff"

_SCHEMA = "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#"


def terminology_context() -> dict:
    """Return the content of Resources/Terminologies/AMDiff-segmentation-terminology.json."""
    categories: dict[tuple[str, str, str], dict] = {}
    for structure in SEMANTIC_CLASSES:
        category = categories.setdefault(
            structure.category, {**_code(structure.category), "showAnatomy": False, "Type": []}
        )
        category["Type"].append(
            {
                **_code(structure.type),
                "3dSlicerLabel": structure.name,
                "3dSlicerIntegerLabel": structure.label,
                "recommendedDisplayRGBValue": list(structure.colour),
            }
        )
    return {
        "SegmentationCategoryTypeContextName": TERMINOLOGY_CONTEXT,
        "@schema": _SCHEMA,
        "SegmentationCodes": {"Category": list(categories.values())},
    }


def _code(triple: tuple[str, str, str]) -> dict[str, str]:
    value, scheme, meaning = triple
    return {"CodeMeaning": meaning, "CodingSchemeDesignator": scheme, "CodeValue": value}
