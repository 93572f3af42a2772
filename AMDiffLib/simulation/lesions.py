"""FDG-avid lesions at the sites of Table 1 of the AMDiff paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Solid, rotation, shrunk
from AMDiffLib.simulation.tissue import AORTA, BONE, LIVER, LUNG, MUSCLE, WATER_ATTENUATION


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where lesions grow: how often, and their median volume in mL."""

    name: str
    share: float
    median_ml: float


SITES = (
    Site(name="liver", share=0.16, median_ml=2.5),
    Site(name="lung", share=0.17, median_ml=1.5),
    Site(name="bone", share=0.20, median_ml=1.5),
    Site(name="mediastinal node", share=0.12, median_ml=1.2),
    Site(name="abdominal node", share=0.12, median_ml=1.2),
    Site(name="cervical or axillary node", share=0.08, median_ml=0.8),
    Site(name="peritoneum or bowel", share=0.07, median_ml=2.5),
    Site(name="soft tissue", share=0.08, median_ml=6.0),
)
_SPREAD_OF_LOG_VOLUME = 1.25
_SMALLEST_ML, _LARGEST_ML = 0.12, 400.0


def paint_lesions(
    canvas: Canvas, person: Person, rng: np.random.Generator, *, healthy_share: float = 0.12
) -> None:
    """Paint 0 to 15 lesions, numbered 1..n in `canvas.lesions`; SUV 2-30, some necrotic, some faint."""
    if rng.random() < healthy_share:
        return
    count = int(np.clip(rng.geometric(0.22), 1, 15))
    shares = np.array([site.share for site in SITES])
    number = 0
    for _ in range(count):
        site = SITES[rng.choice(len(SITES), p=shares / shares.sum())]
        centre = _centre(canvas, person, site.name, rng)
        if centre is None:
            continue
        volume = float(
            np.clip(rng.lognormal(np.log(site.median_ml), _SPREAD_OF_LOG_VOLUME), _SMALLEST_ML, _LARGEST_ML)
        )
        number += _paint_lesion(canvas, centre, volume, number + 1, rng)


def _centre(
    canvas: Canvas, person: Person, site: str, rng: np.random.Generator
) -> tuple[float, float, float] | None:
    x, y, z = canvas.coordinates
    spine_side = np.abs(x) < 60
    chest = (z > person.level(0.74)) & (z < person.level(0.815))
    abdomen = (z > person.level(0.53)) & (z < person.level(0.70))
    unlabelled = (canvas.organs == 0) & (canvas.attenuation > 0.08)
    candidates = {
        "liver": lambda: canvas.organs == LIVER,
        "lung": lambda: canvas.organs == LUNG,
        "bone": lambda: (canvas.organs == BONE) & (z < person.level(0.89)),
        "mediastinal node": lambda: unlabelled & chest & spine_side & (canvas.suv < 3),
        "abdominal node": lambda: unlabelled & abdomen & spine_side & (y > -20) & (canvas.suv < 3),
        "cervical or axillary node": lambda: (
            ((canvas.organs == MUSCLE) | unlabelled)
            & (
                ((z > person.level(0.835)) & (z < person.level(0.88)))
                | ((z > person.level(0.775)) & (z < person.level(0.81)) & (np.abs(x) > 110))
            )
            & (canvas.suv < 2)
        ),
        "peritoneum or bowel": lambda: unlabelled & abdomen & (y < 10) & (canvas.suv < 4),
        "soft tissue": lambda: (canvas.organs == MUSCLE) & (z < person.level(0.82)),
    }[site]()
    places = np.flatnonzero(candidates & (canvas.organs != AORTA))
    if places.size == 0:
        return None
    index = np.unravel_index(int(places[rng.integers(places.size)]), canvas.shape)
    return tuple(float(c[index]) for c in canvas.coordinates)


def _paint_lesion(
    canvas: Canvas,
    centre: tuple[float, float, float],
    volume_ml: float,
    number: int,
    rng: np.random.Generator,
) -> int:
    """Paint one lesion and return 1, or 0 where it would lie outside the body."""
    radius = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
    stretch = np.exp(rng.normal(0, 0.18, 3))
    stretch /= stretch.prod() ** (1 / 3)
    turn = rotation(about_x=rng.uniform(0, 180), about_y=rng.uniform(0, 180), about_z=rng.uniform(0, 180))
    round_lesion = Ellipsoid(centre, tuple(radius * stretch), turn)
    window = canvas.window(round_lesion)
    if window is None:
        return 0
    x, y, z = (c[window] for c in canvas.coordinates)
    ragged = smooth_field(x.shape, canvas.voxel_mm, max(1.2 * radius, 8.0), rng) * np.float32(0.16 * radius)
    lesion = Solid(round_lesion.bounds(), lambda *_: round_lesion.depth(x, y, z) + ragged)

    in_body = canvas.attenuation[window] > 0.02
    share = canvas.fraction(lesion, window) * in_body
    if share.max() < 0.3:
        return 0
    background = float((share * canvas.suv[window]).sum() / share.sum())
    suv = float(np.clip(max(rng.lognormal(np.log(6.0), 0.6), 1.7 * background + 0.4), 1.5, 30))
    value = np.full(share.shape, suv, np.float32)
    if radius > 16 and rng.random() < 0.35:
        core = canvas.fraction(_necrotic_core(round_lesion, radius, rng), window)
        value -= core * np.float32(0.75 * suv)
    texture = 1 + 0.12 * smooth_field(share.shape, canvas.voxel_mm, max(radius, 10.0), rng)
    canvas.suv[window] += share * (value * np.clip(texture, 0.5, 1.6) - canvas.suv[window])
    soft = np.maximum(canvas.attenuation[window], np.float32(WATER_ATTENUATION))
    canvas.attenuation[window] += share * (soft - canvas.attenuation[window])
    # A lesion smaller than a voxel still owns the voxel that it fills most.
    canvas.lesions[window][share >= min(0.5, share.max())] = number
    return 1


def _necrotic_core(lesion: Ellipsoid, radius: float, rng: np.random.Generator) -> Shape:
    return shrunk(lesion, radius * rng.uniform(0.35, 0.55))
