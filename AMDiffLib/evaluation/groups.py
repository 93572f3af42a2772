"""Which figures belong together: by count level and scanner, apart and pooled, one value a subject.

The subject is the statistical unit. Where count levels are pooled, a subject's figures are averaged over
its levels first, so that no person counts three times.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from AMDiffLib.evaluation.gaussian import WIDTHS_MM, best_width
from AMDiffLib.evaluation.scores import BEST_GAUSSIAN, NRMSE_RANGE, Score, gaussian_name


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some cases: those of a count level and a scanner; None means all of them."""

    counts_percent: float | None
    scanner: str | None

    @property
    def name(self) -> str:
        counts = "all counts" if self.counts_percent is None else f"{self.counts_percent:g} % counts"
        return f"{counts}, {self.scanner or 'all scanners'}"

    def holds(self, score: Score) -> bool:
        """Whether a figure belongs here."""
        return self.counts_percent in (None, score.counts_percent) and self.scanner in (None, score.scanner)


@dataclass(frozen=True, order=True, kw_only=True)
class Figure:
    """What was measured, of which method, where, and against what."""

    method: str
    metric: str
    region: str
    reference: str

    @classmethod
    def of(cls, score: Score) -> Figure:
        return cls(method=score.method, metric=score.metric, region=score.region, reference=score.reference)


def groups_of(scores: Sequence[Score]) -> list[Group]:
    """Return all groups that the cases make: everything pooled first; no group twice for the same cases."""
    levels: list[float | None] = sorted({score.counts_percent for score in scores})
    scanners: list[str | None] = list(dict.fromkeys(score.scanner for score in scores))
    levels = [None, *levels] if len(levels) > 1 else levels
    scanners = [None, *scanners] if len(scanners) > 1 else [None]
    return [Group(counts_percent=level, scanner=scanner) for scanner in scanners for level in levels]


def by_subject(scores: Iterable[Score]) -> dict[Figure, dict[str, float]]:
    """Return figure -> subject -> its value, the mean over its levels where there are several.

    Undefined values are left out; a subject with no other stays as NaN.
    """
    values: dict[Figure, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        values[Figure.of(score)][score.subject].append(score.value)
    return {
        figure: {subject: _mean(own) for subject, own in subjects.items()}
        for figure, subjects in values.items()
    }


def with_best_gaussian(scores: Sequence[Score]) -> tuple[list[Score], dict[tuple, float]]:
    """Return the scores of a group with its `gaussian_best` in place of the single widths, and these widths.

    For each region, reference and count level it is the width of the smallest mean range-normalised RMSE,
    chosen on the very cases it is judged on; its other figures are those of that width. The widths are
    keyed by (counts_percent, region, reference).
    """
    names = {gaussian_name(width): width for width in WIDTHS_MM}
    errors: dict[tuple, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        if score.method in names and score.metric == NRMSE_RANGE:
            place = (score.counts_percent, score.region, score.reference)
            errors[place][names[score.method]].append(score.value)
    widths = {place: best_width(of_width) for place, of_width in errors.items()}
    kept = [score for score in scores if score.method not in names]
    for score in scores:
        place = (score.counts_percent, score.region, score.reference)
        if score.method in names and names[score.method] == widths[place]:
            kept.append(replace(score, method=BEST_GAUSSIAN))
    return kept, {place: width for place, width in widths.items() if math.isfinite(width)}


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else math.nan
