"""FDG-avid lesions at the sites of Table 1 of the AMDiff paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Ellipsoid, Point, rotation, shrunk
from AMDiffLib.simulation.tissue import WATER_ATTENUATION


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where lesions grow: how often, and their median volume in mL."""

    share: float
    median_ml: float


SITES = {
    "liver": Site(share=0.16, median_ml=2.5),
    "lung": Site(share=0.17, median_ml=1.5),
    "bone": Site(share=0.20, median_ml=1.5),
    "mediastinal node": Site(share=0.12, median_ml=1.2),
    "abdominal node": Site(share=0.12, median_ml=1.2),
    "cervical or axillary node": Site(share=0.08, median_ml=0.8),
    "peritoneum or bowel": Site(share=0.07, median_ml=2.5),
    "soft tissue": Site(share=0.08, median_ml=6.0),
}
_SPREAD_OF_LOG_VOLUME = 1.6
_SMALLEST_ML, _LARGEST_ML = 0.01, 2500.0


def paint_lesions(
    canvas: Canvas, places: Mapping[str, np.ndarray], rng: np.random.Generator, *, healthy_share: float
) -> None:
    """Paint 0 to 15 lesions, numbered 1..n in `canvas.lesions`; SUV 2-30, some necrotic, some faint."""
    if rng.random() < healthy_share:
        return
    count = int(np.clip(rng.geometric(0.22), 1, 15))
    names = [name for name in SITES if len(places.get(name, ()))]
    shares = np.array([SITES[name].share for name in names])
    number = 0
    for _ in range(count):
        name = names[rng.choice(len(names), p=shares / shares.sum())]
        centre = tuple(float(c) for c in places[name][rng.integers(len(places[name]))])
        volume = rng.lognormal(np.log(SITES[name].median_ml), _SPREAD_OF_LOG_VOLUME)
        number += _paint_lesion(
            canvas, centre, float(np.clip(volume, _SMALLEST_ML, _LARGEST_ML)), number + 1, rng
        )


def _paint_lesion(
    canvas: Canvas, centre: Point, volume_ml: float, number: int, rng: np.random.Generator
) -> int:
    """Paint one lesion and return 1, or 0 where it would lie outside the body."""
    radius = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
    stretch = np.exp(rng.normal(0, 0.18, 3))
    stretch /= stretch.prod() ** (1 / 3)
    turn = rotation(about_x=rng.uniform(0, 180), about_y=rng.uniform(0, 180), about_z=rng.uniform(0, 180))
    lesion = Ellipsoid(centre, tuple(radius * stretch), turn)
    suv = float(np.clip(rng.lognormal(np.log(8.0), 0.6), 2, 30))
    core = shrunk(lesion, radius * rng.uniform(0.35, 0.55)) if radius > 16 and rng.random() < 0.35 else None
    window = canvas.window(lesion)
    if window is None:
        return 0
    fullest, where = 0.0, None
    labelled = False
    for piece in canvas.pieces(window):
        share = canvas.fill(lesion, piece, fine=max(1, int(np.ceil(6 / radius))))
        share = share * (canvas.attenuation[piece] > 0.02)
        value = suv if core is None else suv * (1 - 0.75 * canvas.fill(core, piece))
        canvas.suv[piece] += share * (value - canvas.suv[piece])
        soft = canvas.attenuation[piece].clamp_min(WATER_ATTENUATION)
        canvas.attenuation[piece] += share * (soft - canvas.attenuation[piece])
        inside = (share >= 0.5) & (canvas.lesions[piece] == 0)
        labelled |= bool(inside.any())
        canvas.lesions[piece].masked_fill_(inside, number)
        if float(share.max()) > fullest:
            fullest = float(share.max())
            index = np.unravel_index(int(share.argmax()), share.shape)
            where = tuple(s.start + int(i) for s, i in zip(piece, index, strict=True))
    if not labelled and where is not None:
        # A lesion smaller than a voxel still owns the voxel that it fills most.
        canvas.lesions[where] = number
        labelled = True
    return int(labelled)
