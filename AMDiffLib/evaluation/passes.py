"""What more passes of the denoiser's network bring: figures and curves against the number of passes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.evaluation import cells
from AMDiffLib.evaluation.agreement_figure import COLOURS, tidy_axes
from AMDiffLib.evaluation.comparison import SeedScores, mean_over_seeds
from AMDiffLib.evaluation.document import Block, Heading, Picture, table
from AMDiffLib.evaluation.groups import Figure, by_subject
from AMDiffLib.evaluation.methods import BY_PASSES
from AMDiffLib.evaluation.regions import BODY, LESION
from AMDiffLib.evaluation.resampling import bootstrap_interval, wilcoxon_p
from AMDiffLib.evaluation.scores import (
    CONTRAST_RECOVERY,
    HIGH_COUNT,
    LABELS,
    LESION_SUV_ERRORS,
    LIVER_NOISE,
    LIVER_TEXTURE,
    MODEL,
    NRMSE_MEAN,
)
from AMDiffLib.evaluation.summary import pair_subjects
from AMDiffLib.training.comparators import DDPM, DENOISER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "passes.png"
_MEASURES = (
    (NRMSE_MEAN, BODY, "NRMSE by mean, body", 3),
    (NRMSE_MEAN, LESION, "NRMSE by mean, lesion", 3),
    (CONTRAST_RECOVERY, LESION, "contrast recovery, %", 1),
    (LESION_SUV_ERRORS[0], LESION, "error of lesions' SUVmax, %", 1),
    (LESION_SUV_ERRORS[2], LESION, "error of lesions' SUVmean, %", 1),
    (LIVER_NOISE, "liver", "noise in the liver, %", 1),
    (LIVER_TEXTURE, "liver", "correlation of neighbours, liver", 3),
)
_KINDS = dict(zip(dict.fromkeys(BY_PASSES.values()), zip("so^", COLOURS, strict=False), strict=True))
_FAR_OFF = 3.0  # of the span of the others

Values = Callable[[str, str, str, str], dict[str, float]]
"""Subject -> value, of a method, a metric, a region and a reference."""


def passes_blocks(folder: Path, scores: SeedScores, passes: Mapping[str, int]) -> list[Block]:
    """Return the section, and write its picture to `folder`; nothing for fewer than two methods.

    `scores` by method and seed, of which those seeds count that all these methods have; `passes` of each
    method judged.
    """
    shown = [method for method in BY_PASSES if method in passes]
    if len(shown) < 2:
        return []
    shown.sort(key=lambda method: (passes[method], list(BY_PASSES).index(method)))
    seeds = sorted(set.intersection(*(set(scores[method]) for method in shown)))
    if not seeds:
        return []
    alike = {method: {seed: scores[method][seed] for seed in seeds} for method in shown}
    figures = by_subject(mean_over_seeds({MODEL: scores[MODEL]} | alike))

    def values(method: str, metric: str, region: str, reference: str) -> dict[str, float]:
        found = Figure(method=method, metric=metric, region=region, reference=reference)
        return {name: value for name, value in figures.get(found, {}).items() if math.isfinite(value)}

    rows = []
    for method in shown:
        row = [f"{passes[method]}, {BY_PASSES[method]}"]
        for metric, region, _, digits in _MEASURES:
            own = values(method, metric, region, HIGH_COUNT)
            one_pass = values(DENOISER, metric, region, HIGH_COUNT)
            pairs = pair_subjects(own, one_pass) if method != DENOISER else None
            p = wilcoxon_p(*pairs) if pairs is not None else math.nan
            cell = cells.NONE if not own else cells.number(statistics.fmean(own.values()), digits)
            row.append(f"{cell} (p {cells.p_value(p)})" if math.isfinite(p) else cell)
        rows.append(row)
    reference = ["high-count image"]
    for metric, region, _, digits in _MEASURES:
        own = values(HIGH_COUNT, metric, region, LABELS)
        reference.append(cells.number(statistics.fmean(own.values()), digits) if own else cells.NONE)
    blocks: list[Block] = [
        Heading(text="Passes of the network"),
        table(["passes", *(title for *_, title, _ in _MEASURES)], [*rows, reference]),
        "The denoiser's network alone, trained for each number of steps with one budget, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}. Means over people; p: "
        "Wilcoxon's signed-rank test against one pass from the low-count image. Lesions in their true "
        "outlines, where the error of SUVmean is that of TLG.",
    ]
    if len({passes[method] for method in shown}) > 1:
        _write_curves(folder / PICTURE, shown, passes, values)
        caption = "The same with 95 % bootstrap intervals over people."
        blocks.append(Picture(path=folder / PICTURE, caption=caption))
    return blocks


def _write_curves(path: Path, shown: Sequence[str], passes: Mapping[str, int], values: Values) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(15.0, 6.4), layout="constrained")
    FigureCanvasAgg(canvas)
    panels = list(canvas.subplots(2, 4).flat)
    counts = sorted({passes[method] for method in shown})
    for axes, (metric, region, title, _) in zip(panels, _MEASURES, strict=False):
        found = {method: list(values(method, metric, region, HIGH_COUNT).values()) for method in shown}
        found = {method: own for method, own in found.items() if own}
        far_off = _far_off(found)
        for kind, (mark, colour) in _KINDS.items():
            of_kind = {passes[method]: own for method, own in found.items() if BY_PASSES[method] == kind}
            if kind == BY_PASSES[DDPM] and far_off is not None:
                axes.annotate(
                    f"{kind}: {far_off:.3g}",
                    (0.99, 0.5),
                    xycoords="axes fraction",
                    rotation=90,
                    ha="right",
                    va="center",
                )
            else:
                _draw_kind(axes, of_kind, {"marker": mark, "color": colour, "label": kind})
        of_reference = list(values(HIGH_COUNT, metric, region, LABELS).values())
        if of_reference:
            axes.axhline(statistics.fmean(of_reference), color="0.5", linestyle=":", label="high-count image")
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, labels=[str(count) for count in counts])
        axes.set_title(title, fontsize=10.5)
        axes.set_xlabel("passes")
        tidy_axes(axes)
    panels[-1].set_axis_off()
    found = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels]
    handles = {label: handle for of_panel in found for handle, label in of_panel}
    panels[-1].legend(handles.values(), handles.keys(), loc="center", frameon=False)
    canvas.savefig(path, dpi=100, facecolor="white", pil_kwargs={"optimize": True})


def _far_off(found: Mapping[str, Sequence[float]]) -> float | None:
    """The mean of sampling from noise, where drawing it would leave nothing to see of the others."""
    means = {method: statistics.fmean(own) for method, own in found.items()}
    others = [mean for method, mean in means.items() if method != DDPM]
    if DDPM not in means or not others:
        return None
    reach = _FAR_OFF * max(max(others) - min(others), 0.1 * abs(max(others)))
    near = min(others) - reach <= means[DDPM] <= max(others) + reach
    return None if near else means[DDPM]


def _draw_kind(axes: Axes, by_count: Mapping[int, Sequence[float]], style: Mapping[str, str]) -> None:
    """Means over people with their intervals, against the number of passes."""
    if not by_count:
        return
    by_count = dict(sorted(by_count.items()))
    means = np.array([statistics.fmean(own) for own in by_count.values()])
    limits = np.array([bootstrap_interval(own) for own in by_count.values()]).T
    axes.errorbar(list(by_count), means, yerr=np.abs(limits - means), capsize=3, linewidth=1.3, **style)
