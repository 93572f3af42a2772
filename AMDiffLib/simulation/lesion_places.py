"""Where in a painted person lesions may grow."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.outline import Outline
from AMDiffLib.simulation.shapes import Shape
from AMDiffLib.simulation.skeleton import pelvis, ribs, vertebra_centres

_PER_SITE = 240


def points_within(shape: Shape, rng: np.random.Generator, *, depth_mm: tuple[float, float]) -> np.ndarray:
    """Return up to 240 points (N, 3), x, y, z in mm, whose depth in `shape` lies in the range `depth_mm`."""
    low, high = (np.asarray(corner, float) for corner in shape.bounds())
    points = rng.uniform(low, high, (24 * _PER_SITE, 3))
    x, y, z = (torch.from_numpy(points[:, i].astype(np.float32)) for i in range(3))
    depth = shape.depth(x, y, z).numpy()
    return points[(depth > depth_mm[0]) & (depth < depth_mm[1])][:_PER_SITE]


def points_in_mask(canvas: Canvas, mask: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Return up to 240 centres (N, 3), x, y, z in mm, of the voxels that `mask` (D, H, W) marks."""
    marked = mask.nonzero().cpu().numpy()
    if not len(marked):
        return np.empty((0, 3))
    chosen = marked[rng.integers(len(marked), size=min(_PER_SITE, len(marked)))]
    x, y, z = (axis.cpu().numpy() for axis in canvas.axes(tuple(slice(0, n) for n in canvas.shape)))
    return np.stack((x[chosen[:, 2]], y[chosen[:, 1]], z[chosen[:, 0]]), axis=1).astype(float)


def places_in_person(
    person: Person, outline: Outline, organs: dict[str, list[Shape]], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return candidate centres (N, 3), x, y, z in mm, by site.

    `organs` holds the shapes of "liver", "lung" (each lobe) and "pancreas".
    """
    size, level, at = person.build, person.level, person.by_spine

    def scatter(points: list, spread: float | tuple[float, float, float]) -> np.ndarray:
        points = np.array(points, float)
        chosen = points[rng.integers(len(points), size=_PER_SITE)]
        return chosen + rng.normal(0, 1, chosen.shape) * spread

    both = (-1, 1)
    wall = [outline.fascia_reach(f) for f in (0.50, 0.60, 0.70)]
    thigh = [(s * 90 * size, 5.0, level(f)) for s in both for f in (0.40, 0.43, 0.46)]
    places = {
        # To the edge of the organ and a little beyond.
        "liver": np.concatenate([points_within(s, rng, depth_mm=(-2, 60)) for s in organs["liver"]]),
        "lung": np.concatenate([points_within(s, rng, depth_mm=(4, 99)) for s in organs["lung"]]),
        "pleura": np.concatenate([points_within(s, rng, depth_mm=(0, 4)) for s in organs["lung"]]),
        "pancreas": np.concatenate([points_within(s, rng, depth_mm=(2, 30)) for s in organs["pancreas"]]),
        "bone": np.concatenate(
            [
                scatter(vertebra_centres(person), (9 * size, 7 * size, 6 * size)),
                scatter([p for rib in ribs(person) for p in rib.points], 1.0)[::3],
                np.concatenate([points_within(s, rng, depth_mm=(3, 30))[:60] for _, s in pelvis(person)]),
                scatter(
                    [(s * 92 * size, 4.0, level(f)) for s in both for f in (0.42, 0.47, 0.51)]
                    + [person.shoulder(s) for s in both],
                    6.0,
                )[::4],
            ]
        ),
        "mediastinal node": scatter(
            [
                at(x, f, h)
                for x in (-20, 0, 20)
                for f, h in ((40, 0.80), (44, 0.79), (50, 0.78), (40, 0.77), (28, 0.75), (60, 0.765))
            ],
            6.0,
        ),
        "hilar node": scatter(
            [at(s * x, 52, h) for s in both for x in (34, 44) for h in (0.763, 0.775)], 5.0
        ),
        "para-aortic node": scatter(
            [at(x, f, h) for x in (-30, -10, 26, 34) for f in (32, 42) for h in np.linspace(0.60, 0.69, 8)],
            5.0,
        ),
        "iliac node": scatter(
            [
                (s * x * size, y * size, level(h))
                for s in both
                for x, y, h in (
                    (46, 6, 0.56),
                    (58, -12, 0.54),
                    (64, -22, 0.525),
                    (40, 20, 0.535),
                    (36, -26, 0.512),
                )
            ],
            5.0,
        ),
        "inguinal node": scatter(
            [(s * 74 * size, -62 * size, level(h)) for s in both for h in (0.485, 0.475, 0.465)], 7.0
        ),
        "cervical node": scatter(
            [
                (s * x * size, y, level(h))
                for s in both
                for x, y, h in (
                    (44, 6, 0.865),
                    (46, 10, 0.852),
                    (44, 14, 0.838),
                    (52, 18, 0.828),
                    (40, 0, 0.875),
                )
            ],
            6.0,
        ),
        "axillary node": scatter(
            [
                (0.78 * person.shoulder(s)[0], y, level(h))
                for s in both
                for y in (-14, 4, 18)
                for h in (0.775, 0.785, 0.795)
            ],
            8.0,
        ),
        "peritoneum": scatter(
            [
                person.inside(x, y, h)
                for x in (-0.7, -0.3, 0.3, 0.7)
                for y in (-0.8, -0.4)
                for h in (0.53, 0.56, 0.60, 0.64)
            ],
            9.0,
        ),
        "bowel": scatter(
            [
                person.inside(x, y, h)
                for x, y, h in (
                    (-0.78, 0.1, 0.58),
                    (-0.8, 0.1, 0.61),
                    (0.8, 0.2, 0.62),
                    (0.6, 0.0, 0.55),
                    (0.0, 0.5, 0.53),
                    (0.0, 0.6, 0.515),
                    (0.3, 0.1, 0.545),
                )
            ],
            7.0,
        ),
        "thyroid": scatter([at(s * 18, 42, h) for s in both for h in (0.84, 0.852)], 2.0),
        "soft tissue": scatter(
            thigh
            + [
                (s * 0.5 * w, 0.75 * b, level(f))
                for s in both
                for (w, _, b), f in zip(wall, (0.50, 0.60, 0.70), strict=True)
            ],
            18.0,
        ),
        "skin": scatter(
            [
                (x * w, -1.0 * y, level(f))
                for x in (-0.5, 0.5)
                for (w, y, _), f in zip(wall, (0.50, 0.60, 0.70), strict=True)
            ],
            8.0,
        ),
    }
    if outline.breasts:
        places["breast"] = scatter([b.centre for b in outline.breasts], 10.0)
    return {name: points[points[:, 2] > 12] for name, points in places.items()}
