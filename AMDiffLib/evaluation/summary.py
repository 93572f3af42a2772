"""Mean, deviation and median over subjects of the figures of many cases, and methods compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from AMDiffLib.evaluation.agreement import Agreement, agreements
from AMDiffLib.evaluation.detection import SIZE_NAMES
from AMDiffLib.evaluation.groups import Figure, Group, by_subject, groups_of, with_best_filters
from AMDiffLib.evaluation.resampling import (
    UNDEFINED,
    Interval,
    bootstrap_interval,
    ratio_of_means,
    wilcoxon_p,
)
from AMDiffLib.evaluation.scores import (
    DICE,
    LABELS,
    MODEL,
    NMAE,
    NRMSE_MEAN,
    NRMSE_RANGE,
    PSNR,
    SSIM,
    Score,
)

ALL_SIZES = "all lesions"
_MEDIAN_METRICS = ("mtv_error_percent", "tlg_error_percent")
HIGHER_IS_BETTER = (PSNR, SSIM, DICE)
_COMPARED_METRICS = (NRMSE_RANGE, NRMSE_MEAN, NMAE, *HIGHER_IS_BETTER)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One figure over the subjects of a group; `n` counts those of whom it is a number.

    `sd` is the sample standard deviation, NaN for a single subject. `interval` (95 %, bootstrap over
    subjects) is of the mean; of errors in per cent, which a single person can dominate, of the median.
    `strengths` are those that were best for this region, one a count level, of the best filters only.
    """

    group: Group
    figure: Figure
    n: int
    mean: float
    sd: float
    median: float
    total: float
    interval: Interval
    strengths: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The model against another method in one region: pairs of subjects.

    `ratio` is that of the means, model over other, with its interval; `p` Wilcoxon's signed-rank test, two
    sided; `better` counts the subjects in whom the model is closer to the reference.
    """

    group: Group
    other: str
    metric: str
    region: str
    reference: str
    n: int
    ratio: float
    interval: Interval
    p: float
    better: int


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Share of true lesions of a size that were found, all subjects of a group together."""

    group: Group
    size: str
    true: float
    found: float
    share: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that the cases say, group by group."""

    groups: list[Group]
    summaries: dict[tuple[Group, Figure], Summary]
    comparisons: list[Comparison]
    sensitivities: list[Sensitivity]
    agreements: list[Agreement]

    def summary(
        self, group: Group, method: str, metric: str, region: str, reference: str = LABELS
    ) -> Summary | None:
        """The summary of one figure; None where no case has it."""
        return self.summaries.get(
            (group, Figure(method=method, metric=metric, region=region, reference=reference))
        )


def evaluate_scores(scores: Sequence[Score]) -> Evaluation:
    """Summarise the scores of all cases by count level and scanner, apart and pooled."""
    groups = groups_of(scores)
    summaries, comparisons, sensitivities = {}, [], []
    for group in groups:
        own, strengths = with_best_filters([score for score in scores if group.holds(score)])
        figures = by_subject(own)
        for figure, values in figures.items():
            summaries[group, figure] = _summary(group, figure, list(values.values()), strengths)
        comparisons += _comparisons(group, figures)
        sensitivities += _sensitivities(group, figures)
    return Evaluation(
        groups=groups,
        summaries=summaries,
        comparisons=comparisons,
        sensitivities=sensitivities,
        agreements=agreements(scores, groups),
    )


def _summary(
    group: Group, figure: Figure, values: Sequence[float], strengths: Mapping[tuple, float]
) -> Summary:
    finite = [value for value in values if math.isfinite(value)]
    central = np.median if figure.metric in _MEDIAN_METRICS else np.mean
    place = (figure.method, figure.region, figure.reference)
    return Summary(
        group=group,
        figure=figure,
        n=len(finite),
        mean=statistics.fmean(finite) if finite else math.nan,
        sd=statistics.stdev(finite) if len(finite) > 1 else math.nan,
        median=statistics.median(finite) if finite else math.nan,
        total=math.fsum(finite),
        interval=bootstrap_interval(finite, statistic=central) if finite else UNDEFINED,
        strengths=tuple(
            strength
            for (method, _, *of), strength in sorted(strengths.items())
            if (method, *of) == place and figure.metric != SSIM
        ),
    )


def _comparisons(group: Group, figures: Mapping[Figure, Mapping[str, float]]) -> list[Comparison]:
    found = []
    for figure, theirs in figures.items():
        if figure.method == MODEL or figure.metric not in _COMPARED_METRICS:
            continue
        pairs = pair_subjects(figures.get(replace(figure, method=MODEL), {}), theirs)
        if pairs is None:
            continue
        ours, others = pairs
        gain = ours - others if figure.metric in HIGHER_IS_BETTER else others - ours
        found.append(
            Comparison(
                group=group,
                other=figure.method,
                metric=figure.metric,
                region=figure.region,
                reference=figure.reference,
                n=len(ours),
                ratio=float(ratio_of_means(ours, others)),
                interval=bootstrap_interval(ours, others, statistic=ratio_of_means),
                p=wilcoxon_p(ours, others),
                better=int((gain > 0).sum()),
            )
        )
    return found


def pair_subjects(
    ours: Mapping[str, float], theirs: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return both methods' values of the subjects in whom both are defined; None without such a subject."""
    pairs = [
        (value, theirs[subject])
        for subject, value in ours.items()
        if math.isfinite(value) and math.isfinite(theirs.get(subject, math.nan))
    ]
    if not pairs:
        return None
    return tuple(np.array(side) for side in zip(*pairs, strict=True))


def _sensitivities(group: Group, figures: Mapping[Figure, Mapping[str, float]]) -> list[Sensitivity]:
    def of(metric: str, size: str) -> np.ndarray:
        figure = Figure(method=MODEL, metric=metric, region=size, reference=LABELS)
        return np.array(list(figures.get(figure, {}).values()))

    sizes = {size: (of("lesions_found", size), of("lesions_true", size)) for size in SIZE_NAMES}
    sizes[ALL_SIZES] = tuple(sum(counts[side] for counts in sizes.values()) for side in (0, 1))
    found = []
    for size, (hits, true) in sizes.items():
        ill = true > 0
        share = float(ratio_of_means(hits[ill], true[ill])) if ill.any() else math.nan
        interval = (
            bootstrap_interval(hits[ill], true[ill], statistic=ratio_of_means) if ill.any() else UNDEFINED
        )
        found.append(
            Sensitivity(
                group=group,
                size=size,
                true=float(true.sum()),
                found=float(hits.sum()),
                share=share,
                interval=interval,
            )
        )
    return found
