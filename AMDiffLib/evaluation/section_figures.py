"""The paper's Fig. 4 and 6 in our cases: what denoising does to a section, and the organs in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.evaluation.case_pictures import RankedCase
from AMDiffLib.evaluation.coronal_slices import CoronalSections
from AMDiffLib.image.overview import DISCLAIMER, SUV_WINDOW, mark_orientation, outline, show_suv
from AMDiffLib.labels import LESION, ORGANS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _DPI = 4.4, 110
_LEFT, _RIGHT, _ABOVE, _NOTE, _BELOW, _HEAD, _GAP = 0.12, 0.75, 0.3, 0.22, 0.32, 0.32, 0.07
_LEGEND_INCHES = 0.28
_CLOSE_UP_MM = 70.0
_CLOSE_UP_SHARE = 0.46  # of the panel's width
_RED = np.array(LESION.colour) / 255
_OPACITY = 0.55

Captions = dict[str, str]


def write_denoising_figure(
    path: Path, cases: Sequence[tuple[RankedCase, CoronalSections, Captions]], titles: dict[str, str]
) -> None:
    """Write a PNG: a row a case, a column a method, SUV 0 to 7, the largest lesion enlarged in the corner.

    `titles` names the methods in the order of the columns; the captions of a case go below its images.
    """
    figure, panels = _grid([(case, sections) for case, sections, _ in cases], list(titles.values()))
    drawn = None
    for row, (_, sections, captions) in zip(panels, cases, strict=True):
        for axes, method in zip(row, titles, strict=True):
            image = sections.images.get(method)
            if image is None:
                axes.set_axis_off()
                continue
            drawn = show_suv(axes, sections, image)
            if sections.focus is not None:
                _close_up(axes, sections, image)
            axes.set_xlabel(captions.get(method, ""), fontsize=8, labelpad=2)
        mark_orientation(row[0], sections)
    _finish(figure, path, drawn)


def write_organ_figure(
    path: Path,
    cases: Sequence[tuple[RankedCase, dict[str, np.ndarray], CoronalSections, Captions]],
    titles: dict[str, str],
) -> None:
    """Write a PNG: a row a case, a column a method's organs in colour on the high-count image.

    Each case brings the organ labels by method; `titles` names the methods in the order of the columns.
    """
    shown = [(case, sections) for case, _, sections, _ in cases]
    figure, panels = _grid(shown, list(titles.values()), below=_BELOW + _LEGEND_INCHES)
    drawn = None
    for row, (_, organs, sections, captions) in zip(panels, cases, strict=True):
        for axes, method in zip(row, titles, strict=True):
            if method not in organs:
                axes.set_axis_off()
                continue
            drawn = show_suv(axes, sections, sections.organ_image)
            _paint(axes, sections, organs[method])
            axes.set_xlabel(captions.get(method, ""), fontsize=8, labelpad=2)
        mark_orientation(row[0], sections)
    _legend(figure)
    _finish(figure, path, drawn)


def _grid(
    cases: Sequence[tuple[RankedCase, CoronalSections]], titles: Sequence[str], *, below: float = _BELOW
) -> tuple[Figure, list[list[Axes]]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = [(_ROW_INCHES, _ROW_INCHES * each.size_mm[1] / each.size_mm[0]) for _, each in cases]
    widest = max(across for _, across in sizes)
    width = _LEFT + len(titles) * widest + (len(titles) - 1) * _GAP + _RIGHT
    height = _HEAD + sum(_ABOVE + up + _NOTE for up, _ in sizes) + below
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for column, title in enumerate(titles):
        centre = (_LEFT + column * (widest + _GAP) + widest / 2) / width
        figure.text(centre, (height - 0.08) / height, title, fontsize=10.5, ha="center", va="top")
    panels, top = [], height - _HEAD
    for (case, _), (up, across) in zip(cases, sizes, strict=True):
        figure.text(_LEFT / width, (top - 0.06) / height, case.title, fontsize=9.5, weight="bold", va="top")
        top -= _ABOVE + up
        row = []
        for column in range(len(titles)):
            x = _LEFT + column * (widest + _GAP) + (widest - across) / 2
            row.append(figure.add_axes((x / width, top / height, across / width, up / height)))
        panels.append(row)
        top -= _NOTE
    return figure, panels


def _close_up(axes: Axes, sections: CoronalSections, image: np.ndarray) -> None:
    """The largest lesion, enlarged, with its true outline; and a frame where it lies."""
    height_mm, width_mm = sections.size_mm
    up, across = ((place + 0.5) * size for place, size in zip(sections.focus, sections.spacing, strict=True))
    low, left = up - _CLOSE_UP_MM / 2, across - _CLOSE_UP_MM / 2
    share_up = _CLOSE_UP_SHARE * width_mm / height_mm
    inset = axes.inset_axes((1.0 - _CLOSE_UP_SHARE, 0.0, _CLOSE_UP_SHARE, share_up))
    show_suv(inset, sections, image)
    outline(inset, sections, sections.true_lesions > 0, _RED, 0.8)
    inset.set_xlim(left, left + _CLOSE_UP_MM)
    inset.set_ylim(low, low + _CLOSE_UP_MM)
    inset.set_xticks([])
    inset.set_yticks([])
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((left, low), _CLOSE_UP_MM, _CLOSE_UP_MM, fill=False, edgecolor=_RED, linewidth=0.6)
    )
    for spine in inset.spines.values():
        spine.set_color(_RED)


def _paint(axes: Axes, sections: CoronalSections, organs: np.ndarray) -> None:
    height_mm, width_mm = sections.size_mm
    picture = np.zeros((*organs.shape, 4))
    for organ in ORGANS:
        picture[organs == organ.label] = (*(np.array(organ.colour) / 255), _OPACITY)
    axes.imshow(
        picture,
        origin="lower",
        extent=(0, width_mm, 0, height_mm),
        interpolation="nearest",
        aspect="equal",
    )


def _legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=np.array(organ.colour) / 255, label=organ.name) for organ in ORGANS]
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, _BELOW / figure.get_figheight()),
        ncol=len(handles),
        frameon=False,
        fontsize=8.5,
        handlelength=1.0,
        handleheight=1.0,
        handletextpad=0.4,
        columnspacing=0.9,
        borderaxespad=0.1,
    )


def _finish(figure: Figure, path: Path, drawn: object) -> None:
    width, height = figure.get_size_inches()
    if drawn is not None:
        place = ((width - _RIGHT + 0.16) / width, 0.5 - 0.9 / height, 0.12 / width, 1.8 / height)
        bar = figure.add_axes(place)
        figure.colorbar(drawn, cax=bar, extend="max", ticks=range(int(SUV_WINDOW[1]) + 1))
        bar.set_ylabel("SUVbw (g/mL)", fontsize=8)
        bar.tick_params(labelsize=7.5)
    figure.text(_LEFT / width, 0.07 / height, DISCLAIMER, fontsize=8, color="0.35", va="bottom")
    figure.savefig(path, dpi=_DPI, facecolor="white", pil_kwargs={"optimize": True})
