"""Tables of segments, lesions, tumour burden and uptake: the paper's Table 3 and Fig. 7 in our figures."""

from __future__ import annotations

from AMDiffLib.evaluation import cells, published
from AMDiffLib.evaluation.agreement import QUANTITIES
from AMDiffLib.evaluation.document import Table, table
from AMDiffLib.evaluation.filters import GAUSSIAN
from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.image_tables import comparison_index, methods_table
from AMDiffLib.evaluation.methods import SEGMENTERS
from AMDiffLib.evaluation.regions import BODY, LESION, WHOLE
from AMDiffLib.evaluation.scores import (
    DICE,
    HD95,
    HIGH_COUNT,
    LABELS,
    MEASURABLE,
    MODEL,
    NRMSE_MEAN,
    NRMSE_RANGE,
)
from AMDiffLib.evaluation.summary import Evaluation
from AMDiffLib.labels import ORGANS

_ORGAN_NAMES = tuple(organ.name for organ in ORGANS)
CLASSES = (LESION, MEASURABLE, *_ORGAN_NAMES)
_TITLES = {"mtv_ml": "MTV (mL)", "tlg_g": "TLG (g)"}


def segmenters_of(evaluation: Evaluation, group: Group) -> list[str]:
    """The methods that made segments of the cases of a group, the model last."""
    return [method for method in SEGMENTERS if evaluation.summary(group, method, DICE, LESION) is not None]


def overlap_table(evaluation: Evaluation, group: Group) -> Table:
    """The paper's Table 3: Dice of each method; * where it differs from the model's, p < 0.05."""
    return methods_table(
        evaluation,
        group,
        title="Dice",
        metric=DICE,
        reference=LABELS,
        regions=CLASSES,
        methods={method: SEGMENTERS[method] for method in segmenters_of(evaluation, group)},
        theirs=published.DICE_OF_METHODS.get(group.scanner or "", {published.AMDIFF: published.DICE}),
        digits=3,
    )


def segment_table(evaluation: Evaluation, group: Group) -> Table:
    """Dice with its interval and median, and the 95 % Hausdorff distance, of the model."""
    rows = []
    for region in CLASSES:
        overlap = evaluation.summary(group, MODEL, DICE, region)
        rows.append(
            [
                region,
                cells.mean_sd(overlap, 3),
                cells.interval(overlap, 3),
                cells.NONE if overlap is None or not overlap.n else f"{overlap.median:.3f}",
                cells.mean_sd(evaluation.summary(group, MODEL, HD95, region), 1),
                "0" if overlap is None else str(overlap.n),
            ]
        )
    return table(["class", "Dice", "95 %", "median", "HD95, mm", "people"], rows)


def lesion_table(evaluation: Evaluation) -> Table:
    """Lesions found by size, false and missed ones, at each count level."""
    groups = [group for group in evaluation.groups if group.scanner == evaluation.groups[0].scanner]
    sizes = list(dict.fromkeys(found.size for found in evaluation.sensitivities))
    rows = []
    for group in groups:
        found = {each.size: each for each in evaluation.sensitivities if each.group == group}
        row = [group.name]
        for size in sizes:
            each = found[size]
            row.append(
                f"{100 * each.share:.0f} % of {cells.count(each.true)} {cells.bounds(each.interval, 0, 100)}"
                if each.true
                else cells.NONE
            )
        for metric in ("false_positive_lesions", "false_positive_ml", "false_negative_ml"):
            of_metric = evaluation.summary(group, MODEL, metric, LESION)
            row.append(
                f"{cells.mean_sd(of_metric, 1)}, median {of_metric.median:.1f}"
                if of_metric and of_metric.n
                else cells.NONE
            )
        rows.append(row)
    head = ["", *(f"found, {size}" for size in sizes), "false lesions a person", "their mL", "missed mL"]
    return table(head, rows)


