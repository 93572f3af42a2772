"""Where in a painted person lesions may grow."""

from __future__ import annotations

import numpy as np

from AMDiffLib.simulation.body import Person


def places_in_person(person: Person, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return candidate centres (N, 3), x, y, z in mm, by site."""
    half_width, half_depth = person.cavity_half_widths(0.67)

    def ball(x: float, y: float, share: float, *radii: float) -> np.ndarray:
        direction = rng.standard_normal((100, 3))
        direction *= (rng.random((100, 1)) ** (1 / 3)) / np.linalg.norm(direction, axis=1, keepdims=True)
        return direction * radii + (x, y, person.level(share))

    return {
        "liver": ball(-0.5 * half_width, 0, 0.674, 0.45 * half_width, 0.7 * half_depth, 60),
        "lung": np.concatenate([ball(s * 0.55 * half_width, 0, 0.765, 40, 60, 80) for s in (-1, 1)]),
        "bone": ball(0, half_depth - 20, 0.66, 15, 8, 150),
        "mediastinal node": ball(0, 10, 0.775, 30, 40, 40),
        "abdominal node": ball(0, 40, 0.63, 40, 25, 80),
        "cervical or axillary node": np.concatenate([ball(s * 45, 0, 0.85, 10, 20, 40) for s in (-1, 1)]),
        "peritoneum or bowel": ball(0, -30, 0.60, 0.6 * half_width, 40, 80),
        "soft tissue": ball(90, 20, 0.45, 50, 50, 60),
    }
