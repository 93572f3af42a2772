"""Which rows of a table of organ uptake in healthy people judge which painted structures."""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Painted structure -> patterns of rows of the reference. Several rows are averaged by volume. What is
# painted and not listed here (skin, face, glands of the head, urine outside the bladder, ...) the reference
# lacks, or, as visceral fat and prostate, holds with spill-in from its neighbours.
ROWS = {
    "cerebral cortex": ("Left-Cerebral-Cortex", "Right-Cerebral-Cortex"),
    "cerebral white matter": ("*-Cerebral-White-Matter",),
    "cerebellum cortex": ("*-Cerebellum-Cortex",),
    "cerebellum white matter": ("*-Cerebellum-White-Matter",),
    "brain stem": ("Brain-Stem",),
    "thalamus": ("*-Thalamus-Proper*",),
    "caudate": ("*-Caudate",),
    "putamen": ("*-Putamen",),
    "pallidum": ("*-Pallidum",),
    "hippocampus": ("*-Hippocampus",),
    "insula": ("ctx-?h-insula",),
    "csf": ("CSF",),
    "lateral ventricle": ("*-Lateral-Ventricle",),
    "spinal cord": ("spinal_cord",),
    "thyroid gland": ("thyroid_gland",),
    "lung upper lobe left": ("lung_upper_lobe_left",),
    "lung lower lobe left": ("lung_lower_lobe_left",),
    "lung upper lobe right": ("lung_upper_lobe_right",),
    "lung middle lobe right": ("lung_middle_lobe_right",),
    "lung lower lobe right": ("lung_lower_lobe_right",),
    "heart": ("heart",),
    "aorta": ("aorta",),
    "inferior vena cava": ("inferior_vena_cava",),
    "superior vena cava": ("superior_vena_cava",),
    "portal vein": ("portal_vein_and_splenic_vein",),
    "iliac artery": ("iliac_artery_*",),
    "iliac vein": ("iliac_vena_*",),
    "carotid artery": ("common_carotid_artery_*",),
    "subclavian artery": ("subclavian_artery_*",),
    "brachiocephalic vein": ("brachiocephalic_vein_*",),
    "esophagus": ("esophagus",),
    "liver": ("liver",),
    "gallbladder": ("gallbladder",),
    "spleen": ("spleen",),
    "pancreas": ("pancreas",),
    "adrenal gland": ("adrenal_gland_*",),
    "kidney left": ("kidney_left",),
    "kidney right": ("kidney_right",),
    "stomach": ("stomach",),
    "duodenum": ("duodenum",),
    "small bowel": ("small_bowel",),
    "colon": ("colon",),
    "urinary bladder": ("urinary_bladder",),
    "vertebrae cervical": ("vertebrae_C?",),
    "vertebrae thoracic": ("vertebrae_T*",),
    "vertebrae lumbar": ("vertebrae_L?",),
    "sacrum": ("sacrum",),
    "hip": ("hip_*",),
    "sternum": ("sternum",),
    "rib": ("rib_*",),
    "clavicle": ("clavicula_*",),
    "scapula": ("scapula_*",),
    "humerus": ("humerus_*",),
    "femur": ("femur_*",),
    "skull": ("skull",),
    "skeletal muscle": ("skeletal_muscle",),
    "autochthon": ("autochthon_*",),
    "iliopsoas": ("iliopsoas_*",),
    "gluteus maximus": ("gluteus_maximus_*",),
    "gluteus medius": ("gluteus_medius_*",),
    "subcutaneous fat": ("subcutaneous_fat",),
}
# The reference's heart is all of it: chambers and walls, painted apart, are put together.
TOGETHER = {
    "heart": ("heart myocardium", "heart blood", "heart atrium", "heart ventricle right"),
}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An organ's mean SUVbw over healthy people: mean, and 5th and 95th percentile."""

    mean: float
    low: float
    high: float


def read_reference(path: Path) -> dict[str, Reference]:
    """Return the reference of each structure in `ROWS`, from a CSV with one row per segmented structure.

    Raises:
        ValueError: a pattern finds no row, or a column is missing.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row["structure"]: row for row in csv.DictReader(file)}
    return {organ: _reference(rows, organ, patterns) for organ, patterns in ROWS.items()}


def _reference(rows: Mapping[str, Mapping[str, str]], organ: str, patterns: tuple[str, ...]) -> Reference:
    names = [name for name in rows if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    if not names:
        raise ValueError(f"The reference has no row for {organ}; expected one like {', '.join(patterns)}.")
    weights = [float(rows[name]["volume_ml"]) for name in names]

    def averaged(column: str) -> float:
        values = [float(rows[name][column]) for name in names]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    return Reference(mean=averaged("suv_mean"), low=averaged("suv_p05"), high=averaged("suv_p95"))
