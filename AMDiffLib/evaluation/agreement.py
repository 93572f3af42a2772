"""Does the model measure what a reader of the high-count image would: MTV, TLG and SUVmean of organs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.regions import LESION
from AMDiffLib.evaluation.resampling import RESAMPLES, UNDEFINED, Interval
from AMDiffLib.evaluation.scores import HIGH_COUNT, LABELS, MODEL, Score
from AMDiffLib.labels import ORGANS

LIMIT_SDS = 1.96
"""The limits of agreement of Bland and Altman (1986) lie so many standard deviations from the mean."""

QUANTITIES = (
    ("mtv_ml", LESION, LABELS),
    ("tlg_g", LESION, HIGH_COUNT),
    *(("suv_mean", organ.name, HIGH_COUNT) for organ in ORGANS),
)
"""Metric, region, and the method whose figure of it is the true one."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What was measured and what is true, one pair a case, in the unit of the metric."""

    true: np.ndarray
    found: np.ndarray
    subjects: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Linear regression of found on true, and the limits of agreement of found - true.

    `n` counts cases, `subjects` people; the intervals (95 %) are of drawing people, with all their levels.
    NaN where fewer than three cases, or no spread, leave a figure undefined.
    """

    group: Group
    metric: str
    region: str
    n: int
    subjects: int
    slope: float
    intercept: float
    r_squared: float
    r_squared_interval: Interval
    bias: float
    sd: float
    lower_limit: float
    upper_limit: float


def pairs_of(scores: Iterable[Score], metric: str, region: str, true_method: str) -> Pairs:
    """Return what the model measured beside what is true.

    Of MTV and TLG only people with lesions: those of the others are in the false-positive volume. Cases in
    which either is undefined are left out.
    """
    found: dict[tuple[str, float], float] = {}
    true: dict[tuple[str, float], float] = {}
    for score in scores:
        if (score.metric, score.region) == (metric, region):
            if score.method == MODEL:
                found[score.subject, score.counts_percent] = score.value
            elif score.method == true_method:
                true[score.subject, score.counts_percent] = score.value
    smallest = 0.0 if region == LESION else -math.inf
    kept = [
        case
        for case, value in true.items()
        if math.isfinite(value) and value > smallest and math.isfinite(found.get(case, math.nan))
    ]
    return Pairs(
        true=np.array([true[case] for case in kept], float),
        found=np.array([found[case] for case in kept], float),
        subjects=tuple(subject for subject, _ in kept),
    )


def agree(pairs: Pairs, *, group: Group, metric: str, region: str) -> Agreement:
    """Return how well the pairs agree."""
    difference = pairs.found - pairs.true
    bias = float(difference.mean()) if difference.size else math.nan
    sd = float(difference.std(ddof=1)) if difference.size > 1 else math.nan
    slope, intercept, r_squared = regression(pairs.true, pairs.found)
    return Agreement(
        group=group,
        metric=metric,
        region=region,
        n=difference.size,
        subjects=len(set(pairs.subjects)),
        slope=slope,
        intercept=intercept,
        r_squared=r_squared,
        r_squared_interval=_r_squared_interval(pairs),
        bias=bias,
        sd=sd,
        lower_limit=bias - LIMIT_SDS * sd,
        upper_limit=bias + LIMIT_SDS * sd,
    )


def agreements(scores: Sequence[Score], groups: Sequence[Group]) -> list[Agreement]:
    """Return the agreement of every quantity in every group."""
    found = []
    for group in groups:
        own = [score for score in scores if group.holds(score)]
        for metric, region, true_method in QUANTITIES:
            pairs = pairs_of(own, metric, region, true_method)
            found.append(agree(pairs, group=group, metric=metric, region=region))
    return found


def regression(true: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """Return slope, intercept and R^2 of found on true; NaN where there is no spread or fewer than three."""
    from scipy.stats import linregress

    if len(true) < 3 or np.ptp(true) == 0:
        return math.nan, math.nan, math.nan
    line = linregress(true, found)
    # A flat line explains nothing of nothing.
    return float(line.slope), float(line.intercept), float(line.rvalue**2) if np.ptp(found) else math.nan


def _r_squared_interval(pairs: Pairs) -> Interval:
    """People are drawn, not cases: the levels of a person are not independent."""
    people = sorted(set(pairs.subjects))
    if len(people) < 3:
        return UNDEFINED
    rows = np.array([people.index(subject) for subject in pairs.subjects])
    random = np.random.default_rng(0)
    # How often each person was drawn weighs that person's cases: no copies are needed.
    drawn = random.multinomial(len(people), np.full(len(people), 1 / len(people)), size=RESAMPLES)
    weight = drawn[:, rows].astype(float)
    total = weight.sum(axis=1)
    x, y = (values - (weight @ values / total)[:, None] for values in (pairs.true, pairs.found))
    with np.errstate(invalid="ignore", divide="ignore"):
        r_squared = (weight * x * y).sum(1) ** 2 / ((weight * x * x).sum(1) * (weight * y * y).sum(1))
    low, high = np.nanpercentile(r_squared, (2.5, 97.5)) if np.isfinite(r_squared).any() else UNDEFINED
    return float(low), float(high)
