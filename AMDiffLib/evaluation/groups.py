"""Which figures belong together: by count level and scanner, apart and pooled, one value a subject.

The subject is the statistical unit. Where count levels are pooled, a subject's figures are averaged over
its levels first, so that no person counts three times.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from AMDiffLib.evaluation.filters import FAMILY_OF
from AMDiffLib.evaluation.gaussian import best_width
from AMDiffLib.evaluation.scores import NRMSE_RANGE, Score


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


def with_best_filters(scores: Sequence[Score]) -> tuple[list[Score], dict[tuple, float]]:
    """Return the scores of a group with the best filter of each family in place of all, and its strength.

    For each region, reference and count level it is the strength of the smallest mean range-normalised RMSE,
    chosen on the very cases it is judged on; its other figures are those of that strength. The strengths are
    keyed by (method, counts_percent, region, reference).
    """
    errors: dict[tuple, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        if score.method in FAMILY_OF and score.metric == NRMSE_RANGE:
            errors[_place(score)][_strength(score)].append(score.value)
    strengths = {place: best_width(of_strength) for place, of_strength in errors.items()}
    kept = [score for score in scores if score.method not in FAMILY_OF]
    for score in scores:
        if score.method in FAMILY_OF and _strength(score) == strengths[_place(score)]:
            kept.append(replace(score, method=FAMILY_OF[score.method].best))
    return kept, {place: strength for place, strength in strengths.items() if math.isfinite(strength)}


def _place(score: Score) -> tuple:
    return FAMILY_OF[score.method].best, score.counts_percent, score.region, score.reference


def _strength(score: Score) -> float:
    return FAMILY_OF[score.method].members[score.method]


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else math.nan
