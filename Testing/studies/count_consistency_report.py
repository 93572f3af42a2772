"""Tables, curves and CSV of the study of the check against the counts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from study_output import table, write_json

from AMDiffLib.quantification.count_consistency import UNSUPPORTED_Z
from AMDiffLib.quantification.removed_uptake import REMOVED_Z

_VOLUMES_ML = (0.0, 0.5, 1.5, 5.0, np.inf)
_RATIOS = (0.0, 2.5, 4.0, 6.0, np.inf)
_THRESHOLDS = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0)
_DRAWN_TO = 30.0


@dataclass(frozen=True, kw_only=True)
class NullScore:
    """A z-score where nothing was added or removed; `image` is compared with the counts."""

    image: str
    counts_percent: float
    region: str
    z: float


@dataclass(frozen=True, kw_only=True)
class Detection:
    """The score of one changed lesion, larger meaning more suspect, and of the same region unchanged.

    kind: added, removed, or false alarm (a hot spot listed where nothing was erased). `ratio`: to what was,
    or is, around it. `region_score`: of an erased lesion, from its outline instead of the list of hot spots.
    """

    kind: str
    counts_percent: float
    volume_ml: float
    ratio: float
    score: float
    null: float
    region_score: float = float("nan")


def report(folder: Path, nulls: Sequence[NullScore], detections: Sequence[Detection], scans: int) -> None:
    """Print the tables; write the scores as CSV, the figures as JSON and the curves as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    added = [one for one in detections if one.kind == "added"]
    removed = [one for one in detections if one.kind == "removed"]
    alarms = np.array([one.score for one in detections if one.kind == "false alarm"])
    lesion_z = np.array([one.z for one in nulls if one.region == "true lesion" and one.image == "model"])
    null_rows = _null_rows(nulls)
    print(table(["image, region", "counts", "n", "mean", "SD", "1 %", "99 %"], null_rows))
    sensitivity = _sensitivity_rows("added", added, UNSUPPORTED_Z)
    sensitivity += _sensitivity_rows("removed", removed, REMOVED_Z)
    print(table(["lesions", "counts", "n", "AUC", "found at threshold"], sensitivity))
    curve = [
        (
            threshold,
            float(np.mean([one.null > threshold for one in added])) if added else float("nan"),
            float(np.mean(lesion_z > threshold)) if lesion_z.size else float("nan"),
            float(np.mean([one.score > threshold for one in added])) if added else float("nan"),
            float(np.sum(alarms >= threshold) / scans),
            float(np.mean([one.score >= threshold for one in removed])) if removed else float("nan"),
        )
        for threshold in _THRESHOLDS
    ]
    header = ["threshold z", "false: same place", "false: true lesions", "added found"]
    print(table([*header, "false spots a scan", "removed listed"], curve))
    write_json(
        folder / "count_consistency.json",
        {
            "scans": scans, "unsupported_z": UNSUPPORTED_Z, "removed_z": REMOVED_Z,
            "null": null_rows, "sensitivity": sensitivity, "thresholds": curve,
        },
    )  # fmt: skip
    with (folder / "count_consistency.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["kind", "counts_percent", "volume_ml", "ratio", "score", "null", "region_score"])
        for one in detections:
            values = (one.volume_ml, one.ratio, one.score, one.null, one.region_score)
            writer.writerow([one.kind, f"{one.counts_percent:g}", *(f"{value:.4g}" for value in values)])
    _draw(folder / "count_consistency.png", added, removed, alarms, scans)


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half."""
    if not len(positive) or not len(negative):
        return float("nan")
    low = np.sort(np.asarray(negative, float))
    below = np.searchsorted(low, positive, "left") + np.searchsorted(low, positive, "right")
    return float(np.mean(below) / (2 * low.size))


def _null_rows(nulls: Sequence[NullScore]) -> list[tuple]:
    rows = []
    for image, region in dict.fromkeys((one.image, one.region) for one in nulls):
        of_region = [one for one in nulls if (one.image, one.region) == (image, region)]
        levels = sorted({one.counts_percent for one in of_region})
        for level in [None, *(levels if len(levels) > 1 else [])]:
            z = np.array([one.z for one in of_region if level in (None, one.counts_percent)])
            rows.append(
                (
                    f"{image}, {region}", "all" if level is None else f"{level:g} %", z.size, float(z.mean()),
                    float(z.std(ddof=1)) if z.size > 1 else float("nan"), *np.quantile(z, (0.01, 0.99)),
                )
            )  # fmt: skip
    return rows


def _sensitivity_rows(kind: str, found: Sequence[Detection], threshold: float) -> list[tuple]:
    """AUC by outline, and the share found at the threshold: of all, by counts, by volume, by ratio."""
    groups = [("all", found)]
    groups += [
        (f"{level:g} %", [one for one in found if one.counts_percent == level])
        for level in sorted({one.counts_percent for one in found})
    ]
    named: list[tuple[str, str, Sequence[Detection]]] = [(kind, name, group) for name, group in groups]
    for title, edges, unit in (("volume_ml", _VOLUMES_ML, "mL"), ("ratio", _RATIOS, "x surroundings")):
        for low, high in pairwise(edges):
            group = [one for one in found if low <= getattr(one, title) < high]
            named.append((f"{kind}, {low:g}-{high:g} {unit}", "all", group))
    rows = []
    for name, counts, group in named:
        if group:
            by_outline = [one.region_score if kind == "removed" else one.score for one in group]
            share = float(np.mean([one.score > threshold for one in group]))
            rows.append((name, counts, len(group), auc(by_outline, [one.null for one in found]), share))
    return rows


def _draw(
    path: Path, added: Sequence[Detection], removed: Sequence[Detection], alarms: np.ndarray, scans: int
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4.1), layout="constrained")
    for low, high in pairwise(_RATIOS):
        group = [one.score for one in added if low <= one.ratio < high]
        if group:
            ratio = next(one.ratio for one in added if low <= one.ratio < high)
            _roc(left, group, [one.null for one in added], f"{ratio:g} x surroundings")
    for low, high in pairwise(_VOLUMES_ML):
        name = f"{low:g}-{high:g} mL" if np.isfinite(high) else f"over {low:g} mL"
        group = [one.score for one in added if low <= one.volume_ml < high]
        if group:
            _roc(middle, group, [one.null for one in added], name)
        group = np.array([one.score for one in removed if low <= one.volume_ml < high])
        if group.size:
            thresholds = np.sort(np.concatenate([alarms, group]))[::-1]
            false = [np.sum(alarms >= t) / scans for t in thresholds]
            right.step(false, [np.mean(group >= t) for t in thresholds], where="post", label=name)
    axes = (left, middle)
    for axis, title in zip(axes, ("Added lesions, by uptake", "Added lesions, by size"), strict=True):
        axis.set(xlabel="flagged where nothing was added", ylabel="added lesions flagged", title=title)
        axis.set(xscale="symlog", xlim=(0, 1), ylim=(0, 1))
        axis.set_xscale("symlog", linthresh=0.01)
        false = np.mean([one.null > UNSUPPORTED_Z for one in added]) if added else 0.0
        axis.axvline(false, color="0.6", linewidth=0.8, linestyle=":")
    false = np.sum(alarms >= REMOVED_Z) / scans
    right.axvline(false, color="0.6", linewidth=0.8, linestyle=":")
    right.set(xlabel="false hot spots listed a scan", ylabel="erased lesions listed", ylim=(0, 1))
    right.set_xscale("symlog", linthresh=0.1)
    right.set(xlim=(0, _DRAWN_TO), title="Erased true lesions, by size")
    for axis in (left, middle, right):
        axis.legend(fontsize=8, frameon=False, loc="lower right")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=70)
    plt.close(figure)


def _roc(axis, positive: Sequence[float], negative: Sequence[float], name: str) -> None:
    thresholds = np.sort(np.concatenate([positive, negative]))[::-1]
    low, high = np.sort(negative), np.sort(positive)
    false = 1 - np.searchsorted(low, thresholds, "left") / low.size
    true = 1 - np.searchsorted(high, thresholds, "left") / high.size
    label = f"{name}: AUC {auc(positive, negative):.2f}"
    axis.step([0, *false], [0, *true], where="post", label=label)
