"""Several methods with several seeds on one cohort: their scores together, and what they say.

The subject is the unit: a subject's figures are averaged over the seeds of a method before anything is
tested. How often a direction returns is counted over seeds beside that.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from AMDiffLib.evaluation import cells, published
from AMDiffLib.evaluation.document import Block, Heading, Table, table
from AMDiffLib.evaluation.groups import Figure, by_subject
from AMDiffLib.evaluation.image_tables import REGIONS, SIGNIFICANT, comparison_index
from AMDiffLib.evaluation.methods import TITLES, WITHOUT_PARTS
from AMDiffLib.evaluation.scores import DICE, HIGH_COUNT, LABELS, MODEL, NRMSE_RANGE, Score
from AMDiffLib.evaluation.segment_tables import CLASSES
from AMDiffLib.evaluation.summary import Comparison, Evaluation, pair_subjects
from AMDiffLib.training.comparators import WITHOUT

SEEDS_NEEDED = 3
_UNCHANGED = 0.005  # a published change of less than half a per cent has no direction
_MEASURES = (
    *((NRMSE_RANGE, region, HIGH_COUNT) for region in published.NRMSE_BY_RANGE),
    *((DICE, name, LABELS) for name in published.DICE),
)

SeedScores = Mapping[str, Mapping[int, Sequence[Score]]]
"""Scores by method and seed; each score's method is that of the comparison."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What leaving a part out does to one measure: without / with, ours and the paper's.

    `agreeing` of `seeds` trainings moved as the paper's did; `comparison` is None where nothing was measured.
    """

    metric: str
    region: str
    comparison: Comparison | None
    published: float
    seeds: int
    agreeing: int

    @property
    def has_direction(self) -> bool:
        return abs(self.published - 1.0) >= _UNCHANGED

    @property
    def ratio(self) -> float:
        return 1.0 / self.comparison.ratio if self.comparison and self.comparison.ratio else math.nan


def mean_over_seeds(scores: SeedScores) -> list[Score]:
    """Return one score a case and figure: the mean over the seeds in which it is defined."""
    values: dict[Score, list[float]] = defaultdict(list)
    for seeds in scores.values():
        for of_seed in seeds.values():
            for score in of_seed:
                values[replace(score, value=0.0)].append(score.value)
    together = []
    for score, found in values.items():
        finite = [value for value in found if not math.isnan(value)]
        together.append(replace(score, value=sum(finite) / len(finite) if finite else math.nan))
    return together


def write_seeds(path: Path, scores: SeedScores) -> None:
    """Write one row a method, seed and figure: mean and standard deviation over people."""
    import statistics

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "seed", "metric", "region", "reference", "n", "mean", "sd"])
        for method, seeds in scores.items():
            for seed, of_seed in seeds.items():
                for figure, values in by_subject(of_seed).items():
                    finite = [value for value in values.values() if math.isfinite(value)]
                    if figure.method != method or not finite:
                        continue
                    sd = f"{statistics.stdev(finite):.8g}" if len(finite) > 1 else ""
                    row = [figure.metric, figure.region, figure.reference, len(finite)]
                    writer.writerow([method, seed, *row, f"{statistics.fmean(finite):.8g}", sd])


def ablations(evaluation: Evaluation, scores: SeedScores, name: str) -> list[Ablation]:
    """Return what leaving `name` (of `ABLATIONS`) out does to each measure of the paper's Table 4."""
    method, pooled = WITHOUT + name, evaluation.groups[0]
    found = []
    for metric, region, reference in _MEASURES:
        theirs = published.NRMSE_OF_ABLATIONS if metric == NRMSE_RANGE else published.DICE_OF_ABLATIONS
        change = theirs[name][region][0] / theirs[published.AMDIFF][region][0]
        of_seeds = _ratio_of_each_seed(scores, method, metric, region, reference)
        found.append(
            Ablation(
                metric=metric,
                region=region,
                comparison=comparison_index(evaluation, pooled, metric).get((method, region)),
                published=change,
                seeds=len(of_seeds),
                agreeing=sum((ratio > 1.0) == (change > 1.0) for ratio in of_seeds if ratio != 1.0),
            )
        )
    return found


def ablation_blocks(evaluation: Evaluation, scores: SeedScores) -> list[Block]:
    """Return the paper's Table 4 in our figures; nothing where no ablation was trained."""
    names = [method.removeprefix(WITHOUT) for method in WITHOUT_PARTS if method in scores]
    if not names or MODEL not in scores:
        return []
    by_name = {name: ablations(evaluation, scores, name) for name in names}
    fewest = min(len(scores[WITHOUT + name]) for name in names)
    blocks: list[Block] = [_ablation_table(by_name)]
    blocks.append(
        "Without the part / AMDiff, of means over people (95 % interval, p), and in how many trainings with "
        "seeds of their own it moved as the paper's figure did. NRMSE above 1 and Dice below 1 speak for the "
        "part. Paper: the ratio of its Table 4, without a test of its own."
    )
    if fewest < SEEDS_NEEDED:
        blocks.append(
            f"**Only {fewest} seed{'' if fewest == 1 else 's'}: no claim about a part can rest on fewer than "
            f"{SEEDS_NEEDED}.**"
        )
    blocks += [_ablation_sentence(name, found) for name, found in by_name.items()]
    return blocks


