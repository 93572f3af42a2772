"""18F-FDG uptake of healthy organs, SUVbw in g/mL.

Means and spreads between people are rounded from the public read-outs of 80 healthy adults of the hedyPET
study (DEPICT-RH, "100 healthy humans", total-body scanner, 50-70 min after injection). Structures that this
study does not hold (mucosa, face, glands of the head, testes, urine in the ureters) are set by eye. A thin
structure is painted a little above its published mean, because voxels on its border hold its neighbours too.
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
        "brain",
        cerebral_cortex=(10.1, 1.85),
        cerebral_white_matter=(4.72, 0.62),
        cerebellum_cortex=(7.55, 1.2),
        cerebellum_white_matter=(5.3, 0.7),
        brain_stem=(5.4, 0.72),
        thalamus=(9.1, 1.6),
        caudate=(9.2, 2.25),
        putamen=(11.6, 2.05),
        pallidum=(6.8, 1.1),
        hippocampus=(6.4, 1.25),
        insula=(7.7, 1.65),
        csf=(3.1, 0.45),
        lateral_ventricle=(2.4, 0.7),
        spinal_cord=(1.24, 0.17),
    ),
    **_group(
        "blood",
        blood=(1.95, 0.21),
        liver=(2.43, 0.36),
        spleen=(1.88, 0.245),
        kidney=(3.03, 0.4),
        pancreas=(1.5, 0.21),
        adrenal_gland=(2.0, 0.35),
        thyroid=(1.27, 0.19),
        oesophagus=(1.9, 0.3),
        uterus=(1.9, 0.5),
        prostate=(1.9, 0.4),
    ),
    **_group(
        "marrow",
        vertebrae_cervical=(1.48, 0.155),
        vertebrae_thoracic=(1.59, 0.25),
        vertebrae_lumbar=(1.55, 0.25),
        sacrum=(1.14, 0.25),
        hip=(1.11, 0.23),
        sternum=(1.03, 0.25),
        rib=(1.02, 0.155),
        clavicle=(0.715, 0.165),
        scapula=(0.785, 0.106),
        femur=(0.59, 0.17),
        humerus=(0.47, 0.13),
        skull=(1.36, 0.27),
    ),
    **_group(
        "muscle",
        skeletal_muscle=(0.715, 0.083),
        autochthon=(0.67, 0.084),
        gluteus_maximus=(0.587, 0.076),
        gluteus_medius=(0.682, 0.105),
        iliopsoas=(0.735, 0.125),
    ),
    **_group(
        "lung",
        lung_upper_lobe_left=(0.57, 0.16),
        lung_lower_lobe_left=(0.815, 0.16),
        lung_upper_lobe_right=(0.502, 0.116),
        lung_middle_lobe_right=(0.475, 0.12),
        lung_lower_lobe_right=(0.765, 0.17),
    ),
    **_group(
        "fat",
        subcutaneous_fat=(0.39, 0.078),
        visceral_fat=(0.55, 0.13),
        skin=(0.60, 0.12),
        breast=(0.60, 0.18),
    ),
    **_group("gut", stomach=(1.6, 0.3), duodenum=(1.73, 0.28)),
    "small bowel": Uptake(mean=2.65, sd=1.05),
    "colon": Uptake(mean=1.36, sd=0.5),
    "heart": Uptake(mean=2.9, sd=0.95),
    "gallbladder": Uptake(mean=1.06, sd=0.36),
    "urine": Uptake(mean=29.5, sd=15.0),
    "renal pelvis": Uptake(mean=8.0, sd=6.0),
    "salivary gland": Uptake(mean=1.8, sd=0.6),
    "tonsil": Uptake(mean=2.4, sd=0.9),
    "pharynx": Uptake(mean=2.2, sd=0.5),
    "tongue": Uptake(mean=1.9, sd=0.45),
    "mucosa": Uptake(mean=2.0, sd=0.45),
    "face": Uptake(mean=0.85, sd=0.13),
    "eye muscle": Uptake(mean=2.2, sd=0.7),
    "chewing muscle": Uptake(mean=0.9, sd=0.25),
    "larynx": Uptake(mean=1.5, sd=0.5),
    "testis": Uptake(mean=2.4, sd=0.6),
    # Relative to the aorta: how much tracer the legs have kept.
    "leg vessels": Uptake(mean=1.0, sd=0.09),
    "air": Uptake(mean=0.15, sd=0.03),
}

# Correlation of the organs of a group.
_SHARED = {"brain": 0.8, "blood": 0.4, "marrow": 0.7, "muscle": 0.8, "lung": 0.7, "fat": 0.4, "gut": 0.4}


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
