"""A one-page PDF report: what was seen, what was measured, with what, and that it is not for diagnosis."""

from __future__ import annotations

import textwrap
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.export.page_tables import draw_lesions, draw_organs
from AMDiffLib.export.result_set import ResultSet, is_rejected
from AMDiffLib.export.segments import Origin
from AMDiffLib.export.software import MODEL_NAME, NOT_FOR_DIAGNOSIS
from AMDiffLib.export.trust import count_check_sentence, interval_sentence
from AMDiffLib.image.overview import mark_orientation, number_lesions, outline, show_suv
from AMDiffLib.image.projection import project_coronal
from AMDiffLib.labels import LESION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from AMDiffLib.image.projection import CoronalScene

_WIDTH, _HEIGHT = 8.27, 11.69  # A4, inches
_MARGIN = 0.6
_PICTURE_TOP, _PICTURE_HEIGHT = 10.12, 4.35
_MOST_WARNINGS = 3


def write_page(path: Path, results: ResultSet, *, now: datetime, identity: tuple[str, ...] = ()) -> None:
    """Write the report as PDF, A4, one page; the arguments are those of `draw_page`."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    # Text stays text: it can be searched, and read aloud by a screen reader.
    with rc_context({"pdf.fonttype": 42}):
        figure = draw_page(results, now=now, identity=identity)
        FigureCanvasPdf(figure)
        figure.savefig(
            path,
            format="pdf",
            metadata={
                "Title": f"AMDiff report. {NOT_FOR_DIAGNOSIS}",
                "Creator": f"{MODEL_NAME} {results.software.version}",
                "CreationDate": now,
            },
        )


def draw_page(results: ResultSet, *, now: datetime, identity: tuple[str, ...] = ()) -> Figure:
    """Draw the report.

    Coronal projections of the low-count and the denoised volume (inverted grey, SUVbw 0 to 7) with the
    lesions outlined, the table of lesions, the totals, the organs, facts of the scan, model and version.
    Nothing identifies the patient unless `identity` does: lines for the head of the page.
    """
    from matplotlib.figure import Figure

    scene = project_coronal(
        {"low": results.volume.suv, "denoised": results.denoised, "truth": None},
        {"lesions": results.lesion_numbers(), "truth_lesions": None},
        results.organ_labels(),
        results.volume.spacing,
        results.volume.direction,
    )
    figure = Figure(figsize=(_WIDTH, _HEIGHT))
    _head(figure, results, identity)
    _pictures(figure, scene)
    bottom = draw_lesions(figure, results, left=_MARGIN, top=_PICTURE_TOP - _PICTURE_HEIGHT - 0.35)
    draw_organs(figure, results, left=_MARGIN, top=bottom - 0.22)
    _foot(figure, results, now)
    return figure


def _text(figure: Figure, x: float, y: float, text: str, **style: object) -> None:
    """Write at inches from the page's lower left corner."""
    figure.text(x / _WIDTH, y / _HEIGHT, text, **style)


def _head(figure: Figure, results: ResultSet, identity: tuple[str, ...]) -> None:
    _text(
        figure,
        _MARGIN,
        11.2,
        "FDG PET: denoised, lesions measured",
        fontsize=13.5,
        weight="bold",
        va="center",
    )
    _text(
        figure, _WIDTH - _MARGIN, 11.2, NOT_FOR_DIAGNOSIS, fontsize=9, weight="bold", va="center", ha="right",
        bbox={"boxstyle": "round,pad=0.4", "facecolor": "#fff3cd", "edgecolor": "#8a6d00"},
    )  # fmt: skip
    if identity:
        _text(figure, _MARGIN, 10.93, "   ".join(identity), fontsize=9.5, va="center")
    for index, line in enumerate(_scan_facts(results)):
        _text(figure, _MARGIN, 10.70 - 0.17 * index, line, fontsize=8, color="0.25", va="center")


