"""How often calibrated intervals hold the truth on people whom neither model nor calibration has seen."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from AMDiffLib.calibration.observations import Observation
from AMDiffLib.quantification.calibration import CONFIDENCE, Calibration
from AMDiffLib.quantification.intervals import (
    LESION,
    ORGAN,
    QUANTITIES,
    SIZE_NAMES,
    calibrated_name,
    size_class,
)

EVERYTHING = "all"
BOOTSTRAPS = 2000
_BOOTSTRAP_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The share of truths inside their intervals.

    Attributes:
        kind, quantity, reference: what the intervals are of, and what counts as true.
        by: what the group is of: all, count level, size (measured volume), true size, or organ.
        group: "all", a level such as "5 %", a size class, or an organ's name.
        confidence: that the intervals claim.
        observations, subjects: of how many, of how many people.
        covered: share inside; covered_low, covered_high: its 95 % bootstrap interval over people.
        below, above: shares of truths below and above their interval.
        width: median of (high - low) / measured.
    """

    kind: str
    quantity: str
    reference: str
    by: str
    group: str
    confidence: float
    observations: int
    subjects: int
    covered: float
    covered_low: float
    covered_high: float
    below: float
    above: float
    width: float


def measure_coverage(
    observations: Sequence[Observation],
    calibration: Calibration,
    *,
    confidences: Sequence[float] = (CONFIDENCE,),
    seed: int = 0,
) -> list[Coverage]:
    """Return the coverage of every calibrated quantity, reference and confidence, of all and by groups."""
    found = []
    for reference in calibration.references:
        for kind, quantities in QUANTITIES.items():
            of_kind = [o for o in observations if o.kind == kind and reference in o.true]
            for quantity in quantities:
                model = calibration.model_of(calibrated_name(kind, quantity), reference)
                if model is None or not of_kind:
                    continue
                ratio = np.array([o.true[reference][quantity] / o.measured[quantity] for o in of_kind])
                for confidence in confidences:
                    ends = np.array([model.factors(o.features, o.group, confidence) for o in of_kind])
                    for (by, group), inside in _groups(of_kind, kind).items():
                        found.append(
                            _coverage(
                                kind, quantity, reference, by, group, confidence,
                                subjects=np.array([o.subject for o in of_kind])[inside],
                                ratio=ratio[inside], ends=ends[inside], seed=seed,
                            )
                        )  # fmt: skip
    return found


def write_coverage(path: Path, coverages: Iterable[Coverage]) -> None:
    """Write one row per coverage."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Coverage)])
        writer.writeheader()
        for coverage in coverages:
            row = asdict(coverage)
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})


def as_markdown(coverages: Sequence[Coverage], reference: str) -> str:
    """Return the table of 90 % intervals against one reference: coverage [bootstrap], width and number."""
    chosen = [c for c in coverages if c.reference == reference and c.confidence == CONFIDENCE]
    lines = [
        "| of | quantity | group | people | n | covered, % [95 %] | below, % | above, % | width / value |",
        "| - | - | - | -: | -: | -: | -: | -: | -: |",
    ]
    lines += [
        f"| {c.kind} | {TITLES[c.quantity]} | {_group_title(c)} | {c.subjects} | {c.observations} | "
        f"{100 * c.covered:.0f} [{100 * c.covered_low:.0f}, {100 * c.covered_high:.0f}] | "
        f"{100 * c.below:.0f} | {100 * c.above:.0f} | {c.width:.2f} |"
        for c in chosen
    ]
    return "\n".join(lines)


TITLES = {
    "suv_max": "SUVmax",
    "suv_mean": "SUVmean",
    "suv_peak": "SUVpeak",
    "mtv_ml": "MTV",
    "tlg_g": "TLG",
}
"""The quantities as tables and plots name them."""


def _group_title(coverage: Coverage) -> str:
    if coverage.by == "true size":
        return f"truly {coverage.group}"
    return f"{coverage.group} counts" if coverage.by == "counts" else coverage.group


def _groups(observations: Sequence[Observation], kind: str) -> dict[tuple[str, str], np.ndarray]:
    """Return which observations belong to each group that is judged."""

    def where(by: str, names: Sequence[str], own: Sequence[str]) -> dict[tuple[str, str], np.ndarray]:
        marks = np.array(own)
        return {(by, name): marks == name for name in names if (marks == name).any()}

    groups = {(EVERYTHING, EVERYTHING): np.ones(len(observations), bool)}
    levels = sorted({o.counts_percent for o in observations})
    own = [f"{o.counts_percent:g} %" for o in observations]
    groups |= where("counts", [f"{level:g} %" for level in levels], own)
    if kind == LESION:
        groups |= where("size", SIZE_NAMES, [o.group for o in observations])
        groups |= where("true size", SIZE_NAMES, [size_class(o.true_ml) for o in observations])
    elif kind == ORGAN:
        groups |= where(
            "organ", list(dict.fromkeys(o.group for o in observations)), [o.group for o in observations]
        )
    return groups


def _coverage(
    kind: str,
    quantity: str,
    reference: str,
    by: str,
    group: str,
    confidence: float,
    *,
    subjects: np.ndarray,
    ratio: np.ndarray,
    ends: np.ndarray,
    seed: int,
) -> Coverage:
    low, high = ends[:, 0], ends[:, 1]
    inside = (low <= ratio) & (ratio <= high)
    bounds = _bootstrap(inside, subjects, seed)
    return Coverage(
        kind=kind,
        quantity=quantity,
        reference=reference,
        by=by,
        group=group,
        confidence=confidence,
        observations=len(ratio),
        subjects=len(np.unique(subjects)),
        covered=float(inside.mean()),
        covered_low=bounds[0],
        covered_high=bounds[1],
        below=float((ratio < low).mean()),
        above=float((ratio > high).mean()),
        width=float(np.median(high - low)),
    )


def _bootstrap(inside: np.ndarray, subjects: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the ends of the coverage's interval when people are drawn anew; NaN of a single person."""
    _, place = np.unique(subjects, return_inverse=True)
    hits, number = np.bincount(place, weights=inside), np.bincount(place)
    if len(number) < 2:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(len(number), size=(BOOTSTRAPS, len(number)))
    shares = hits[drawn].sum(axis=1) / number[drawn].sum(axis=1)
    tail = 50.0 * (1.0 - _BOOTSTRAP_CONFIDENCE)
    low, high = np.percentile(shares, [tail, 100.0 - tail])
    return float(low), float(high)
