"""What the painted structures are: labels of the paper's organs and attenuation at 511 keV, 1/cm."""

from __future__ import annotations

LIVER, LUNG, BONE, MUSCLE, KIDNEY, SPLEEN, AORTA = range(2, 9)

WATER_ATTENUATION = 0.096
FAT_ATTENUATION = 0.090
LUNG_ATTENUATION = 0.030
BONE_ATTENUATION = 0.125
# Vertebral bodies and other bones that are mostly marrow.
MARROW_ATTENUATION = 0.108
AIR_ATTENUATION = 0.0

LUNG_LOBES = (
    "lung upper lobe left", "lung lower lobe left",
    "lung upper lobe right", "lung middle lobe right", "lung lower lobe right",
)  # fmt: skip
VERTEBRAE = ("vertebrae cervical", "vertebrae thoracic", "vertebrae lumbar")
MARROW_BONES = (*VERTEBRAE, "sacrum", "hip", "sternum")
BONES = (*MARROW_BONES, "rib", "clavicle", "scapula", "humerus", "femur", "skull")
MUSCLES = ("skeletal muscle", "autochthon", "iliopsoas", "gluteus maximus", "gluteus medius")
_FATS = ("subcutaneous fat", "visceral fat", "brown fat", "breast fat")

_LABELS = {
    "liver": LIVER,
    "spleen": SPLEEN,
    "kidney left": KIDNEY,
    "kidney right": KIDNEY,
    "aorta": AORTA,
    **dict.fromkeys(LUNG_LOBES, LUNG),
    **dict.fromkeys(BONES, BONE),
    **dict.fromkeys(MUSCLES, MUSCLE),
}
_ATTENUATION = {
    **dict.fromkeys(LUNG_LOBES, LUNG_ATTENUATION),
    **dict.fromkeys(BONES, BONE_ATTENUATION),
    **dict.fromkeys(MARROW_BONES, MARROW_ATTENUATION),
    **dict.fromkeys(_FATS, FAT_ATTENUATION),
    "air": AIR_ATTENUATION,
}


def label_of(structure: str) -> int:
    """Return the paper's label of a painted structure; 0 where the paper has none."""
    return _LABELS.get(structure, 0)


def attenuation_of(structure: str) -> float:
    """Return the attenuation of a painted structure at 511 keV in 1/cm."""
    return _ATTENUATION.get(structure, WATER_ATTENUATION)
