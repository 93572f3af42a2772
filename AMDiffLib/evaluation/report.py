"""The outcome of an evaluation as a table to read, as CSV and as JSON."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from AMDiffLib.evaluation.detection import SIZE_NAMES
from AMDiffLib.evaluation.scores import (
    DEFINITIONS,
    LOW_COUNT,
    MEAN_BIAS,
    MODEL,
    NRMSE_MEAN,
    NRMSE_RANGE,
    Score,
)
from AMDiffLib.evaluation.summary import BEST_GAUSSIAN, Summary
from AMDiffLib.labels import ORGANS

_REGIONS = ("whole", "body", "lesion", *(organ.name for organ in ORGANS))
_METHODS = {LOW_COUNT: "low-count", BEST_GAUSSIAN: "best Gaussian", MODEL: "model"}
_REFERENCES = {"high_count": "the high-count image", "truth": "the noise-free truth"}
_IMAGE_METRICS = {
    NRMSE_RANGE: ("NRMSE (by range)", 4),
    NRMSE_MEAN: ("NRMSE (by mean)", 3),
    MEAN_BIAS: ("bias of the regional mean, %", 1),
}


def write_csv(path: Path, scores: Iterable[Score]) -> None:
    """Write every figure of every case, one a row; an undefined one is an empty cell."""
    names = [field.name for field in dataclasses.fields(Score)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for score in scores:
            value = f"{score.value:.8g}" if math.isfinite(score.value) else ""
            writer.writerow([getattr(score, name) for name in names[:-1]] + [value])


def write_json(path: Path, summaries: Sequence[Summary], *, run: dict[str, Any]) -> None:
    """Write the summary with its definitions and `run`, the facts about model, software and data."""
    content = {
        "format": "amdiff-evaluation",
        "version": 1,
        "run": run,
        "definitions": DEFINITIONS,
        "summary": [
            {name: _or_null(value) for name, value in dataclasses.asdict(summary).items()}
            for summary in summaries
        ],
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def as_text(summaries: Sequence[Summary]) -> str:
    """Return the tables of all count levels, as mean ± standard deviation over subjects."""
    levels = dict.fromkeys(summary.counts_percent for summary in summaries)
    return "\n".join(_level_as_text([s for s in summaries if s.counts_percent == level]) for level in levels)


def _level_as_text(summaries: list[Summary]) -> str:
    found = {(s.method, s.metric, s.region, s.reference): s for s in summaries}
    subjects = found[(LOW_COUNT, NRMSE_RANGE, "whole", "high_count")].n
    plural = "" if subjects == 1 else "s"
    lines = [f"{summaries[0].counts_percent:g} % counts, {subjects} subject{plural}, mean ± SD", ""]
    for reference, name in _REFERENCES.items():
        if any(key[3] == reference and key[0] == LOW_COUNT for key in found):
            for metric, (title, digits) in _IMAGE_METRICS.items():
                lines += [f"{title} against {name}", *_image_table(found, metric, reference, digits), ""]
    lines += ["Dice of the model's segments", *_dice_table(found), ""]
    return "\n".join(lines + _lesion_lines(found))


def _image_table(found: dict[tuple, Summary], metric: str, reference: str, digits: int) -> list[str]:
    lines = ["  " + f"{'region':<8}" + "".join(f"{title:>26}" for title in _METHODS.values())]
    for region in _REGIONS:
        cells = []
        for method in _METHODS:
            summary = found.get((method, metric, region, reference))
            if summary is None or summary.n == 0:
                cells.append(f"{'-':>26}")
                continue
            width = "" if summary.width_mm is None else f" ({summary.width_mm:g} mm)"
            cells.append(f"{_mean_sd(summary, digits) + width:>26}")
        lines.append(f"  {region:<8}" + "".join(cells))
    return lines


def _dice_table(found: dict[tuple, Summary]) -> list[str]:
    lines = [f"  {'region':<8}{'mean ± SD':>18}{'median':>10}{'n':>5}"]
    for region in _REGIONS[2:]:
        summary = found[(MODEL, "dice", region, "labels")]
        if summary.n:
            lines.append(f"  {region:<8}{_mean_sd(summary, 3):>18}{summary.median:>10.3f}{summary.n:>5}")
    return lines


def _lesion_lines(found: dict[tuple, Summary]) -> list[str]:
    def model(metric: str, region: str = "lesion", reference: str = "labels") -> Summary:
        return found[(MODEL, metric, region, reference)]

    lines = ["Lesions, all subjects together"]
    sizes = [
        (size, model("lesions_true", size).total, model("lesions_found", size).total) for size in SIZE_NAMES
    ]
    sizes.append(("all", sum(true for _, true, _ in sizes), sum(hits for _, _, hits in sizes)))
    for size, true, hits in sizes:
        share = f" ({100 * hits / true:.0f} %)" if true else ""
        lines.append(f"  found, {size}: {hits:.0f} of {true:.0f}{share}")
    lines.append(
        f"  false positive: {model('false_positive_lesions').total:.0f} lesions, "
        f"{model('false_positive_ml').mean:.2f} mL a subject; missed: "
        f"{model('false_negative_ml').mean:.2f} mL a subject"
    )
    biases = [("MTV", "mtv_bias_percent", "labels", "the true lesions")]
    biases += [("TLG", "tlg_bias_percent", reference, name) for reference, name in _REFERENCES.items()]
    for title, metric, reference, name in biases:
        summary = found.get((MODEL, metric, "lesion", reference))
        if summary is not None and summary.n:
            lines.append(
                f"  {title} bias against {name}: {_mean_sd(summary, 1)} %, median {summary.median:.1f} %, "
                f"{summary.n} subjects with lesions"
            )
    return [*lines, ""]


def _mean_sd(summary: Summary, digits: int) -> str:
    spread = f" ± {summary.sd:.{digits}f}" if math.isfinite(summary.sd) else ""
    return f"{summary.mean:.{digits}f}{spread}"


def _or_null(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
