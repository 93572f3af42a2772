"""Bootstrap intervals and paired tests; the subject is what is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000
_SEED = 0

Interval = tuple[float, float]
UNDEFINED: Interval = (math.nan, math.nan)


def bootstrap_interval(*samples: Sequence[float], statistic: Callable[..., np.ndarray] = np.mean) -> Interval:
    """Return the 95 % percentile interval of a statistic over subjects, always the same for the same values.

    `samples` hold one value a subject and are drawn together; `statistic` takes them and `axis`. NaN for
    fewer than three subjects, of whom no interval could be told.
    """
    from scipy.stats import bootstrap

    if len(samples[0]) < 3:
        return UNDEFINED
    data = [np.asarray(sample, float) for sample in samples]
    if all(np.ptp(sample) == 0 for sample in data):
        value = float(statistic(*data, axis=-1))
        return value, value
    with np.errstate(invalid="ignore", divide="ignore"):
        found = bootstrap(
            data,
            statistic,
            n_resamples=RESAMPLES,
            vectorized=True,
            paired=len(data) > 1,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
    return float(found.low), float(found.high)


def ratio_of_means(above: np.ndarray, below: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return mean(above) / mean(below): as a statistic, the ratio of two methods, or a share of lesions."""
    return np.mean(above, axis=axis) / np.mean(below, axis=axis)


def wilcoxon_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test on pairs; NaN for fewer than six pairs.

    Five pairs cannot reach p < 0.05 whatever their differences. Equal samples have p = 1.
    """
    from scipy.stats import wilcoxon

    difference = np.asarray(first, float) - np.asarray(second, float)
    if len(difference) < 6:
        return math.nan
    return 1.0 if not difference.any() else float(wilcoxon(difference).pvalue)
