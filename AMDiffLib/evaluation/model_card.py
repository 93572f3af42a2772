"""The figures of an evaluation as Markdown tables, ready for a model card."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from AMDiffLib.evaluation import published
from AMDiffLib.evaluation.agreement import LIMIT_SDS, QUANTITIES
from AMDiffLib.evaluation.gaussian import WIDTHS_MM
from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.regions import BODY, LESION, WHOLE
from AMDiffLib.evaluation.scores import (
    BEST_GAUSSIAN,
    HIGH_COUNT,
    LABELS,
    LOW_COUNT,
    MEAN_BIAS,
    MEASURABLE,
    MODEL,
    NRMSE_MEAN,
    NRMSE_RANGE,
    PSNR,
    SSIM,
)
from AMDiffLib.evaluation.summary import Comparison, Evaluation, Summary
from AMDiffLib.labels import ORGANS

_ORGAN_NAMES = tuple(organ.name for organ in ORGANS)
_REGIONS = (WHOLE, BODY, LESION, *_ORGAN_NAMES)
_METHODS = (LOW_COUNT, BEST_GAUSSIAN, MODEL)
_NONE = "-"
_TITLES = {"mtv_ml": "MTV (mL)", "tlg_g": "TLG (g)"}


def as_markdown(evaluation: Evaluation, *, title: str) -> str:
    """Return the tables: images, segments, lesions, burden and uptake, and all count levels and scanners."""
    pooled = evaluation.groups[0]
    whole = evaluation.summary(pooled, LOW_COUNT, NRMSE_RANGE, WHOLE, HIGH_COUNT)
    people = whole.n if whole else 0
    blocks = [
        f"# {title}",
        f"{people} {'person' if people == 1 else 'people'}, {pooled.name}. Mean ± SD over people; each "
        "person's count levels are averaged first. In square brackets: 95 % bootstrap intervals over people. "
        "p: Wilcoxon's signed-rank test of the model against the best Gaussian, which is the best of "
        f"{WIDTHS_MM[0]:g}-{WIDTHS_MM[-1]:g} mm, chosen for each region, count level and scanner on these "
        "very people. The reference is the high-count image. "
        f"*Paper*: {published.SOURCE}, **not comparable one to one**.",
        "## Images: NRMSE",
        _image_table(evaluation, pooled),
        _similarity_table(evaluation, pooled),
        "PSNR and SSIM: both images clipped to SUV 0 to 20, data range 20.",
        "## Segments",
        _segment_table(evaluation, pooled),
        "## Lesions",
        _lesion_table(evaluation),
        "Found: at least one voxel marked. False: a component (18 neighbours) that touches no true lesion, "
        "healthy people included. Missed: components of true lesions without a marked voxel, people with "
        "lesions only (autoPET's definitions).",
        "## Burden and uptake",
        _burden_table(evaluation, pooled),
        _agreement_table(evaluation, pooled),
        f"Regression of found on true; limits of agreement: mean difference ± {LIMIT_SDS:g} SD (Bland and "
        "Altman), in the quantity's unit. MTV and TLG of people with lesions.",
        "## By count level and scanner",
        _group_table(evaluation),
    ]
    return "\n\n".join(blocks) + "\n"


def _image_table(evaluation: Evaluation, group: Group) -> str:
    compared = _comparison_index(evaluation, group)
    rows = []
    for region in _REGIONS:
        cells = [region]
        for method in _METHODS:
            cells.append(_mean_sd(evaluation.summary(group, method, NRMSE_RANGE, region, HIGH_COUNT), 4))
        cells += [_ratio(compared.get((region, NRMSE_RANGE))), _paper(published.NRMSE_BY_RANGE.get(region))]
        for method in _METHODS:
            cells.append(_mean(evaluation.summary(group, method, NRMSE_MEAN, region, HIGH_COUNT), 3))
        cells.append(_ratio(compared.get((region, NRMSE_MEAN))))
        cells.append(
            _mean_sd(evaluation.summary(group, MODEL, MEAN_BIAS, region, HIGH_COUNT), 1, signed=True)
        )
        rows.append(cells)
    head = ["region", "by range: low-count", "best Gaussian", "**model**", "model / Gaussian", "*paper*"]
    head += ["by mean: low-count", "best Gaussian", "**model**", "model / Gaussian", "bias of the mean, %"]
    return _table(head, rows)


def _similarity_table(evaluation: Evaluation, group: Group) -> str:
    rows = []
    for metric, name, digits in ((PSNR, "PSNR (dB)", 1), (SSIM, "SSIM", 4)):
        for region in (WHOLE, BODY):
            found = [evaluation.summary(group, method, metric, region, HIGH_COUNT) for method in _METHODS]
            rows.append([name, region, *(_mean_sd(each, digits) for each in found)])
    return _table(["", "region", "low-count", "best Gaussian", "**model**"], rows)


def _segment_table(evaluation: Evaluation, group: Group) -> str:
    rows = []
    for region in (LESION, MEASURABLE, *_ORGAN_NAMES):
        overlap = evaluation.summary(group, MODEL, "dice", region)
        rows.append(
            [
                region,
                _mean_sd(overlap, 3),
                _interval(overlap, 3),
                _NONE if overlap is None or not overlap.n else f"{overlap.median:.3f}",
                "0" if overlap is None else str(overlap.n),
                _mean_sd(evaluation.summary(group, MODEL, "hd95_mm", region), 1),
                _paper(published.DICE.get(region)),
            ]
        )
    return _table(["class", "Dice", "95 %", "median", "people", "HD95, mm", "*paper: Dice*"], rows)


def _lesion_table(evaluation: Evaluation) -> str:
    groups = [group for group in evaluation.groups if group.scanner is None or not _has_pooled(evaluation)]
    sizes = list(dict.fromkeys(found.size for found in evaluation.sensitivities))
    rows = []
    for group in groups:
        found = {each.size: each for each in evaluation.sensitivities if each.group == group}
        cells = [group.name]
        for size in sizes:
            each = found[size]
            cells.append(
                f"{100 * each.share:.0f} % of {_count(each.true)} {_bounds(each.interval, 0, 100)}"
                if each.true
                else _NONE
            )
        for metric, digits in (
            ("false_positive_lesions", 1),
            ("false_positive_ml", 1),
            ("false_negative_ml", 1),
        ):
            each = evaluation.summary(group, MODEL, metric, LESION)
            cells.append(
                f"{_mean_sd(each, digits)}, median {each.median:.{digits}f}" if each and each.n else _NONE
            )
        rows.append(cells)
    head = ["", *(f"found, {size}" for size in sizes), "false lesions a person", "their mL", "missed mL"]
    return _table(head, rows)


def _burden_table(evaluation: Evaluation, pooled: Group) -> str:
    groups = [group for group in evaluation.groups if group.scanner == pooled.scanner]
    rows = []
    for group in groups:
        for name, reference in (("MTV", LABELS), ("TLG", HIGH_COUNT)):
            bias = evaluation.summary(group, MODEL, f"{name.lower()}_bias_percent", LESION, reference)
            error = evaluation.summary(group, MODEL, f"{name.lower()}_error_percent", LESION, reference)
            if bias is None or not bias.n:
                continue
            paper = _paper(published.TLG_BIAS_PERCENT, 1) if name == "TLG" else _NONE
            rows.append(
                [
                    name,
                    group.name,
                    f"{_mean_sd(bias, 1, signed=True)} {_bounds(bias.interval, 1)}",
                    f"{bias.median:+.1f}",
                    f"{error.median:.1f} {_bounds(error.interval, 1)}",
                    str(bias.n),
                    paper,
                ]
            )
    head = [
        "",
        "",
        "bias, %: mean ± SD",
        "median bias, %",
        "median absolute error, %",
        "people",
        "*paper: bias, %*",
    ]
    return _table(head, rows)


def _agreement_table(evaluation: Evaluation, group: Group) -> str:
    found = {(each.metric, each.region): each for each in evaluation.agreements if each.group == group}
    rows = []
    for metric, region, _ in QUANTITIES:
        each = found[metric, region]
        bias = evaluation.summary(group, MODEL, "suv_mean_bias_percent", region, HIGH_COUNT)
        r_squared = published.R_SQUARED.get((metric, region))
        rows.append(
            [
                _TITLES.get(metric, f"SUVmean, {region}"),
                _mean_sd(bias, 1, signed=True),
                _number(each.slope, 3),
                _number(each.intercept, 3, signed=True),
                f"{_number(each.r_squared, 3)} {_bounds(each.r_squared_interval, 2)}",
                f"{_number(each.bias, 2, signed=True)} ({_number(each.lower_limit, 2, signed=True)} to "
                f"{_number(each.upper_limit, 2, signed=True)})",
                f"{each.n} / {each.subjects}",
                _NONE if r_squared is None else f"*{r_squared:.2f}*",
            ]
        )
    head = [
        "",
        "bias, %",
        "slope",
        "intercept",
        "R²",
        "difference (limits of agreement)",
        "cases / people",
        "*paper: R²*",
    ]
    return _table(head, rows)


def _group_table(evaluation: Evaluation) -> str:
    rows = []
    for group in evaluation.groups:
        compared = _comparison_index(evaluation, group)
        body = evaluation.summary(group, MODEL, NRMSE_RANGE, BODY, HIGH_COUNT)
        tlg = evaluation.summary(group, MODEL, "tlg_bias_percent", LESION, HIGH_COUNT)
        error = evaluation.summary(group, MODEL, "tlg_error_percent", LESION, HIGH_COUNT)
        rows.append(
            [
                group.name,
                str(body.n) if body else "0",
                *(
                    _ratio(compared.get((region, NRMSE_MEAN)), with_p=False)
                    for region in (WHOLE, BODY, LESION)
                ),
                *(
                    _mean(evaluation.summary(group, MODEL, "dice", region), 3)
                    for region in (MEASURABLE, *_ORGAN_NAMES)
                ),
                _mean(evaluation.summary(group, MODEL, "false_positive_ml", LESION), 1),
                _mean(tlg, 1, signed=True),
                _number(error.median, 1) if error else _NONE,
            ]
        )
    head = ["", "people", "whole: model / Gaussian", "body", "lesion", "Dice: lesion ≥ 0.5 mL", *_ORGAN_NAMES]
    head += ["false mL", "TLG bias, %", "median absolute TLG error, %"]
    return _table(head, rows)


def _comparison_index(evaluation: Evaluation, group: Group) -> dict[tuple[str, str], Comparison]:
    return {
        (each.region, each.metric): each
        for each in evaluation.comparisons
        if each.group == group and each.other == BEST_GAUSSIAN and each.reference == HIGH_COUNT
    }


def _has_pooled(evaluation: Evaluation) -> bool:
    return any(group.scanner is None for group in evaluation.groups)


def _ratio(found: Comparison | None, *, with_p: bool = True) -> str:
    if found is None:
        return _NONE
    p = (
        ""
        if math.isnan(found.p) or not with_p
        else f", p {'< 0.001' if found.p < 0.001 else f'= {found.p:.3f}'}"
    )
    return f"{found.ratio:.2f} {_bounds(found.interval, 2)}{p}"


def _mean(found: Summary | None, digits: int, *, signed: bool = False) -> str:
    return _NONE if found is None or not found.n else _number(found.mean, digits, signed=signed)


def _mean_sd(found: Summary | None, digits: int, *, signed: bool = False) -> str:
    if found is None or not found.n:
        return _NONE
    spread = f" ± {found.sd:.{digits}f}" if math.isfinite(found.sd) else ""
    return f"{_number(found.mean, digits, signed=signed)}{spread}"


def _interval(found: Summary | None, digits: int) -> str:
    return _NONE if found is None or not found.n else _bounds(found.interval, digits) or _NONE


def _bounds(interval: tuple[float, float], digits: int, factor: float = 1.0) -> str:
    if not all(math.isfinite(bound) for bound in interval):
        return ""
    low, high = (f"{factor * bound:.{digits}f}" for bound in interval)
    return f"[{low}, {high}]"


def _number(value: float, digits: int, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return _NONE
    return f"{value:{'+' if signed else ''}.{digits}f}"


def _count(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _paper(figure: tuple[float, float] | None, digits: int = 3) -> str:
    return _NONE if figure is None else f"*{figure[0]:.{digits}f} ± {figure[1]:.{digits}f}*"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(
        f"| {' | '.join(cell.strip() for cell in cells)} |" for cells in (head, ["---"] * len(head), *rows)
    )
