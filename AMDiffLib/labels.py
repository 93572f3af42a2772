"""The semantic classes of the AMDiff paper, with their label values, colours and SNOMED CT codes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Structure:
    """One semantic class: `label` is the paper's s; codes are (value, scheme, meaning)."""

    label: int
    name: str
    colour: tuple[int, int, int]
    category: tuple[str, str, str]
    type: tuple[str, str, str]


_ABNORMAL = ("49755003", "SCT", "Morphologically Altered Structure")
_ANATOMICAL = ("123037004", "SCT", "Anatomical Structure")
_TISSUE = ("85756007", "SCT", "Tissue")

LESION = Structure(
    label=1, name="lesion", colour=(230, 75, 53), category=_ABNORMAL, type=("108369006", "SCT", "Neoplasm")
)

# Chosen for the largest least difference (CIEDE2000, 13 or more) between any two of the eight classes, with
# normal vision and as protanopes, deuteranopes and tritanopes see them; the lesion red is given.
ORGANS = (
    Structure(
        label=2,
        name="liver",
        colour=(255, 168, 4),
        category=_ANATOMICAL,
        type=("10200004", "SCT", "Liver"),
    ),
    Structure(
        label=3,
        name="lung",
        colour=(101, 215, 218),
        category=_ANATOMICAL,
        type=("39607008", "SCT", "Lung"),
    ),
    Structure(
        label=4,
        name="bone",
        colour=(255, 255, 106),
        category=_ANATOMICAL,
        type=("272673000", "SCT", "Bone"),
    ),
    Structure(
        label=5,
        name="muscle",
        colour=(121, 52, 83),
        category=_TISSUE,
        type=("91727004", "SCT", "Muscle"),
    ),
    Structure(
        label=6,
        name="kidney",
        colour=(0, 159, 124),
        category=_ANATOMICAL,
        type=("64033007", "SCT", "Kidney"),
    ),
    Structure(
        label=7,
        name="spleen",
        colour=(151, 123, 190),
        category=_ANATOMICAL,
        type=("78961009", "SCT", "Spleen"),
    ),
    Structure(
        label=8,
        name="aorta",
        colour=(50, 64, 133),
        category=_ANATOMICAL,
        type=("15825003", "SCT", "Aorta"),
    ),
)

SEMANTIC_CLASSES = (LESION, *ORGANS)
