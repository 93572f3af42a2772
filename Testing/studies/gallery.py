"""A gallery of simulated patients: coronal maximum projections of truth and scans at three count levels.

Inverted grey, SUV 0 to 7, as PET is read. With --real, a second picture sets a real scan beside them; that
one holds a person's data and is not for publishing.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from study_output import study_parser

from AMDiffLib.image.reading import read_pet
from AMDiffLib.simulation.acquisition import acquire
from AMDiffLib.simulation.phantom import Phantom, make_phantom
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS, Scanner

_LEVELS = (100.0, 20.0, 5.0)
_ROWS = ("truth", *(f"{level:g} % counts" for level in _LEVELS))
_WINDOW_SUV = (0.0, 7.0)
_HALF_WIDTH_MM, _HEIGHT_MM = 270.0, 1250.0


@dataclass(frozen=True, kw_only=True)
class Column:
    """One patient: projections (feet first) by row title, pixel size (height, width) in mm, and a caption."""

    projections: dict[str, np.ndarray]
    pixel_mm: tuple[float, float]
    caption: str


def main(arguments: list[str] | None = None) -> int:
    """Draw the gallery; return the exit code."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--preset", default="mct", choices=sorted(SCANNERS))
    parser.add_argument("--voxel-mm", type=float, default=4.0, help="reconstructed voxels (default 4)")
    parser.add_argument("--patients", type=int, default=6, help="default 6")
    parser.add_argument("--real", type=Path, help="a real PET series, for a second picture beside these")
    options = parser.parse_args(arguments)

    scanner, columns = SCANNERS[options.preset], []
    for index in range(options.patients):
        columns.append(_patient(scanner, [options.seed, index], options))
        print(f"patient {index + 1} of {options.patients}", file=sys.stderr)
    options.output.mkdir(parents=True, exist_ok=True)
    _draw(options.output / "gallery.png", columns)
    if options.real:
        _draw(options.output / "gallery_with_real.png", [*columns, _real_column(options.real)])
    return 0


def _patient(scanner: Scanner, seed: list[int], options) -> Column:
    fine = make_phantom(seed, spacing_mm=(options.voxel_mm / 2,) * 3, device=options.device)
    measurement = acquire(fine, scanner, levels_percent=_LEVELS, seed=seed)
    phantom = fine.coarsened()
    images = osem(measurement, scanner.reconstruction_on(phantom.spacing_mm))
    volumes: list[torch.Tensor] = [phantom.suv, *(images[level] for level in _LEVELS)]
    projections = [volume.amax(dim=1).cpu().numpy() for volume in volumes]
    return Column(
        projections=dict(zip(_ROWS, projections, strict=True)),
        pixel_mm=(phantom.spacing_mm[0], phantom.spacing_mm[2]),
        caption=_caption(phantom),
    )


def _caption(phantom: Phantom) -> str:
    index = phantom.weight_kg / (phantom.height_cm / 100) ** 2
    lesions = int(phantom.lesions.max())
    sex = "woman" if phantom.female else "man"
    return f"{sex}, BMI {index:.0f}\n{lesions} lesion{'' if lesions == 1 else 's'}"


def _real_column(folder: Path) -> Column:
    volume = read_pet(folder)
    x, _, z = volume.spacing
    return Column(projections={_ROWS[1]: volume.suv.max(axis=1)}, pixel_mm=(z, x), caption="real scan")


def _draw(path: Path, columns: list[Column]) -> None:
    """Draw a column per patient and a row per image, all to one scale, feet at the bottom."""
    width, height = 2 * _HALF_WIDTH_MM, max(_shown_height(column) for column in columns)
    panel = 1.35
    figure, axes = plt.subplots(
        len(_ROWS), len(columns), squeeze=False,
        figsize=(panel * len(columns) + 0.25, panel * height / width * len(_ROWS) + 0.4),
        gridspec_kw={"wspace": 0.01, "hspace": 0.01, "left": 0.03, "right": 1.0, "bottom": 0.0, "top": 0.965},
    )  # fmt: skip
    for k, column in enumerate(columns):
        axes[0, k].set_title(column.caption, fontsize=7)
        for row, name in enumerate(_ROWS):
            panel_axes = axes[row, k]
            panel_axes.set(xticks=[], yticks=[], xlim=(-width / 2, width / 2), ylim=(0, height))
            for spine in panel_axes.spines.values():
                spine.set_visible(False)
            if k == 0:
                panel_axes.set_ylabel(name, fontsize=8)
            if name in column.projections:
                _show(panel_axes, column.projections[name], column.pixel_mm)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110, format="png")
    plt.close(figure)
    # All is grey: one channel holds it in half the space.
    Image.open(drawn).convert("L").save(path, optimize=True)


def _shown_height(column: Column) -> float:
    image = next(iter(column.projections.values()))
    return min(image.shape[0] * column.pixel_mm[0], _HEIGHT_MM)


def _show(axes: plt.Axes, image: np.ndarray, pixel_mm: tuple[float, float]) -> None:
    depth, width = image.shape[0] * pixel_mm[0], image.shape[1] * pixel_mm[1]
    axes.imshow(
        image, cmap="gray_r", vmin=_WINDOW_SUV[0], vmax=_WINDOW_SUV[1], origin="lower",
        extent=(-width / 2, width / 2, 0, depth), interpolation="bilinear",
    )  # fmt: skip
    axes.set(xlim=(-_HALF_WIDTH_MM, _HALF_WIDTH_MM), ylim=(0, axes.get_ylim()[1]))


if __name__ == "__main__":
    sys.exit(main())
