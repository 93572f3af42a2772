"""FDG-avid lesions at the sites and of the sizes of Table 1 of the AMDiff paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import Ellipsoid, Point, Solid, rotation
from AMDiffLib.simulation.tissue import WATER_ATTENUATION


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where lesions grow: their share of all, the median and largest volume in mL, the SUV around them."""

    share: float
    median_ml: float
    largest_ml: float
    background: float
    nodes: bool = False


SITES = {
    "liver": Site(share=0.14, median_ml=1.5, largest_ml=700, background=2.4),
    "lung": Site(share=0.14, median_ml=0.8, largest_ml=500, background=0.6),
    "pleura": Site(share=0.03, median_ml=1.0, largest_ml=300, background=0.8),
    "bone": Site(share=0.17, median_ml=1.0, largest_ml=200, background=1.4),
    "mediastinal node": Site(share=0.09, median_ml=0.7, largest_ml=250, background=1.3, nodes=True),
    "hilar node": Site(share=0.04, median_ml=0.8, largest_ml=100, background=1.2, nodes=True),
    "para-aortic node": Site(share=0.08, median_ml=0.7, largest_ml=400, background=1.0, nodes=True),
    "iliac node": Site(share=0.05, median_ml=0.6, largest_ml=150, background=1.0, nodes=True),
    "inguinal node": Site(share=0.04, median_ml=0.6, largest_ml=100, background=0.8, nodes=True),
    "cervical node": Site(share=0.07, median_ml=0.45, largest_ml=80, background=0.9, nodes=True),
    "axillary node": Site(share=0.05, median_ml=0.5, largest_ml=80, background=0.7, nodes=True),
    "peritoneum": Site(share=0.04, median_ml=1.5, largest_ml=1500, background=1.2),
    "bowel": Site(share=0.03, median_ml=3.0, largest_ml=400, background=1.8),
    "pancreas": Site(share=0.015, median_ml=4.0, largest_ml=120, background=1.6),
    "thyroid": Site(share=0.01, median_ml=0.6, largest_ml=60, background=1.3),
    "breast": Site(share=0.015, median_ml=1.2, largest_ml=200, background=0.6),
    "soft tissue": Site(share=0.03, median_ml=4.0, largest_ml=2500, background=0.7),
    "skin": Site(share=0.01, median_ml=0.15, largest_ml=10, background=0.6),
}
# Spread of the logarithm of the volume. The pooled means and SDs of Table 1 (7.95 +- 74, 12.95 +- 39.7,
# 6.34 +- 17.3, 0.69 +- 0.78 mL) are those of log-normals with 0.9 to 2.1.
_SPREAD = 1.9
_SMALLEST_ML = 0.01
_RAGGED = 0.13


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One lesion, a ragged ellipsoid, in mm; `core` is a necrotic centre's share of the radius."""

    site: str
    centre: Point
    volume_ml: float
    suv_max: float
    stretch: Point
    turn: np.ndarray
    core: float
    core_uptake: float
    seed: int

    @property
    def radius_mm(self) -> float:
        """Radius of the ball of the same volume."""
        return float((3 * self.volume_ml * 1000 / (4 * np.pi)) ** (1 / 3))


def draw_lesions(
    places: Mapping[str, np.ndarray], rng: np.random.Generator, *, healthy_share: float
) -> list[Lesion]:
    """Draw one person's lesions: none, one, a few, many or dissemination; nodes gather in chains.

    Args:
        places: candidate centres (N, 3), x, y, z in mm, by names of `SITES`; sites without any are left out.
        rng: all randomness.
        healthy_share: probability of no lesion at all.
    """
    names = [name for name in SITES if len(places.get(name, ()))]
    if rng.random() < healthy_share or not names:
        return []
    count = int(
        rng.choice(
            (1, rng.integers(2, 7), rng.integers(7, 19), rng.integers(19, 46)), p=(0.28, 0.42, 0.25, 0.05)
        )
    )
    # A person's disease keeps to few sites.
    weights = np.array([SITES[name].share for name in names]) * rng.gamma(0.5, 1.0, len(names))
    weights /= weights.sum()
    person_suv = float(np.exp(rng.normal(np.log(7.5), 0.42)))
    # Many metastases are small ones, a single lesion is often a mass.
    scale = float(np.exp(rng.normal(0.0, 0.7))) * (2.0 if count == 1 else 1.2 if count < 7 else 0.8)
    lesions: list[Lesion] = []
    for _ in range(count):
        name = names[rng.choice(len(names), p=weights)]
        lesion = _draw_lesion(name, scale, person_suv, rng)
        centre = _free_place(places[name], lesion, lesions, rng)
        if centre is not None:
            lesions.append(Lesion(**{**vars(lesion), "centre": centre}))
    return lesions