def _scan_facts(results: ResultSet) -> list[str]:
    """What the header says of the scan, without the patient."""
    source = results.volume.source
    scanner = " ".join(str(source[key]) for key in ("manufacturer", "model") if source.get(key))
    dose, uptake = source.get("injected_dose_bq"), source.get("uptake_minutes")
    voxel = " x ".join(f"{size:.2f}" for size in results.volume.spacing)
    first = [
        scanner,
        str(source.get("tracer") or source.get("radionuclide") or ""),
        f"{dose / 1e6:.0f} MBq injected" if dose else "",
        f"{uptake:.0f} min uptake" if uptake else "",
    ]
    second = [
        f"voxels {voxel} mm",
        f"{len(results.volume.suv)} slices",
        f"SUVbw from the DICOM headers ({source['units']})"
        if source.get("format") == "DICOM"
        else "SUVbw as given",
    ]
    return ["   |   ".join(part for part in parts if part) for parts in (first, second)]


def _pictures(figure: Figure, scene: CoronalScene) -> None:
    height_mm, width_mm = scene.size_mm
    room = (_WIDTH - 2 * _MARGIN - 1.0) / 2
    inches_per_mm = min(_PICTURE_HEIGHT / height_mm, room / width_mm)
    width, height = width_mm * inches_per_mm, height_mm * inches_per_mm
    gap = 0.25
    left = (_WIDTH - 0.5 - 2 * width - gap) / 2
    bottom = _PICTURE_TOP - (_PICTURE_HEIGHT + height) / 2
    titles = ("Low-count input", "Denoised (AI, synthetic)")
    for index, (title, image) in enumerate(zip(titles, (scene.low, scene.denoised), strict=True)):
        place = (left + index * (width + gap), bottom, width, height)
        axes = figure.add_axes(_relative(place))
        drawn = show_suv(axes, scene, image)
        axes.set_title(title, fontsize=9.5, pad=4)
        if image is scene.denoised:
            outline(axes, scene, scene.lesions > 0, np.array(LESION.colour) / 255, 0.9)
            number_lesions(axes, scene)
        else:
            mark_orientation(axes, scene)
    bar = figure.add_axes(
        _relative((left + 2 * width + gap + 0.12, bottom + 0.3 * height, 0.1, 0.4 * height))
    )
    figure.colorbar(drawn, cax=bar, extend="max")
    bar.set_ylabel("SUVbw (g/mL)", fontsize=7.5)
    bar.tick_params(labelsize=7)


def _foot(figure: Figure, results: ResultSet, now: datetime) -> None:
    software = results.software
    rejected = [
        f"{row['name']} ({row['rejected_as']})" if row.get("rejected_as") else row["name"]
        for row in results.measurements["lesions"]
        if is_rejected(row)
    ]
    lines = [
        "SUV, MTV and TLG are measured on the denoised volume, which neural networks computed: it is not a "
        "measurement of the patient.",
        f"{software.algorithm_name}, version {software.version}, weights {software.checksum[:16]}.   "
        f"Written {now:%Y-%m-%d %H:%M}.   {NOT_FOR_DIAGNOSIS}.",
    ]
    if sentence := interval_sentence(results.report):
        lines.insert(0, sentence)
    unsupported = [sentence for row in results.lesions if (sentence := count_check_sentence(row))]
    if unsupported:
        more = f" and {len(unsupported) - 3} more" if len(unsupported) > 3 else ""
        lines.insert(0, f"⚠ {'; '.join(unsupported[:3])}{more}.")
    edited = [segment.name for segment in results.segments if segment.origin is not Origin.AUTOMATIC]
    for names, what in (
        (edited, "Drawn or changed by a reader"),
        (rejected, "Rejected by a reader, left out"),
    ):
        if names:
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            lines.insert(0, f"{what}: {', '.join(names[:6])}{more}.")
    lines += [f"Note: {warning}" for warning in list(results.report.get("warnings") or [])[:_MOST_WARNINGS]]
    wrapped = [part for line in lines for part in textwrap.wrap(line, 135)]
    for index, line in enumerate(reversed(wrapped)):
        _text(figure, _MARGIN, 0.40 + 0.15 * index, line, fontsize=6.8, color="0.25", va="center")


def _relative(place: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x, y, width, height = place
    return x / _WIDTH, y / _HEIGHT, width / _WIDTH, height / _HEIGHT
