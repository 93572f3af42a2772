"""18F-FDG uptake of healthy organs, SUVbw in g/mL.

Means and spreads between people are rounded from the public read-outs of 80 healthy adults of the hedyPET
study (DEPICT-RH, "100 healthy humans", total-body scanner, 50-70 min after injection). Structures that this
study does not hold (mucosa, face, glands of the head, testes, urine in the ureters) are set by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """Log-normal uptake of this mean and SD (SUVbw); organs of one `group` rise and fall together."""

    mean: float
    sd: float
    group: str = ""

    def at(self, deviate: float) -> float:
        """Return the uptake at a standard normal deviate; beyond 2.4 SD nobody is found."""
        variance = np.log1p((self.sd / self.mean) ** 2)
        return float(self.mean * np.exp(np.clip(deviate, -2.4, 2.4) * np.sqrt(variance) - variance / 2))


def _group(group: str, **structures: tuple[float, float]) -> dict[str, Uptake]:
    return {
        name.replace("_", " "): Uptake(mean=mean, sd=sd, group=group)
        for name, (mean, sd) in structures.items()
    }


UPTAKE = {
    **_group(
        "brain", cerebral_cortex=(9.05, 1.95), cerebral_white_matter=(4.75, 0.8), cerebellum_cortex=(7.2,
        1.4),
        cerebellum_white_matter=(5.15, 0.86), brain_stem=(5.25, 0.85), thalamus=(8.7, 1.75),
        caudate=(9.5, 2.4),
        putamen=(11.0, 2.3), pallidum=(6.6, 1.25), hippocampus=(6.5, 1.3), insula=(7.7, 1.65), csf=(3.2,
        0.57),
        lateral_ventricle=(2.6, 0.8), spinal_cord=(1.23, 0.21),
    ),
    **_group(
        "blood", blood=(1.95, 0.25), liver=(2.35, 0.35), spleen=(1.85, 0.25), kidney=(3.2, 0.52),
        pancreas=(1.58, 0.25),
        adrenal_gland=(1.88, 0.35), thyroid=(1.30, 0.29), oesophagus=(1.89, 0.31), uterus=(1.9, 0.5),
        prostate=(1.9, 0.4),
    ),
    **_group(
        "marrow", vertebrae_cervical=(1.33, 0.19), vertebrae_thoracic=(1.53, 0.27),
        vertebrae_lumbar=(1.56, 0.29),
        sacrum=(1.18, 0.29), hip=(1.11, 0.25), sternum=(1.07, 0.28), rib=(1.03, 0.16), clavicle=(0.74, 0.19),
        scapula=(0.81, 0.14), femur=(0.575, 0.19), humerus=(0.485, 0.17), skull=(1.31, 0.28),
    ),
    **_group(
        "muscle", skeletal_muscle=(0.70, 0.09), autochthon=(0.66, 0.093), gluteus_maximus=(0.585, 0.082),
        gluteus_medius=(0.67, 0.11), iliopsoas=(0.715, 0.13),
    ),
    **_group(
        "lung", lung_upper_lobe_left=(0.60, 0.18), lung_lower_lobe_left=(0.84, 0.18),
        lung_upper_lobe_right=(0.515, 0.13),
        lung_middle_lobe_right=(0.50, 0.15), lung_lower_lobe_right=(0.815, 0.2),
    ),
    **_group("fat", subcutaneous_fat=(0.365, 0.083), visceral_fat=(0.55, 0.13), skin=(0.60, 0.12),
    breast=(0.60, 0.18)),
    **_group("gut", stomach=(1.57, 0.36), duodenum=(1.74, 0.3)),
    "small bowel": Uptake(mean=2.6, sd=1.2),
    "colon": Uptake(mean=1.3, sd=0.53),
    "heart": Uptake(mean=2.89, sd=1.19),
    "gallbladder": Uptake(mean=1.13, sd=0.41),
    "urine": Uptake(mean=29.0, sd=16.0),
    "renal pelvis": Uptake(mean=8.0, sd=6.0),
    "salivary gland": Uptake(mean=1.8, sd=0.6),
    "tonsil": Uptake(mean=2.4, sd=0.9),
    "pharynx": Uptake(mean=1.6, sd=0.4),
    "tongue": Uptake(mean=1.4, sd=0.35),
    "mucosa": Uptake(mean=1.35, sd=0.3),
    "face": Uptake(mean=0.85, sd=0.13),
    "eye muscle": Uptake(mean=2.2, sd=0.7),
    "chewing muscle": Uptake(mean=0.9, sd=0.25),
    "larynx": Uptake(mean=1.5, sd=0.5),
    "testis": Uptake(mean=2.4, sd=0.6),
    "air": Uptake(mean=0.15, sd=0.03),
}  # fmt: skip

# Correlation of the organs of a group.
_SHARED = {"brain": 0.9, "blood": 0.4, "marrow": 0.7, "muscle": 0.8, "lung": 0.7, "fat": 0.4, "gut": 0.4}


def draw_uptake(rng: np.random.Generator) -> dict[str, float]:
    """Return one person's uptake by structure, SUVbw.

    What organs of a group share shifts them together and leaves each organ's distribution as it is.
    """
    shared = {group: rng.standard_normal() for group in _SHARED}
    drawn = {}
    for name, uptake in UPTAKE.items():
        correlation = _SHARED.get(uptake.group, 0.0)
        own = rng.standard_normal()
        common = shared.get(uptake.group, 0.0)
        drawn[name] = uptake.at(np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)
    return drawn
