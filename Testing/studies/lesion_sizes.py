"""Volumes of painted lesions beside Table 1 of the AMDiff paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from study_output import table

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class LesionSizes:
    """Lesion volumes of one data set of Table 1, mL."""

    name: str
    subjects: int
    mean: float
    sd: float
    smallest: float
    largest: float


TABLE_1 = (
    LesionSizes(name="A, mCT, group I", subjects=195, mean=7.95, sd=74.23, smallest=0.025, largest=2542.68),
    LesionSizes(name="A, mCT, group II", subjects=29, mean=12.95, sd=39.74, smallest=0.017, largest=245.62),
    LesionSizes(name="B, Vision", subjects=10, mean=6.34, sd=17.28, smallest=0.009, largest=87.44),
    LesionSizes(name="C, uExplorer", subjects=10, mean=0.69, sd=0.78, smallest=0.04, largest=2.83),
)


def log_normal_quantiles(mean: float, sd: float, quantiles: Sequence[float]) -> list[float]:
    """Return the quantiles of the log-normal distribution of this mean and SD.

    Table 1 gives no quantiles; these are what its mean and SD say of a log-normal population.
    """
    from scipy.stats import norm

    variance = np.log1p((sd / mean) ** 2)
    return [float(mean * np.exp(norm.ppf(q) * np.sqrt(variance) - variance / 2)) for q in quantiles]


def lesion_table(volumes_ml: Sequence[float], subjects: int) -> str:
    """Return a table of the simulated volumes and those of Table 1."""
    simulated = LesionSizes(
        name="simulated", subjects=subjects, mean=float(np.mean(volumes_ml)),
        sd=float(np.std(volumes_ml, ddof=1)), smallest=min(volumes_ml), largest=max(volumes_ml),
    )  # fmt: skip
    rows = [(*_moments(simulated), *np.quantile(volumes_ml, _QUANTILES))]
    rows += [(*_moments(set_), *log_normal_quantiles(set_.mean, set_.sd, _QUANTILES)) for set_ in TABLE_1]
    header = ["lesions, mL", "subjects", "mean", "SD", "smallest", "largest"]
    return table(header + [f"{q:.0%}" for q in _QUANTILES], rows)


def _moments(sizes: LesionSizes) -> tuple[str, int, float, float, float, float]:
    return sizes.name, sizes.subjects, sizes.mean, sizes.sd, sizes.smallest, sizes.largest
