"""The calibration plot: how much of the truth intervals hold, against what they claim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from AMDiffLib.calibration.coverage import EVERYTHING, TITLES, Coverage
from AMDiffLib.image.small_png import write_small_png
from AMDiffLib.quantification.calibration import CONFIDENCE
from AMDiffLib.quantification.intervals import LESION

_REFERENCES = {"high_count": "against the high-count image", "truth": "against the noise-free truth"}
# Distinct in colour vision deficiencies (Okabe and Ito) and by their marks.
_STYLES = {
    "suv_max": ("#0072B2", "o"),
    "suv_mean": ("#E69F00", "s"),
    "suv_peak": ("#009E73", "^"),
    "mtv_ml": ("#CC79A7", "D"),
    "tlg_g": ("#000000", "v"),
}
_GOAL = (85.0, 95.0)
_DPI = 100


def write_plot(path: Path, coverages: Sequence[Coverage]) -> None:
    """Draw the lesions' coverages at all confidences as a PNG, a panel for each reference."""
    from matplotlib.figure import Figure

    lesions = [c for c in coverages if c.kind == LESION and c.by == EVERYTHING]
    references = [name for name in _REFERENCES if any(c.reference == name for c in lesions)]
    figure = Figure(figsize=(4.6 * max(1, len(references)), 5.1), dpi=_DPI, layout="constrained")
    for position, reference in enumerate(references):
        axes = figure.add_subplot(1, len(references), position + 1)
        of_reference = [c for c in lesions if c.reference == reference]
        axes.plot([0, 100], [0, 100], color="0.6", linewidth=1, zorder=1)
        axes.plot([100 * CONFIDENCE] * 2, _GOAL, color="0.6", linewidth=6, alpha=0.5, zorder=1)
        for quantity, (colour, mark) in _STYLES.items():
            points = sorted(
                (100 * c.confidence, 100 * c.covered) for c in of_reference if c.quantity == quantity
            )
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, marker=mark, markersize=4,
                          linewidth=1.2, label=TITLES[quantity])  # fmt: skip
        whole = max(of_reference, key=lambda c: c.observations)
        axes.set(
            xlim=(0, 100),
            ylim=(0, 100),
            aspect="equal",
            xlabel="claimed, %",
        )
        title = f"{_REFERENCES[reference]}\n{whole.observations} regions of {whole.subjects} people"
        axes.set_title(title, fontsize=10, pad=8)
        axes.set_ylabel("true values inside the interval, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", frameon=False, fontsize=9)
    write_small_png(figure, path)
