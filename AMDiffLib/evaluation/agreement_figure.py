"""Found against true: MTV, TLG and SUVmean of liver and aorta, with regression and limits of agreement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.evaluation.agreement import Agreement, Pairs, agree, pairs_of
from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.regions import LESION
from AMDiffLib.evaluation.scores import HIGH_COUNT, LABELS, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = (
    ("mtv_ml", LESION, LABELS, "MTV", "mL"),
    ("tlg_g", LESION, HIGH_COUNT, "TLG", "g"),
    ("suv_mean", "liver", HIGH_COUNT, "Liver SUVmean", "g/mL"),
    ("suv_mean", "aorta", HIGH_COUNT, "Aorta SUVmean", "g/mL"),
)
# Okabe and Ito's palette, which colour-blind readers tell apart; and a mark of its own for each level.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKS = ("o", "s", "^", "D", "v", "P")
_WIDE_SPREAD = 50.0


def write_agreement_figure(path: Path, scores: Sequence[Score]) -> None:
    """Write a PNG: above, found against true with the regression line; below, Bland-Altman plots.

    A mark is a case, its colour the count level. Where true values spread over more than a factor of 50 the
    axes of the upper plot are logarithmic from 1 (linear below), so that small disease can be seen.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    levels = sorted({score.counts_percent for score in scores})
    figure = Figure(figsize=(15.0, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(2, len(PANELS))
    for column, (metric, region, true_method, title, unit) in enumerate(PANELS):
        of_level = {
            level: pairs_of(
                [score for score in scores if score.counts_percent == level], metric, region, true_method
            )
            for level in levels
        }
        pooled = _together(list(of_level.values()))
        found = agree(pooled, group=Group(counts_percent=None, scanner=None), metric=metric, region=region)
        rows[0, column].set_title(title, fontsize=12, weight="bold")
        if not found.n:
            for axes in rows[:, column]:
                axes.text(0.5, 0.5, "no case", ha="center", va="center", transform=axes.transAxes)
                axes.set_axis_off()
            continue
        _regression(rows[0, column], of_level, pooled, found, unit)
        _bland_altman(rows[1, column], of_level, found, unit)
    handles, labels = rows[0, 2].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncol=len(labels), frameon=False)
    figure.savefig(path, dpi=120, facecolor="white")


def _together(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(
        true=np.concatenate([part.true for part in parts]),
        found=np.concatenate([part.found for part in parts]),
        subjects=tuple(subject for part in parts for subject in part.subjects),
    )


def _points(axes: Axes, of_level: dict[float, Pairs], *, difference: bool) -> None:
    for number, (level, pairs) in enumerate(of_level.items()):
        x, y = pairs.true, pairs.found
        if difference:
            x, y = (pairs.true + pairs.found) / 2, pairs.found - pairs.true
        axes.scatter(
            x,
            y,
            s=26,
            color=COLOURS[number % len(COLOURS)],
            marker=_MARKS[number % len(_MARKS)],
            alpha=0.75,
            linewidths=0,
            label=f"{level:g} % counts",
        )


def _regression(axes: Axes, of_level: dict[float, Pairs], pooled: Pairs, found: Agreement, unit: str) -> None:
    both = np.concatenate([pooled.true, pooled.found])
    logarithmic = both.min() >= 0 and both.max() > _WIDE_SPREAD * max(float(pooled.true.min()), 1e-9)
    low, high = (0.0, both.max() * 1.3) if logarithmic else _padded(both)
    # A straight line is curved on logarithmic axes, most of all at their beginning.
    line = np.unique([*np.linspace(low, high, 50), *np.geomspace(1e-3 * high, high, 200)])
    axes.plot(line, line, color="0.6", linewidth=1.0, linestyle=":", label="identity")
    if np.isfinite(found.slope):
        axes.plot(line, found.slope * line + found.intercept, color="0.15", linewidth=1.3, label="regression")
    _points(axes, of_level, difference=False)
    if logarithmic:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_yscale("symlog", linthresh=1.0)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel(f"true ({unit})")
    axes.set_ylabel(f"found ({unit})")
    text = _size(found)
    if np.isfinite(found.r_squared):
        text = f"y = {found.slope:.2f} x {found.intercept:+.2f}\nR² = {found.r_squared:.2f}\n{text}"
    # Below the identity, where a model that marks too much leaves room.
    axes.text(0.97, 0.04, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=9)
    tidy_axes(axes)


def _bland_altman(axes: Axes, of_level: dict[float, Pairs], found: Agreement, unit: str) -> None:
    from matplotlib.patheffects import withStroke

    _points(axes, of_level, difference=True)
    axes.axhline(0.0, color="0.75", linewidth=0.8)
    lines = [
        (found.bias, "-", "mean"),
        (found.lower_limit, "--", "-1.96 SD"),
        (found.upper_limit, "--", "+1.96 SD"),
    ]
    for value, style, name in lines:
        if np.isfinite(value):
            axes.axhline(value, color="0.15", linewidth=1.1, linestyle=style)
            axes.annotate(
                f"{name} {value:+.3g}",
                (1.0, value),
                xycoords=("axes fraction", "data"),
                xytext=(-3, 3),
                textcoords="offset points",
                ha="right",
                fontsize=8.5,
                path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )
    if all(np.isfinite(value) for value, _, _ in lines):
        reach = max(abs(y) for pairs in of_level.values() for y in [*(pairs.found - pairs.true), 0.0])
        reach = 1.15 * max(reach, *(abs(value) for value, _, _ in lines))
        axes.set_ylim(-reach, reach)
    means = np.concatenate([(pairs.true + pairs.found) / 2 for pairs in of_level.values()])
    if means.min() >= 0 and means.max() > _WIDE_SPREAD * max(float(means.min()), 1e-9):
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(0.0, means.max() * 1.3)
    axes.set_xlabel(f"mean of true and found ({unit})")
    axes.set_ylabel(f"found - true ({unit})")
    tidy_axes(axes)


def _padded(values: np.ndarray) -> tuple[float, float]:
    margin = 0.08 * max(float(np.ptp(values)), 1e-6)
    return float(values.min()) - margin, float(values.max()) + margin


def _size(found: Agreement) -> str:
    people = "person" if found.subjects == 1 else "people"
    return f"{found.n} case{'' if found.n == 1 else 's'}, {found.subjects} {people}"


def tidy_axes(axes: Axes) -> None:
    """Leave out the lines above and on the right; small numbers."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8.5)
