"""The best, the median and the worst case side by side, as coronal projections."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.evaluation.regions import BODY
from AMDiffLib.evaluation.scores import HIGH_COUNT, LABELS, MEASURABLE, MODEL, NRMSE_MEAN, Score
from AMDiffLib.image.overview import DISCLAIMER, SUV_WINDOW, mark_orientation, outline, show_suv
from AMDiffLib.image.projection import CoronalScene, project_coronal
from AMDiffLib.labels import LESION

if TYPE_CHECKING:
    from AMDiffLib.evaluation.cases import EvaluationCase

RANKS = ("Best", "Median", "Worst")
_COLUMNS = ("Low-count input", "Denoised, lesions found", "High-count, true lesions")
_ROW_INCHES, _DPI = 4.2, 130
_ARRAYS = ("low", "denoised", "truth", "lesions", "truth_lesions")
_RED = np.array(LESION.colour) / 255


def save_scene(
    path: Path, case: EvaluationCase, denoised: np.ndarray, lesions: np.ndarray, organs: np.ndarray
) -> None:
    """Keep the projections of a case, so that its picture can be drawn when its rank is known."""
    volume = case.low_count
    scene = project_coronal(
        {"low": volume.suv, "denoised": denoised, "truth": case.references[HIGH_COUNT]},
        {"lesions": lesions, "truth_lesions": case.lesions},
        organs,
        volume.spacing,
        volume.direction,
    )
    facts = {"lesion_count": scene.lesion_count, "spacing": scene.spacing}
    np.savez_compressed(
        path, **{name: getattr(scene, name) for name in _ARRAYS}, facts=np.array(json.dumps(facts))
    )


def load_scene(path: Path) -> CoronalScene:
    """Return what `save_scene` kept."""
    with np.load(path) as content:
        facts = json.loads(str(content["facts"]))
        return CoronalScene(
            **{name: content[name] for name in _ARRAYS},
            lesion_count=facts["lesion_count"],
            depth_mm={},
            spacing=tuple(facts["spacing"]),
        )


@dataclass(frozen=True, kw_only=True)
class RankedCase:
    """A case that is shown, and what it says above it."""

    rank: str
    subject: str
    scanner: str
    counts_percent: float
    quality: str

    @property
    def title(self) -> str:
        return (
            f"{self.rank}: {self.subject}, {self.scanner}, {self.counts_percent:g} % counts, {self.quality}"
        )


def ranked_cases(scores: Sequence[Score]) -> list[RankedCase]:
    """Return the cases of the best, the median and the worst Dice of lesions of at least 0.5 mL.

    Where nobody has such a lesion, those of the smallest, median and largest error in the body. Fewer than
    three cases are all shown once.
    """
    rows = sorted(_rows(scores, "dice", MEASURABLE, LABELS), key=lambda score: -score.value)
    text = "lesion Dice {:.2f}"
    if not rows:
        rows = sorted(_rows(scores, NRMSE_MEAN, BODY, HIGH_COUNT), key=lambda score: score.value)
        text = "body NRMSE {:.2f} of the mean"
    last = len(rows) - 1
    places = dict.fromkeys((0, last // 2, last)) if rows else {}
    ranks = RANKS if len(places) == len(RANKS) else (RANKS[0], RANKS[-1])
    return [
        RankedCase(
            rank=rank,
            subject=rows[place].subject,
            scanner=rows[place].scanner,
            counts_percent=rows[place].counts_percent,
            quality=text.format(rows[place].value),
        )
        for rank, place in zip(ranks, places, strict=False)
    ]


def _rows(scores: Sequence[Score], metric: str, region: str, reference: str) -> list[Score]:
    wanted = (MODEL, metric, region, reference)
    return [
        score
        for score in scores
        if (score.method, score.metric, score.region, score.reference) == wanted
        and math.isfinite(score.value)
    ]


def write_case_pictures(path: Path, cases: Sequence[tuple[RankedCase, CoronalScene]]) -> None:
    """Write a PNG with a row for each case: input, denoised, high-count; inverted grey, SUV 0 to 7."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = [(_ROW_INCHES, _ROW_INCHES * scene.size_mm[1] / scene.size_mm[0]) for _, scene in cases]
    gap, left, right, above, below, head = 0.08, 0.15, 0.85, 0.3, 0.3, 0.3
    width = left + len(_COLUMNS) * max(across for _, across in sizes) + (len(_COLUMNS) - 1) * gap + right
    height = head + sum(up + above for up, _ in sizes) + below
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    top = height - head
    for row, ((case, scene), (up, across)) in enumerate(zip(cases, sizes, strict=True)):
        column_width = max(wide for _, wide in sizes)
        figure.text(left / width, (top - 0.06) / height, case.title, fontsize=9.5, weight="bold", va="top")
        top -= above + up
        for column, image in enumerate((scene.low, scene.denoised, scene.truth)):
            x = left + column * (column_width + gap) + (column_width - across) / 2
            axes = figure.add_axes((x / width, top / height, across / width, up / height))
            drawn = show_suv(axes, scene, image)
            mask = (None, scene.lesions, scene.truth_lesions)[column]
            if mask is not None:
                outline(axes, scene, mask > 0, _RED, 0.9)
            if row == 0:
                centre = (left + column * (column_width + gap) + column_width / 2) / width
                figure.text(
                    centre, (height - 0.08) / height, _COLUMNS[column], fontsize=10.5, ha="center", va="top"
                )
            if column == 0:
                mark_orientation(axes, scene)
    bar = figure.add_axes(((width - right + 0.2) / width, 0.5 - 0.9 / height, 0.13 / width, 1.8 / height))
    figure.colorbar(drawn, cax=bar, extend="max", ticks=range(int(SUV_WINDOW[1]) + 1))
    bar.set_ylabel("SUVbw (g/mL)", fontsize=8.5)
    bar.tick_params(labelsize=8)
    figure.text(left / width, 0.08 / height, DISCLAIMER, fontsize=8, color="0.35", va="bottom")
    figure.savefig(path, dpi=_DPI, facecolor="white")