def finding_blocks(evaluation: Evaluation, scores: SeedScores) -> list[Block]:
    """Return in which classes AMDiff is better or worse than each other method, by test over people."""
    others = [method for method in TITLES if method != MODEL and not method.startswith(WITHOUT)]
    rows = []
    for metric, regions in ((NRMSE_RANGE, REGIONS), (DICE, CLASSES)):
        compared = comparison_index(evaluation, evaluation.groups[0], metric)
        for method in others:
            found = {region: compared[method, region] for region in regions if (method, region) in compared}
            if found:
                name = "NRMSE" if metric == NRMSE_RANGE else "Dice"
                rows.append([f"{TITLES[method]}, {name}", *_verdicts(found, higher_is_better=metric == DICE)])
    seeds = {len(each) for each in scores.values()}
    count = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    return [
        Heading(text="Is AMDiff better?"),
        table(["AMDiff beside", "better", "worse", "no difference shown"], rows),
        f"Better and worse: p < {SIGNIFICANT:g}, Wilcoxon's signed-rank test over people, whose figures are "
        f"means over {count} trained seed{'' if count == '1' else 's'}; not corrected for the number of "
        "tests.",
    ]


def _verdicts(found: Mapping[str, Comparison], *, higher_is_better: bool) -> list[str]:
    columns: tuple[list[str], ...] = ([], [], [])
    for region, each in found.items():
        p = f"{region} (p {cells.p_value(each.p)})" if math.isfinite(each.p) else region
        if not each.p < SIGNIFICANT or each.ratio == 1.0:
            columns[2].append(p)
        else:
            columns[0 if (each.ratio > 1.0) == higher_is_better else 1].append(p)
    return [", ".join(column) or cells.NONE for column in columns]


def _ablation_table(by_name: Mapping[str, Sequence[Ablation]]) -> Table:
    rows = []
    for number, (metric, region, _) in enumerate(_MEASURES):
        row = [f"{'NRMSE' if metric == NRMSE_RANGE else 'Dice'}, {region}"]
        for found in by_name.values():
            each = found[number]
            seeds = f"{each.agreeing} of {each.seeds}" if each.has_direction and each.seeds else cells.NONE
            row += [_change(each), seeds, f"*{each.published:.2f}*"]
        rows.append(row)
    head = [""]
    for name in by_name:
        head += [WITHOUT_PARTS[WITHOUT + name], "seeds", "*paper*"]
    return table(head, rows)


def _change(found: Ablation) -> str:
    each = found.comparison
    if each is None or not math.isfinite(found.ratio):
        return cells.NONE
    low, high = each.interval
    limits = cells.bounds((1.0 / high, 1.0 / low), 2) if low > 0 else ""
    p = f", p {cells.p_value(each.p)}" if math.isfinite(each.p) else ""
    return f"{found.ratio:.2f} {limits}{p}"


def _ablation_sentence(name: str, found: Sequence[Ablation]) -> str:
    directed = [each for each in found if each.has_direction and math.isfinite(each.ratio)]
    same = [each for each in directed if (each.ratio > 1.0) == (each.published > 1.0)]
    proven = [each for each in same if each.comparison.p < SIGNIFICANT]
    against = [each for each in directed if each not in same and each.comparison.p < SIGNIFICANT]
    text = (
        f"**{WITHOUT_PARTS[WITHOUT + name]}**: {len(same)} of {len(directed)} measures move as in the paper, "
        f"{len(proven)} of them with p < {SIGNIFICANT:g}"
    )
    if against:
        named = ", ".join(
            f"{'NRMSE' if each.metric == NRMSE_RANGE else 'Dice'} of {each.region}" for each in against
        )
        text += f"; against it, with p < {SIGNIFICANT:g}: {named}"
    return text + "."


def _ratio_of_each_seed(
    scores: SeedScores, method: str, metric: str, region: str, reference: str
) -> list[float]:
    """Mean over people without the part / with it, of each seed that both have."""
    ratios = []
    for seed in sorted(set(scores[method]) & set(scores[MODEL])):
        values = [
            by_subject(score for score in scores[name][seed] if score.metric == metric).get(
                Figure(method=name, metric=metric, region=region, reference=reference), {}
            )
            for name in (method, MODEL)
        ]
        pairs = pair_subjects(*values)
        if pairs is not None and pairs[1].mean() > 0:
            ratios.append(float(pairs[0].mean() / pairs[1].mean()))
    return ratios
