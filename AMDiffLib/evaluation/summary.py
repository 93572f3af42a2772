"""Figures of many cases become mean, standard deviation and median."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from AMDiffLib.evaluation.gaussian import WIDTHS_MM, best_width
from AMDiffLib.evaluation.scores import NRMSE_RANGE, Score, gaussian_name

BEST_GAUSSIAN = "gaussian_best"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One figure over the cases of a count level; `n` counts those where it is a number.

    `sd` is the sample standard deviation, NaN for a single case. `width_mm` is the full width at half maximum
    that was best for this region, for the best Gaussian only.
    """

    counts_percent: float
    method: str
    metric: str
    region: str
    reference: str
    n: int
    mean: float
    sd: float
    median: float
    total: float
    width_mm: float | None = None


def summarise(scores: Iterable[Score]) -> list[Summary]:
    """Summarise each figure over subjects, and add `gaussian_best` for each region.

    The best Gaussian is the width of the smallest mean range-normalised RMSE of that region, reference and
    count level, chosen on the very cases it is judged on; its other figures are those of that width.
    """
    groups: dict[tuple, list[float]] = defaultdict(list)
    for score in scores:
        key = (score.counts_percent, score.method, score.metric, score.region, score.reference)
        groups[key].append(score.value)
    return [*(_summary(key, values) for key, values in groups.items()), *_best_gaussian(groups)]


def _best_gaussian(groups: dict[tuple, list[float]]) -> list[Summary]:
    found = []
    names = {gaussian_name(width): width for width in WIDTHS_MM}
    places = dict.fromkeys((key[0], *key[3:]) for key in groups if key[1] in names)
    for counts, region, reference in places:
        errors = {
            width: groups.get((counts, name, NRMSE_RANGE, region, reference), [])
            for name, width in names.items()
        }
        width = best_width(errors)
        if math.isnan(width):
            continue
        for key, values in groups.items():
            if (key[0], key[1], *key[3:]) == (counts, gaussian_name(width), region, reference):
                found.append(_summary((counts, BEST_GAUSSIAN, *key[2:]), values, width))
    return found


def _summary(key: tuple, values: Sequence[float], width_mm: float | None = None) -> Summary:
    counts, method, metric, region, reference = key
    finite = [value for value in values if math.isfinite(value)]
    return Summary(
        counts_percent=counts,
        method=method,
        metric=metric,
        region=region,
        reference=reference,
        n=len(finite),
        mean=statistics.fmean(finite) if finite else math.nan,
        sd=statistics.stdev(finite) if len(finite) > 1 else math.nan,
        median=statistics.median(finite) if finite else math.nan,
        total=math.fsum(finite),
        width_mm=width_mm,
    )
