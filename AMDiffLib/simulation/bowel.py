"""Small bowel and colon with their uneven physiological uptake."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Point, Shape, Solid, Tube, shallowest
from AMDiffLib.simulation.tissue import WATER_ATTENUATION


def paint_bowel(canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator) -> None:
    """Paint small bowel loops, then the colon that frames them."""
    _paint_small_bowel(canvas, person, uptake["small bowel"], rng)
    _paint_colon(canvas, person, uptake["colon"], rng)


def _within(person: Person, tube: Tube, inset: float) -> Shape:
    return Solid(
        tube.bounds(),
        lambda x, y, z: shallowest(tube.depth(x, y, z), person.cavity_depth(x, y, z) - inset),
    )


def _uneven(count: int, spread: float, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return log-normal factors of mean 1 along `count` segments that stay alike over `length` of them."""
    white = rng.standard_normal(count + 2 * length)
    kernel = np.hanning(length + 2)[1:-1]
    smooth = np.convolve(white, kernel / np.sqrt((kernel**2).sum()), mode="same")[length : length + count]
    factor = np.exp(spread * smooth)
    return factor / factor.mean()


def _paint_small_bowel(canvas: Canvas, person: Person, suv: float, rng: np.random.Generator) -> None:
    """Paint loops folded in front of the spine, in tiers from left above to right below."""
    size = person.build
    points: list[Point] = []
    # Tiers that run to and fro; each wave of a tier is one loop.
    for tier in range(7):
        share = 0.634 - 0.0152 * tier + rng.normal(0, 0.002)
        direction = 1 if tier % 2 else -1
        for x in np.linspace(-0.55, 0.55, 9) * direction:
            wave = 0.012 * (1 if len(points) % 2 else -1)
            depth = rng.uniform(-0.72, -0.02)
            squeeze = 1.0 if share > 0.56 else 0.85
            points.append(
                person.inside(x * squeeze + rng.normal(0, 0.05), depth, share + wave + rng.normal(0, 0.003))
            )
    times = np.arange(len(points))
    path = CubicSpline(times, np.array(points))(np.linspace(0, len(points) - 1, 6 * len(points)))
    factors = _uneven(len(path) - 1, float(rng.uniform(0.25, 0.75)), 28, rng)
    radii = 9.5 * size * (1 + 0.25 * _waves(len(path), 12, rng).clip(-2, 2))
    for index, ((first, second), (r1, r2)) in enumerate(zip(pairwise(path), pairwise(radii), strict=True)):
        tube = Tube((tuple(first), tuple(second)), (float(r1), float(r2)))
        canvas.paint(_within(person, tube, 6.0), suv * float(factors[index]), "small bowel")
    for (first, second), (r1, r2) in zip(pairwise(path[::2]), pairwise(radii[::2]), strict=True):
        if rng.random() < 0.5:
            core = Tube((tuple(first), tuple(second)), (0.4 * float(r1), 0.4 * float(r2)))
            canvas.paint(core, 0.6 * suv, "small bowel", only=("small bowel",))


def _waves(count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth random numbers of about unit SD."""
    knots = np.arange(0, count + length, length)
    return CubicSpline(knots, rng.standard_normal(len(knots)))(np.arange(count))


# From the caecum to the rectum: shares of the cavity's width and depth, and the level.
_FRAME = (
    (-0.66, 0.10, 0.548), (-0.74, 0.12, 0.565), (-0.80, 0.16, 0.590), (-0.80, 0.18, 0.612),
    (-0.72, -0.02, 0.632), (-0.58, -0.42, 0.630), (-0.30, -0.70, 0.612), (0.0, -0.76, 0.604),
    (0.30, -0.70, 0.616), (0.58, -0.40, 0.642), (0.78, 0.10, 0.664), (0.82, 0.30, 0.645),
    (0.82, 0.28, 0.615), (0.80, 0.22, 0.585), (0.74, 0.10, 0.562), (0.62, -0.10, 0.548),
    (0.42, -0.15, 0.540), (0.28, 0.15, 0.548), (0.05, 0.30, 0.545), (0.0, 0.55, 0.532),
    (0.0, 0.62, 0.515), (0.0, 0.45, 0.492),
)  # fmt: skip
# Right colon and caecum, the lower descending colon and the sigmoid often take up more.
_HABIT = (
    1.5, 1.5, 1.3, 1.1, 0.9, 0.8, 0.7, 0.7, 0.7, 0.8, 0.8, 0.8, 0.9, 1.1, 1.3, 1.4, 1.4, 1.3, 1.1, 1.0, 1.1,
)  # fmt: skip


def _paint_colon(canvas: Canvas, person: Person, suv: float, rng: np.random.Generator) -> None:
    size = person.build
    frame = np.array(_FRAME)
    frame[:, :2] += rng.normal(0, 0.045, (len(frame), 2))
    frame[:, 2] += rng.normal(0, 0.003, len(frame))
    # The transverse colon hangs more or less low.
    frame[5:10, 2] -= rng.uniform(-0.008, 0.024) * np.array((0.3, 0.8, 1.0, 0.8, 0.3))
    knots = np.array([person.inside(*p) for p in frame])
    steps = 7
    positions = np.linspace(0, len(knots) - 1, steps * (len(knots) - 1) + 1)
    path = CubicSpline(np.arange(len(knots)), knots)(positions)
    habit = np.interp(positions[:-1], np.arange(len(_HABIT)), np.array(_HABIT) ** rng.uniform(-0.3, 1.3))
    factors = habit * _uneven(len(path) - 1, float(rng.uniform(0.15, 0.8)), 16, rng)
    factors /= factors.mean()
    calibre = np.interp(positions, (0, 4, 8, 12, 16, 21), (23, 20, 17, 15, 13.5, 15)) * size
    # Haustra: the colon swells between its bands.
    radii = calibre * (1 + 0.10 * np.sin(positions * 2 * np.pi * 1.4) + 0.12 * _waves(len(path), 14, rng))
    content, wall = 0.55, 5.0
    hollow = 1 - wall / radii.mean()
    # So that the mean over wall and content is what was published; gas, the cavity's wall and segments that
    # are painted later take some away.
    suv *= 1.35
    lining = suv * (1 - hollow**2 * content) / (1 - hollow**2)
    gas = _waves(len(path), 12, rng) > 0.9
    for index, ((first, second), (r1, r2)) in enumerate(zip(pairwise(path), pairwise(radii), strict=True)):
        ends = tuple(first), tuple(second)
        outer = _within(person, Tube(ends, (float(r1), float(r2))), 4.0)
        canvas.paint(outer, lining * float(factors[index]), "colon")
    for index, ((first, second), (r1, r2)) in enumerate(zip(pairwise(path), pairwise(radii), strict=True)):
        inner = _within(
            person, Tube((tuple(first), tuple(second)), (float(r1) - wall, float(r2) - wall)), 4.0 + wall
        )
        air = bool(gas[index])
        canvas.paint(
            inner,
            0.25 if air else content * suv * float(factors[index]),
            "colon",
            attenuation=0.005 if air else WATER_ATTENUATION,
        )
