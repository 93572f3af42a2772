"""The report of an evaluation: the paper's Tables 2 and 3 and Fig. 4 to 7 in our figures, as blocks.

`model_card.md` and `report.html` are both written from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from AMDiffLib.evaluation import image_tables, published, segment_tables
from AMDiffLib.evaluation.agreement import LIMIT_SDS
from AMDiffLib.evaluation.document import Block, Commands, Heading, Picture
from AMDiffLib.evaluation.gaussian import WIDTHS_MM
from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.non_local_means import STRENGTHS
from AMDiffLib.evaluation.regions import WHOLE
from AMDiffLib.evaluation.scores import DEFINITIONS, DICE, HIGH_COUNT, LOW_COUNT, NRMSE_RANGE
from AMDiffLib.evaluation.summary import Evaluation

DENOISING, LESIONS, ORGANS, AGREEMENT = "denoising.png", "cases.png", "organs.png", "agreement.png"
_CAPTIONS = {
    DENOISING: "Fig. 4 of the paper in our cases: the coronal section through the largest lesion, which is "
    "enlarged with its true outline; NRMSE by range. Inverted grey, SUV 0 to 7.",
    LESIONS: "Fig. 5 of the paper in our cases: coronal maximum projections; in red what was found, "
    "and what is there.",
    ORGANS: "Fig. 6 of the paper in our cases: organs in the coronal section that shows most of liver, "
    "kidneys, spleen and aorta, on the high-count image.",
    AGREEMENT: "Fig. 7 of the paper in our cases: MTV, TLG and SUVmean found against true, regression and "
    "limits of agreement; a mark is a case.",
}


def report_blocks(
    evaluation: Evaluation,
    *,
    title: str,
    folder: Path,
    commands: Sequence[str] = (),
    findings: Sequence[Block] = (),
    ablations: Sequence[Block] = (),
    about: Mapping[str, str] | None = None,
) -> list[Block]:
    """Return the report; of the pictures, those that lie in `folder`.

    `findings` follow the introduction, `ablations` fill Table 4, `about` says what the evaluation rests on,
    `commands` repeat it.
    """
    pooled = evaluation.groups[0]
    scanners = [
        group
        for group in evaluation.groups
        if group.counts_percent == pooled.counts_percent and group.scanner
    ]

    def picture(name: str) -> list[Block]:
        path = folder / name
        return [Picture(path=path, caption=_CAPTIONS[name])] if path.is_file() else []

    blocks: list[Block] = [Heading(text=title, level=1), _introduction(evaluation, pooled), *findings]
    blocks += [Heading(text="Table 2: denoising"), image_tables.denoising_table(evaluation, pooled)]
    for group in scanners:
        blocks += [Heading(text=group.name, level=3), image_tables.denoising_table(evaluation, group)]
    blocks += [
        Heading(text="AMDiff beside each method", level=3),
        image_tables.relative_table(evaluation, pooled),
        Heading(text="Similarity", level=3),
        image_tables.similarity_table(evaluation, pooled),
        "PSNR and SSIM: both images clipped to SUV 0 to 20, data range 20. NMAE: by the reference's mean.",
        Heading(text="Lesions and noise in the image", level=3),
        image_tables.lesion_uptake_table(evaluation, pooled),
        "In the true outlines, so that the image alone is judged.",
        *picture(DENOISING),
    ]
    judged = any(figure.metric == DICE for _, figure in evaluation.summaries)
    if judged:
        blocks += _segment_blocks(evaluation, pooled, scanners, picture)
    blocks += [Heading(text="Table 4: ablations"), *(ablations or [_NO_ABLATIONS])]
    if judged:
        blocks += _burden_blocks(evaluation, pooled, picture)
    if commands:
        blocks += [Heading(text="To repeat it"), Commands(lines=tuple(commands))]
    if about:
        blocks.append("; ".join(f"{name}: {value}" for name, value in about.items()) + ".")
    blocks.append(Heading(text="Definitions"))
    blocks += [f"`{name}`: {text}." for name, text in DEFINITIONS.items()]
    return blocks


def _segment_blocks(
    evaluation: Evaluation, pooled: Group, scanners: Sequence[Group], picture: Callable[[str], list[Block]]
) -> list[Block]:
    """The paper's Table 3, and lesions found."""
    blocks: list[Block] = [Heading(text="Table 3: segmentation")]
    blocks.append(segment_tables.overlap_table(evaluation, pooled))
    for group in scanners:
        blocks += [Heading(text=group.name, level=3), segment_tables.overlap_table(evaluation, group)]
    return [
        *blocks,
        Heading(text="The model's segments", level=3),
        segment_tables.segment_table(evaluation, pooled),
        Heading(text="Lesions found, false and missed", level=3),
        segment_tables.lesion_table(evaluation),
        "Found: at least one voxel marked. False: a component (18 neighbours) that touches no true lesion, "
        "healthy people included. Missed: components of true lesions without a marked voxel, people with "
        "lesions only (autoPET's definitions).",
        *picture(LESIONS),
        *picture(ORGANS),
    ]


def _burden_blocks(
    evaluation: Evaluation, pooled: Group, picture: Callable[[str], list[Block]]
) -> list[Block]:
    """MTV, TLG and SUVmean found against true, and the figures by count level and scanner."""
    return [
        Heading(text="Burden and uptake"),
        *picture(AGREEMENT),
        segment_tables.agreement_table(evaluation, pooled),
        f"Regression of found on true; limits of agreement: mean difference ± {LIMIT_SDS:g} SD (Bland and "
        "Altman), in the quantity's unit. MTV and TLG of people with lesions.",
        segment_tables.burden_table(evaluation),
        Heading(text="By count level and scanner"),
        segment_tables.group_table(evaluation),
    ]


_NO_ABLATIONS = (
    "Each variant needs trainings of its own: `python -m AMDiffLib.compare` trains and evaluates them, and "
    "fills this table."
)


def _introduction(evaluation: Evaluation, pooled: Group) -> str:
    whole = evaluation.summary(pooled, LOW_COUNT, NRMSE_RANGE, WHOLE, HIGH_COUNT)
    people = whole.n if whole else 0
    return (
        f"{people} {'person' if people == 1 else 'people'}, {pooled.name}. Mean ± SD over people; each "
        "person's count levels are averaged first. In square brackets: 95 % bootstrap intervals over people. "
        "p: Wilcoxon's signed-rank test over people, which fewer than six cannot pass; \u2217: differs from "
        "AMDiff, p < 0.05, not corrected for the number of tests. The best Gaussian is the best of "
        f"{WIDTHS_MM[0]:g}-{WIDTHS_MM[-1]:g} mm and the best non-local means the best of strengths "
        f"{STRENGTHS[0]:g}-{STRENGTHS[-1]:g}, chosen for each region, count level and scanner on these "
        f"very people. The reference is the high-count image. *Paper*: {published.SOURCE}, "
        "**not comparable one to one**."
    )
