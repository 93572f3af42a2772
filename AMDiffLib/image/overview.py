"""One picture of a result: coronal maximum intensity projections side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.image.orientation import IDENTITY
from AMDiffLib.image.projection import CoronalScene, project_coronal
from AMDiffLib.labels import LESION, ORGANS, Structure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUV_WINDOW = (0.0, 7.0)
DISCLAIMER = "Research use only - not for diagnosis"

# Painted in this order, small organs last; opacity per mm of tissue along the ray, so that muscle, which lies
# in front of everything, does not hide the rest.
_OPACITY_PER_MM = {
    "muscle": 0.0025,
    "bone": 0.025,
    "lung": 0.004,
    "liver": 0.015,
    "spleen": 0.025,
    "kidney": 0.03,
    "aorta": 0.04,
}
_HIGHEST_OPACITY = 0.6
_MOST_NUMBERS = 15

_PANEL_HEIGHT_INCHES = 6.6
_PANEL_WIDTH_INCHES = 4.6
_DPI = 150


def write_overview(
    path: str | Path,
    low_suv: np.ndarray,
    denoised_suv: np.ndarray,
    lesion_instances: np.ndarray,
    organs: np.ndarray,
    spacing: Sequence[float],
    truth_suv: np.ndarray | None = None,
    title: str | None = None,
    *,
    direction: Sequence[float] = IDENTITY,
    truth_lesions: np.ndarray | None = None,
) -> None:
    """Write a PNG of coronal projections: low-count, denoised, lesions with organs, and the truth if given.

    Inverted grey, SUVbw 0 to 7 g/mL, head up, the patient's right on the left, true proportions.

    Args:
        path: the PNG file.
        low_suv, denoised_suv, truth_suv: (z, y, x) SUVbw in g/mL.
        lesion_instances: (z, y, x) integer, 0 outside and the lesion's number inside.
        organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`.
        spacing: (x, y, z) voxel size in mm.
        title: heading; none by default.
        direction: 9 cosines of the grid, row-major, LPS.
        truth_lesions: (z, y, x), non-zero inside the true lesions, which are outlined on the truth.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    scene = project_coronal(
        {"low": low_suv, "denoised": denoised_suv, "truth": truth_suv},
        {"lesions": lesion_instances, "truth_lesions": truth_lesions},
        organs,
        spacing,
        direction,
    )
    figure = _draw(scene, title)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, facecolor="white")


def _draw(scene: CoronalScene, title: str | None) -> Figure:
    from matplotlib.figure import Figure

    height_mm, width_mm = scene.size_mm
    inches_per_mm = min(_PANEL_HEIGHT_INCHES / height_mm, _PANEL_WIDTH_INCHES / width_mm)
    height, width = height_mm * inches_per_mm, width_mm * inches_per_mm
    panels = [("Low-count input", scene.low), ("Denoised", scene.denoised), ("Lesions and organs", None)]
    if scene.truth is not None:
        panels.append(("Truth", scene.truth))

    gap, left, right, bottom = 0.12, 0.2, 0.95, 0.68
    top = 0.78 if title else 0.42
    total_width = left + len(panels) * width + (len(panels) - 1) * gap + right
    total_height = bottom + height + top
    figure = Figure(figsize=(total_width, total_height))

    def axes_at(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / total_width, y / total_height, w / total_width, h / total_height))

    for index, (name, image) in enumerate(panels):
        axes = axes_at(left + index * (width + gap), bottom, width, height)
        drawn = show_suv(axes, scene, scene.denoised if image is None else image)
        if image is None:
            _paint_segments(axes, scene)
        elif image is scene.truth and scene.truth_lesions is not None:
            outline(axes, scene, scene.truth_lesions > 0, np.array(LESION.colour) / 255, 1.0)
        axes.set_title(name, fontsize=11, pad=5)
    mark_orientation(figure.axes[0], scene)

    bar = axes_at(total_width - right + 0.18, bottom + height * 0.3, 0.14, height * 0.4)
    figure.colorbar(drawn, cax=bar, extend="max")
    bar.set_ylabel("SUVbw (g/mL)", fontsize=9)
    bar.tick_params(labelsize=8)
    if title:
        figure.text(left / total_width, 1 - 0.18 / total_height, title, fontsize=13, weight="bold", va="top")
    _legend(figure, scene, total_height, left / total_width)
    figure.text(left / total_width, 0.1 / total_height, DISCLAIMER, fontsize=8.5, color="0.35", va="bottom")
    return figure


def show_suv(axes: Axes, scene: CoronalScene, image: np.ndarray) -> object:
    """Draw a projection in inverted grey, SUVbw 0 to 7 g/mL; returns what a colour bar needs."""
    height_mm, width_mm = scene.size_mm
    drawn = axes.imshow(
        image,
        cmap="gray_r",
        vmin=SUV_WINDOW[0],
        vmax=SUV_WINDOW[1],
        origin="lower",
        extent=(0, width_mm, 0, height_mm),
        interpolation="bilinear",
        aspect="equal",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.8")
        spine.set_linewidth(0.6)
    return drawn


def _paint_segments(axes: Axes, scene: CoronalScene) -> None:
    height_mm, width_mm = scene.size_mm
    extent = (0, width_mm, 0, height_mm)
    colour = np.zeros((*scene.low.shape, 3))
    opacity = np.zeros(scene.low.shape)
    for name, per_mm in _OPACITY_PER_MM.items():
        if name in scene.depth_mm:
            share = (1 - np.exp(-per_mm * scene.depth_mm[name])) * _HIGHEST_OPACITY
            combined = share + opacity * (1 - share)
            weight = np.divide(share, combined, out=np.zeros_like(share, float), where=combined > 0)
            colour += weight[..., None] * (np.array(_structure(name).colour) / 255 - colour)
            opacity = combined
    picture = np.dstack([colour, opacity])
    axes.imshow(picture, origin="lower", extent=extent, interpolation="bilinear", aspect="equal")
    for name in _OPACITY_PER_MM:
        if name in scene.depth_mm and name not in ("muscle", "bone"):
            edge = np.array(_structure(name).colour) / 255 * 0.8
            outline(axes, scene, scene.depth_mm[name] > 0, edge, 0.7)
    if scene.lesion_count:
        red = np.array(LESION.colour) / 255
        mask = (scene.lesions > 0).astype(float)
        filled = np.dstack([np.broadcast_to(red, (*mask.shape, 3)), 0.8 * mask])
        axes.imshow(filled, origin="lower", extent=extent, interpolation="nearest", aspect="equal")
        outline(axes, scene, mask > 0, red * 0.6, 0.8)
        number_lesions(axes, scene)


def outline(axes: Axes, scene: CoronalScene, mask: np.ndarray, colour: np.ndarray, width: float) -> None:
    """Draw the edge of a mask of the projection's shape."""
    if mask.any() and not mask.all():
        up, across = ((np.arange(n) + 0.5) * size for n, size in zip(mask.shape, scene.spacing, strict=True))
        axes.contour(across, up, mask.astype(float), [0.5], colors=[colour], linewidths=width)


def number_lesions(axes: Axes, scene: CoronalScene) -> None:
    """Write their numbers beside the first lesions."""
    from matplotlib.patheffects import withStroke

    for number in np.unique(scene.lesions[scene.lesions > 0])[:_MOST_NUMBERS]:
        rows, columns = np.nonzero(scene.lesions == number)
        axes.annotate(
            str(number),
            ((columns.max() + 1) * scene.spacing[1], (rows.mean() + 0.5) * scene.spacing[0]),
            xytext=(2, 0),
            textcoords="offset points",
            fontsize=7.5,
            va="center",
            color=np.array(LESION.colour) / 255 * 0.6,
            path_effects=[withStroke(linewidth=1.6, foreground="white")],
        )


def mark_orientation(axes: Axes, scene: CoronalScene) -> None:
    """Write which side is the patient's right and left, and draw a scale."""
    from matplotlib.patheffects import withStroke

    height_mm, width_mm = scene.size_mm
    for text, x, side in (("R", 0.02, "left"), ("L", 0.98, "right")):
        label = axes.text(x, 0.985, text, transform=axes.transAxes, ha=side, va="top", fontsize=10)
        label.set_path_effects([withStroke(linewidth=2.0, foreground="white")])
    length = 100.0 if width_mm > 250 else 50.0
    x, y = 0.03 * width_mm, 0.03 * width_mm
    axes.plot([x, x + length], [y, y], color="0.2", linewidth=1.6, solid_capstyle="butt")
    axes.text(x, y + 0.012 * height_mm, f"{length / 10:.0f} cm", fontsize=8, color="0.2", va="bottom")
    axes.set_xlim(0, width_mm)
    axes.set_ylim(0, height_mm)


def _legend(figure: Figure, scene: CoronalScene, total_height: float, left: float) -> None:
    from matplotlib.patches import Patch

    red = np.array(LESION.colour) / 255
    if scene.lesion_count:
        handles = [Patch(facecolor=red, label=f"lesions ({scene.lesion_count})")]
    else:
        handles = [Patch(facecolor="white", edgecolor=red, label="no lesion found")]
    handles += [
        Patch(facecolor=np.array(organ.colour) / 255, label=organ.name)
        for organ in ORGANS
        if organ.name in scene.depth_mm
    ]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(left, 0.32 / total_height),
        ncol=len(handles),
        frameon=False,
        fontsize=9,
        handlelength=1.0,
        handleheight=1.0,
        handletextpad=0.5,
        columnspacing=1.3,
        borderpad=0,
        borderaxespad=0,
    )


def _structure(name: str) -> Structure:
    return next(organ for organ in ORGANS if organ.name == name)
