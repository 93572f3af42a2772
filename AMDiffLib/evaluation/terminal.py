"""The main figures of an evaluation as text of less than 100 columns."""

from __future__ import annotations

import math

from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.regions import BODY, LESION, WHOLE
from AMDiffLib.evaluation.scores import (
    BEST_GAUSSIAN,
    HIGH_COUNT,
    LABELS,
    LOW_COUNT,
    MEASURABLE,
    MODEL,
    NRMSE_RANGE,
)
from AMDiffLib.evaluation.summary import ALL_SIZES, Evaluation, Summary
from AMDiffLib.labels import ORGANS

_METHODS = {LOW_COUNT: "low-count", BEST_GAUSSIAN: "best Gaussian", MODEL: "model"}
_REGIONS = (WHOLE, BODY, LESION, *(organ.name for organ in ORGANS))


def as_text(evaluation: Evaluation) -> str:
    """Return NRMSE, Dice, lesions and their burden of each count level, all scanners together."""
    scanner = evaluation.groups[0].scanner
    groups = [group for group in evaluation.groups if group.scanner == scanner]
    return "\n".join(_group_as_text(evaluation, group) for group in groups)


def _group_as_text(evaluation: Evaluation, group: Group) -> str:
    whole = evaluation.summary(group, LOW_COUNT, NRMSE_RANGE, WHOLE, HIGH_COUNT)
    people = whole.n if whole else 0
    lines = [f"{group.name}, {people} subject{'' if people == 1 else 's'}, mean ± SD", ""]
    lines += ["NRMSE (by range) against the high-count image, and Dice of the model's segments"]
    lines.append(
        f"  {'region':<8}" + "".join(f"{title:>18}" for title in _METHODS.values()) + f"{'Dice':>16}"
    )
    for region in _REGIONS:
        cells = [evaluation.summary(group, method, NRMSE_RANGE, region, HIGH_COUNT) for method in _METHODS]
        overlap = evaluation.summary(group, MODEL, "dice", region)
        lines.append(
            f"  {region:<8}"
            + "".join(f"{_mean_sd(cell, 4):>18}" for cell in cells)
            + f"{_mean_sd(overlap, 3):>16}"
        )
    measurable = evaluation.summary(group, MODEL, "dice", MEASURABLE)
    lines += ["", f"Lesions: Dice of those of 0.5 mL or more {_mean_sd(measurable, 3)}"]
    for found in evaluation.sensitivities:
        if found.group == group and found.true:
            size = "all" if found.size == ALL_SIZES else found.size
            lines.append(
                f"  found, {size}: {found.found:.4g} of {found.true:.4g} ({100 * found.share:.0f} %)"
            )
    false = evaluation.summary(group, MODEL, "false_positive_lesions", LESION)
    false_ml = evaluation.summary(group, MODEL, "false_positive_ml", LESION)
    missed = evaluation.summary(group, MODEL, "false_negative_ml", LESION)
    lines.append(
        f"  false: {_mean_sd(false, 1)} a subject, {_mean_sd(false_ml, 2)} mL; "
        f"missed: {_mean_sd(missed, 2)} mL"
    )
    for name, reference in (("MTV", LABELS), ("TLG", HIGH_COUNT)):
        bias = evaluation.summary(group, MODEL, f"{name.lower()}_bias_percent", LESION, reference)
        error = evaluation.summary(group, MODEL, f"{name.lower()}_error_percent", LESION, reference)
        if bias and bias.n:
            lines.append(
                f"  {name} bias: {_mean_sd(bias, 1)} %, median {bias.median:.1f} %, median absolute error "
                f"{error.median:.1f} %, {bias.n} with lesions"
            )
    return "\n".join([*lines, ""])


def _mean_sd(summary: Summary | None, digits: int) -> str:
    if summary is None or not summary.n:
        return "-"
    spread = f" ± {summary.sd:.{digits}f}" if math.isfinite(summary.sd) else ""
    return f"{summary.mean:.{digits}f}{spread}"
