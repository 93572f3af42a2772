"""Tables of images: the paper's Table 2 in our figures, and what range-normalised errors do not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from AMDiffLib.evaluation import cells, published
from AMDiffLib.evaluation.document import Table, table
from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.methods import DENOISERS
from AMDiffLib.evaluation.regions import BODY, LESION, WHOLE
from AMDiffLib.evaluation.scores import (
    CONTRAST_RECOVERY,
    HIGH_COUNT,
    LABELS,
    LESION_SUV_ERRORS,
    LIVER_NOISE,
    LIVER_TEXTURE,
    MEAN_BIAS,
    MODEL,
    NMAE,
    NRMSE_MEAN,
    NRMSE_RANGE,
    PSNR,
    SSIM,
)
from AMDiffLib.evaluation.summary import Comparison, Evaluation
from AMDiffLib.labels import ORGANS

REGIONS = (WHOLE, BODY, LESION, *(organ.name for organ in ORGANS))
SIGNIFICANT = 0.05
_SIMILARITIES = ((PSNR, "PSNR, dB", 1), (SSIM, "SSIM", 4), (NMAE, "NMAE", 3))
_LESION_ROWS = (
    (CONTRAST_RECOVERY, LESION, "contrast recovery of lesions, %", 1, False),
    *(
        (metric, LESION, f"error of lesions' {name}, %", 1, True)
        for metric, name in zip(LESION_SUV_ERRORS, ("SUVmax", "SUVpeak", "SUVmean"), strict=True)
    ),
    (LIVER_NOISE, "liver", "noise in the liver, %", 1, False),
    (LIVER_TEXTURE, "liver", "correlation of neighbouring voxels in the liver", 3, False),
)


def denoisers_of(evaluation: Evaluation, group: Group) -> list[str]:
    """The methods that made images of the cases of a group, the model last."""
    return [
        method
        for method in DENOISERS
        if evaluation.summary(group, method, NRMSE_RANGE, WHOLE, HIGH_COUNT) is not None
    ]


def denoising_table(evaluation: Evaluation, group: Group) -> Table:
    """The paper's Table 2: NRMSE by range of each method; * where it differs from the model's, p < 0.05."""
    return methods_table(
        evaluation,
        group,
        title="NRMSE by range",
        metric=NRMSE_RANGE,
        reference=HIGH_COUNT,
        regions=REGIONS,
        methods={method: DENOISERS[method] for method in denoisers_of(evaluation, group)},
        theirs=published.NRMSE_OF_METHODS.get(
            group.scanner or "", {published.AMDIFF: published.NRMSE_BY_RANGE}
        ),
        digits=4,
    )


def methods_table(
    evaluation: Evaluation,
    group: Group,
    *,
    title: str,
    metric: str,
    reference: str,
    regions: Sequence[str],
    methods: Mapping[str, str],
    theirs: Mapping[str, published.Figures],
    digits: int,
) -> Table:
    """One metric by region: a column a method (`methods`: name and title), then the paper's (`theirs`); *
    where a method differs from the model, p < 0.05."""
    compared = comparison_index(evaluation, group, metric)
    rows = []
    for region in regions:
        row = [region]
        for method in methods:
            found = evaluation.summary(group, method, metric, region, reference)
            row.append(cells.mean_sd(found, digits) + star(compared.get((method, region))))
        rows.append([*row, *(cells.paper(figures.get(region)) for figures in theirs.values())])
    return table([title, *methods.values(), *paper_titles(theirs)], rows)


def relative_table(evaluation: Evaluation, group: Group) -> Table:
    """NRMSE by mean of the model and its bias, and its ratio to that of each other method."""
    methods = [method for method in denoisers_of(evaluation, group) if method != MODEL]
    compared = comparison_index(evaluation, group, NRMSE_MEAN)
    rows = [
        [
            region,
            cells.mean_sd(evaluation.summary(group, MODEL, NRMSE_MEAN, region, HIGH_COUNT), 3),
            cells.mean_sd(evaluation.summary(group, MODEL, MEAN_BIAS, region, HIGH_COUNT), 1, signed=True),
            *(cells.ratio(compared.get((method, region))) for method in methods),
        ]
        for region in REGIONS
    ]
    head = ["NRMSE by mean", "**AMDiff**", "bias of the mean, %"]
    return table([*head, *(f"AMDiff / {DENOISERS[method]}" for method in methods)], rows)


def similarity_table(evaluation: Evaluation, group: Group) -> Table:
    """PSNR, SSIM and NMAE of each method."""
    methods = denoisers_of(evaluation, group)
    rows = []
    for metric, name, digits in _SIMILARITIES:
        for region in (WHOLE, BODY):
            found = [evaluation.summary(group, method, metric, region, HIGH_COUNT) for method in methods]
            rows.append([f"{name}, {region}", *(cells.mean_sd(each, digits) for each in found)])
    return table(["", *(DENOISERS[method] for method in methods)], rows)


def lesion_uptake_table(evaluation: Evaluation, group: Group) -> Table:
    """Contrast recovery and SUV of lesions in their true outlines, and the liver's noise."""
    methods = denoisers_of(evaluation, group)
    rows = []
    for metric, region, name, digits, signed in _LESION_ROWS:
        found = [evaluation.summary(group, method, metric, region, HIGH_COUNT) for method in methods]
        of_reference = evaluation.summary(group, HIGH_COUNT, metric, region, LABELS)
        rows.append(
            [
                name,
                *(cells.mean_sd(each, digits, signed=signed) for each in found),
                cells.mean_sd(of_reference, digits),
            ]
        )
    return table(["", *(DENOISERS[method] for method in methods), "high-count"], rows)


def comparison_index(evaluation: Evaluation, group: Group, metric: str) -> dict[tuple[str, str], Comparison]:
    """The model's comparisons of a metric by the other method and region, against high-count or labels."""
    return {
        (each.other, each.region): each
        for each in evaluation.comparisons
        if each.group == group and each.metric == metric and each.reference in (HIGH_COUNT, LABELS)
    }


def star(found: Comparison | None) -> str:
    """An asterisk where a method differs from the model; escaped, so that it is not read as a mark."""
    return "\u2217" if found is not None and found.p < SIGNIFICANT else ""


def paper_titles(methods: Sequence[str]) -> list[str]:
    """Titles of columns with the paper's figures."""
    return [f"*paper: {method}*" for method in methods]
