"""18F-FDG uptake of healthy organs, SUVbw in g/mL.

Means and spreads between people are rounded from the public read-outs of 80 healthy adults of the hedyPET
study (DEPICT-RH, "100 healthy humans", total-body scanner, 50-70 min after injection). Structures that this
study does not hold (fat planes, face, necrotic core) are set by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """Log-normal uptake with the given mean and SD, kept within `low`..`high` (all SUVbw)."""

    mean: float
    sd: float
    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """Return one person's organ mean."""
        variance = np.log1p((self.sd / self.mean) ** 2)
        value = rng.lognormal(np.log(self.mean) - variance / 2, np.sqrt(variance))
        return float(np.clip(value, self.low, self.high))


def _uptake(mean: float, sd: float, low: float | None = None, high: float | None = None) -> Uptake:
    return Uptake(mean=mean, sd=sd, low=low or max(mean - 2.5 * sd, 0.2 * mean), high=high or mean + 3 * sd)


UPTAKE = {
    "subcutaneous fat": _uptake(0.30, 0.07),
    "visceral fat": _uptake(0.60, 0.15),
    "muscle": _uptake(0.70, 0.09),
    "skin": _uptake(0.55, 0.10),
    "grey matter": _uptake(9.2, 2.0),
    "white matter": _uptake(4.7, 0.8),
    "cerebellum": _uptake(7.2, 1.4),
    "deep nuclei": _uptake(9.8, 2.2),
    "ventricles": _uptake(2.6, 0.7),
    "face": _uptake(0.95, 0.15),
    "salivary glands": _uptake(1.7, 0.5),
    "thyroid": _uptake(1.3, 0.3),
    "spinal cord": _uptake(1.25, 0.2),
    "lung": _uptake(0.65, 0.16),
    "blood": _uptake(1.9, 0.26),
    "myocardium": _uptake(3.2, 2.2, 0.9, 14),
    "liver": _uptake(2.35, 0.35),
    "spleen": _uptake(1.85, 0.25),
    "renal cortex": _uptake(2.9, 0.45),
    "renal pelvis": _uptake(7.0, 5.0, 1.5, 35),
    "pancreas": _uptake(1.6, 0.25),
    "stomach wall": _uptake(1.9, 0.4),
    "stomach content": _uptake(0.7, 0.2),
    "small bowel": _uptake(1.8, 0.8, 0.7, 5),
    "colon": _uptake(1.3, 0.7, 0.5, 8),
    "gallbladder": _uptake(1.0, 0.35),
    "bladder": _uptake(29, 18, 5, 100),
    "uterus": _uptake(1.9, 0.5),
    "prostate": _uptake(1.8, 0.3),
    "breast": _uptake(0.55, 0.15),
    "oesophagus": _uptake(1.9, 0.3),
    "cervical spine": _uptake(1.33, 0.19),
    "thoracic spine": _uptake(1.55, 0.26),
    "lumbar spine": _uptake(1.6, 0.29),
    "sacrum": _uptake(1.2, 0.28),
    "pelvis": _uptake(1.15, 0.24),
    "ribs": _uptake(1.05, 0.16),
    "sternum": _uptake(1.1, 0.27),
    "clavicle": _uptake(0.75, 0.19),
    "scapula": _uptake(0.82, 0.14),
    "femur": _uptake(0.58, 0.18),
    "humerus": _uptake(0.50, 0.16),
    "skull": _uptake(1.1, 0.2),
}


def draw_uptake(rng: np.random.Generator) -> dict[str, float]:
    """Return one person's uptake by structure, SUVbw; one factor more scales the whole person."""
    person = float(np.clip(rng.lognormal(0.0, 0.06), 0.85, 1.2))
    return {name: uptake.draw(rng) * person for name, uptake in UPTAKE.items()}
