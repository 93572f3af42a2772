"""The course of a training as one picture, from its losses.csv and validation.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.image.small_png import write_small_png
from AMDiffLib.training.run_settings import CURVES_NAME, LOSSES_NAME, VALIDATION_NAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 75
_IMAGE_TERMS = {
    "diffusion": ("L_diff", "tab:blue"),
    "lesion_organ": ("L_lor", "tab:red"),
    "revision": ("L_rev", "tab:green"),
}
_SEGMENT_TERMS = {
    "segmentation": ("L_seg", "tab:purple"),
    "uncertainty": ("uncertainty", "tab:brown"),
    "total": ("total", "black"),
}
_SCHEDULES = {
    "warm": ("warm-up, Eq. (11)", "tab:orange"),
    "rate_factor": ("learning rate / its largest", "0.45"),
}
_SMOOTHED_SHARE = 0.05  # of the rows, that the thick lines average over


def write_loss_curves(run: Path) -> Path | None:
    """Draw losses, warm-up, learning rate and validation over the steps of `run`; return the PNG's path.

    Thin lines are the rows of losses.csv, thick ones their exponential mean. None where nothing is logged.
    """
    from matplotlib.figure import Figure

    losses = _columns(run / LOSSES_NAME)
    if not losses:
        return None
    validation = _columns(run / VALIDATION_NAME)
    rows = 4 if validation else 3
    figure = Figure(figsize=(9.0, 2.2 * rows), dpi=_DPI, layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True)
    _draw_terms(panels[0], losses, _IMAGE_TERMS)
    panels[0].set_yscale("log")
    panels[0].set_ylabel("image losses")
    _draw_terms(panels[1], losses, _SEGMENT_TERMS)
    panels[1].set_ylabel("loss")
    for name, (label, colour) in _SCHEDULES.items():
        panels[2].plot(losses["step"], losses[name], color=colour, linewidth=1.8, label=label)
    panels[2].set_ylim(-0.04, 1.04)
    panels[2].set_ylabel("schedules")
    if validation:
        _draw_validation(panels[3], validation)
    for axes in panels:
        axes.grid(color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    panels[-1].set_xlabel("optimiser step")
    path = run / CURVES_NAME
    write_small_png(figure, path)
    return path


def _draw_terms(axes: Axes, losses: dict[str, np.ndarray], terms: dict[str, tuple[str, str]]) -> None:
    for name, (label, colour) in terms.items():
        values = losses.get(name)
        if values is None:
            continue
        # A loss is exactly 0 while its part is not run.
        drawn = np.where(values == 0.0, np.nan, values)
        if np.isfinite(drawn).any():
            axes.plot(losses["step"], drawn, color=colour, linewidth=0.7, alpha=0.35)
            axes.plot(losses["step"], _smoothed(drawn), color=colour, linewidth=1.8, label=label)


def _draw_validation(axes: Axes, validation: dict[str, np.ndarray]) -> None:
    for name, values in validation.items():
        if name not in ("step", "score", "false_positive_ml") and not name.startswith("dice_"):
            axes.plot(validation["step"], values, marker=".", linewidth=1.2, label=name.replace("_", " "))
    scores = validation["score"]
    best = np.flatnonzero(scores == np.nanmin(scores))[-1]  # of equal ones the trainer keeps the later
    axes.axvline(validation["step"][best], color="0.3", linestyle=":", label="best score")
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("validation")


def _smoothed(values: np.ndarray) -> np.ndarray:
    smooth = np.full(len(values), np.nan)
    newest = 1.0 / max(_SMOOTHED_SHARE * len(values), 1.0)
    mean = np.nan
    for index, value in enumerate(values):
        if np.isfinite(value):
            mean = value if np.isnan(mean) else (1.0 - newest) * mean + newest * value
            smooth[index] = mean
    return smooth


def _columns(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}