def burden_table(evaluation: Evaluation) -> Table:
    """Bias and error of MTV and TLG at each count level."""
    pooled = evaluation.groups[0]
    rows = []
    for group in (group for group in evaluation.groups if group.scanner == pooled.scanner):
        for name, reference in (("MTV", LABELS), ("TLG", HIGH_COUNT)):
            bias = evaluation.summary(group, MODEL, f"{name.lower()}_bias_percent", LESION, reference)
            error = evaluation.summary(group, MODEL, f"{name.lower()}_error_percent", LESION, reference)
            if bias is None or not bias.n:
                continue
            rows.append(
                [
                    f"{name}, {group.name}",
                    f"{cells.mean_sd(bias, 1, signed=True)} {cells.bounds(bias.interval, 1)}",
                    f"{bias.median:+.1f}",
                    f"{error.median:.1f} {cells.bounds(error.interval, 1)}",
                    str(bias.n),
                    cells.paper(published.TLG_BIAS_PERCENT, 1) if name == "TLG" else cells.NONE,
                ]
            )
    head = [
        "",
        "bias, %: mean ± SD",
        "median bias, %",
        "median absolute error, %",
        "people",
        "*paper: bias, %*",
    ]
    return table(head, rows)


def agreement_table(evaluation: Evaluation, group: Group) -> Table:
    """Regression and limits of agreement of MTV, TLG and the organs' SUVmean."""
    found = {(each.metric, each.region): each for each in evaluation.agreements if each.group == group}
    rows = []
    for metric, region, _ in QUANTITIES:
        each = found[metric, region]
        bias = evaluation.summary(group, MODEL, "suv_mean_bias_percent", region, HIGH_COUNT)
        r_squared = published.R_SQUARED.get((metric, region))
        limits = " to ".join(
            cells.number(limit, 2, signed=True) for limit in (each.lower_limit, each.upper_limit)
        )
        rows.append(
            [
                _TITLES.get(metric, f"SUVmean, {region}"),
                cells.mean_sd(bias, 1, signed=True),
                cells.number(each.slope, 3),
                cells.number(each.intercept, 3, signed=True),
                f"{cells.number(each.r_squared, 3)} {cells.bounds(each.r_squared_interval, 2)}",
                f"{cells.number(each.bias, 2, signed=True)} ({limits})",
                f"{each.n} / {each.subjects}",
                cells.NONE if r_squared is None else f"*{r_squared:.2f}*",
            ]
        )
    head = ["", "bias, %", "slope", "intercept", "R²", "difference (limits of agreement)", "cases / people"]
    return table([*head, "*paper: R²*"], rows)


def group_table(evaluation: Evaluation) -> Table:
    """The main figures of every count level and scanner."""
    rows = []
    for group in evaluation.groups:
        compared = comparison_index(evaluation, group, NRMSE_MEAN)
        body = evaluation.summary(group, MODEL, NRMSE_RANGE, BODY, HIGH_COUNT)
        tlg = evaluation.summary(group, MODEL, "tlg_bias_percent", LESION, HIGH_COUNT)
        error = evaluation.summary(group, MODEL, "tlg_error_percent", LESION, HIGH_COUNT)
        rows.append(
            [
                group.name,
                str(body.n) if body else "0",
                *(
                    cells.ratio(compared.get((GAUSSIAN.best, region)), with_p=False)
                    for region in (WHOLE, BODY, LESION)
                ),
                *(
                    cells.mean(evaluation.summary(group, MODEL, DICE, region), 3)
                    for region in (MEASURABLE, *_ORGAN_NAMES)
                ),
                cells.mean(evaluation.summary(group, MODEL, "false_positive_ml", LESION), 1),
                cells.mean(tlg, 1, signed=True),
                cells.number(error.median, 1) if error else cells.NONE,
            ]
        )
    head = ["", "people", "NRMSE, whole: AMDiff / best Gaussian", "body", "lesion", "Dice: lesion ≥ 0.5 mL"]
    return table([*head, *_ORGAN_NAMES, "false mL", "TLG bias, %", "median absolute TLG error, %"], rows)
