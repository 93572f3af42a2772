"""One picture of a result: coronal maximum intensity projections side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.image.orientation import IDENTITY, to_patient_axes
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
_BODY_SUV = 0.25
_MARGIN_MM = 15.0
_DPI = 150


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """Coronal projections (superior, left) cut to the body, with the voxel size (mm) along both axes."""

    low: np.ndarray
    denoised: np.ndarray
    truth: np.ndarray | None
    lesions: np.ndarray
    lesion_count: int
    depth_mm: dict[str, np.ndarray]
    spacing: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        return tuple(n * size for n, size in zip(self.low.shape, self.spacing, strict=True))


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
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    scene = _project(low_suv, denoised_suv, lesion_instances, organs, spacing, truth_suv, direction)
    figure = _draw(scene, title)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, facecolor="white")


def _project(
    low: np.ndarray,
    denoised: np.ndarray,
    lesions: np.ndarray,
    organs: np.ndarray,
    spacing: Sequence[float],
    truth: np.ndarray | None,
    direction: Sequence[float],
) -> _Scene:
    def coronal(suv: np.ndarray) -> np.ndarray:
        return to_patient_axes(suv, spacing, direction)[0].max(axis=1)

    aligned_lesions, size = to_patient_axes(lesions, spacing, direction, labels=True)
    aligned_organs, _ = to_patient_axes(organs, spacing, direction, labels=True)
    depth = {
        organ.name: size[1] * (aligned_organs == organ.label).sum(axis=1, dtype=np.float32)
        for organ in ORGANS
    }
    images = {
        "low": coronal(low),
        "denoised": coronal(denoised),
        "truth": None if truth is None else coronal(truth),
        "lesions": aligned_lesions.max(axis=1),
    }
    in_plane = (size[0], size[2])
    body = (images["denoised"] if truth is None else images["truth"]) > _BODY_SUV
    body = np.logical_or.reduce([body, *(thickness > 0 for thickness in depth.values())])
    box = _body_box(body, in_plane)
    return _Scene(
        **{name: None if image is None else image[box] for name, image in images.items()},
        lesion_count=len(np.unique(lesions)) - int((lesions == 0).any()),
        depth_mm={name: thickness[box] for name, thickness in depth.items() if thickness.any()},
        spacing=in_plane,
    )


def _body_box(body: np.ndarray, spacing: tuple[float, float]) -> tuple[slice, ...]:
    """Rows and columns that the body fills, with a margin; single noisy lines of air do not count."""
    box = []
    for axis, size in enumerate(spacing):
        filled = np.flatnonzero(body.sum(axis=1 - axis) > 2)
        margin = int(np.ceil(_MARGIN_MM / size))
        first, last = (filled[0], filled[-1]) if filled.size else (0, body.shape[axis] - 1)
        box.append(slice(max(0, int(first) - margin), min(body.shape[axis], int(last) + margin + 1)))
    return tuple(box)


def _draw(scene: _Scene, title: str | None) -> Figure:
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
        drawn = _show_suv(axes, scene, scene.denoised if image is None else image)
        if image is None:
            _paint_segments(axes, scene)
        axes.set_title(name, fontsize=11, pad=5)
    _mark_orientation(figure.axes[0], scene)

    bar = axes_at(total_width - right + 0.18, bottom + height * 0.3, 0.14, height * 0.4)
    figure.colorbar(drawn, cax=bar, extend="max")
    bar.set_ylabel("SUVbw (g/mL)", fontsize=9)
    bar.tick_params(labelsize=8)
    if title:
        figure.text(left / total_width, 1 - 0.18 / total_height, title, fontsize=13, weight="bold", va="top")
    _legend(figure, scene, total_height, left / total_width)
    figure.text(left / total_width, 0.1 / total_height, DISCLAIMER, fontsize=8.5, color="0.35", va="bottom")
    return figure


def _show_suv(axes: Axes, scene: _Scene, image: np.ndarray) -> object:
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


def _paint_segments(axes: Axes, scene: _Scene) -> None:
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
    up, across = ((np.arange(n) + 0.5) * size for n, size in zip(scene.low.shape, scene.spacing, strict=True))
    for name in _OPACITY_PER_MM:
        if name in scene.depth_mm and name not in ("muscle", "bone"):
            edge = np.array(_structure(name).colour) / 255 * 0.8
            axes.contour(across, up, scene.depth_mm[name] > 0, [0.5], colors=[edge], linewidths=0.7)
    if scene.lesion_count:
        red = np.array(LESION.colour) / 255
        mask = (scene.lesions > 0).astype(float)
        filled = np.dstack([np.broadcast_to(red, (*mask.shape, 3)), 0.8 * mask])
        axes.imshow(filled, origin="lower", extent=extent, interpolation="nearest", aspect="equal")
        axes.contour(across, up, mask, [0.5], colors=[red * 0.6], linewidths=0.8)
        _number_lesions(axes, scene)


def _number_lesions(axes: Axes, scene: _Scene) -> None:
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


def _mark_orientation(axes: Axes, scene: _Scene) -> None:
    height_mm, width_mm = scene.size_mm
    for text, x, side in (("R", 0.02, "left"), ("L", 0.98, "right")):
        axes.text(x, 0.985, text, transform=axes.transAxes, ha=side, va="top", fontsize=10, color="0.3")
    length = 100.0 if width_mm > 250 else 50.0
    x, y = 0.03 * width_mm, 0.03 * width_mm
    axes.plot([x, x + length], [y, y], color="0.2", linewidth=1.6, solid_capstyle="butt")
    axes.text(x, y + 0.012 * height_mm, f"{length / 10:.0f} cm", fontsize=8, color="0.2", va="bottom")
    axes.set_xlim(0, width_mm)
    axes.set_ylim(0, height_mm)


def _legend(figure: Figure, scene: _Scene, total_height: float, left: float) -> None:
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