def _draw_lesion(name: str, scale: float, person_suv: float, rng: np.random.Generator) -> Lesion:
    site = SITES[name]
    volume = scale * site.median_ml * float(np.exp(rng.normal(0.0, np.sqrt(_SPREAD**2 - 0.7**2))))
    volume = float(np.clip(volume, _SMALLEST_ML, site.largest_ml))
    suv_max = person_suv * float(np.exp(rng.normal(0.0, 0.42)))
    if rng.random() < 0.12:
        # Faint ones barely rise above what surrounds them.
        suv_max = site.background * rng.uniform(1.4, 2.2)
    stretch = np.exp(rng.normal(0, 0.2, 3))
    stretch /= stretch.prod() ** (1 / 3)
    necrotic = volume > 8 and rng.random() < min(0.25 + 0.1 * np.log10(volume), 0.6)
    turns = rng.uniform(0, 180, 3)
    return Lesion(
        site=name,
        centre=(0.0, 0.0, 0.0),
        volume_ml=volume,
        suv_max=float(np.clip(max(suv_max, 1.35 * site.background), 2.0, 30.0)),
        stretch=tuple(float(s) for s in stretch),
        turn=rotation(about_x=turns[0], about_y=turns[1], about_z=turns[2]),
        core=float(rng.uniform(0.45, 0.78)) if necrotic else 0.0,
        core_uptake=float(rng.uniform(0.08, 0.4)),
        seed=int(rng.integers(2**62)),
    )


def _free_place(
    places: np.ndarray, lesion: Lesion, others: Sequence[Lesion], rng: np.random.Generator
) -> Point | None:
    """Return a centre at which the lesion stays apart from the others, or None after twenty tries."""
    kin = [other for other in others if other.site == lesion.site]
    for attempt in range(20):
        candidates = places
        if kin and SITES[lesion.site].nodes and attempt < 10 and rng.random() < 0.7:
            # The next nodes of the chain.
            away = np.linalg.norm(places - np.array(kin[rng.integers(len(kin))].centre), axis=1)
            candidates = places[np.argsort(away)[: max(len(places) // 8, 1)]]
        centre = candidates[rng.integers(len(candidates))]
        apart = all(
            np.linalg.norm(centre - np.array(other.centre)) > lesion.radius_mm + other.radius_mm + 3
            for other in others
        )
        if apart:
            return tuple(float(c) for c in centre)
    return None


def paint_lesions(canvas: Canvas, lesions: Sequence[Lesion]) -> None:
    """Paint lesions and number them 1..n in `canvas.lesions`; n is at most 255."""
    number = 0
    for lesion in lesions:
        number += _paint_lesion(canvas, lesion, number + 1)


def _paint_lesion(canvas: Canvas, lesion: Lesion, number: int) -> int:
    """Paint one lesion and return 1, or 0 where it lies outside what is painted."""
    radius = lesion.radius_mm
    # A border that wanders by 13 % of the radius (SD) adds 3 * 0.13^2 to the volume.
    axes = np.array(lesion.stretch) * radius / (1 + 3 * _RAGGED**2) ** (1 / 3)
    body = Ellipsoid(lesion.centre, tuple(axes), lesion.turn)
    reach = 1.5 * max(axes) + 2
    box = tuple(tuple(c + sign * reach for c in lesion.centre) for sign in (-1, 1))
    rng = np.random.default_rng(lesion.seed)
    ragged = smooth_field(box, max(1.3 * radius, 1.0), rng, device=canvas.device)
    patches = smooth_field(box, max(0.8 * radius, 9.0), rng, device=canvas.device)
    shift = rng.normal(0, 0.12, 3) * radius
    core = Ellipsoid(tuple(lesion.centre + shift), tuple(max(lesion.core, 0.01) * axes), lesion.turn)

    def border(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return body.depth(x, y, z) + _RAGGED * radius * ragged.at(x, y, z)

    solid = Solid(box, border)
    window = canvas.window(solid)
    if window is None:
        return 0
    fullest, where, labelled = 0.0, None, False
    detail = float(np.clip(0.4 * radius, 0.5, 4.0))
    for piece in canvas.pieces(window, fine=canvas.fineness(detail)):
        share = canvas.fill(solid, piece, detail_mm=detail)
        share *= canvas.attenuation[piece] > 0.015
        uptake = lesion.suv_max * (0.84 + 0.13 * patches.at(*canvas.points(piece))).clamp(0.45, 1.0)
        if lesion.core:
            uptake = uptake * (1 - (1 - lesion.core_uptake) * canvas.fill(core, piece))
        attenuation = canvas.attenuation[piece].clamp_min(WATER_ATTENUATION)
        canvas.lay(piece, share, uptake, attenuation=attenuation)
        free = torch.where(canvas.lesions[piece] == 0, share, 0.0)
        inside = free >= 0.5
        labelled |= bool(inside.any())
        canvas.lesions[piece].masked_fill_(inside, number)
        if float(free.max()) > fullest:
            fullest = float(free.max())
            index = np.unravel_index(int(free.argmax()), free.shape)
            where = tuple(s.start + int(i) for s, i in zip(piece, index, strict=True))
    if not labelled and where is not None:
        # A lesion smaller than a voxel still owns the voxel that it fills most.
        canvas.lesions[where] = number
        labelled = True
    return int(labelled)
