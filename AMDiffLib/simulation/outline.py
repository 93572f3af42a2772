"""The outline of the body: trunk, neck, head, limbs and breasts, joined smoothly."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.profile import Profile
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Solid, Tube, smooth_union

# Thickness of the trunk's wall (muscle, bone, pelvic girdle) between cavity and fat at a share of body
# height, mm: at the side, in front and behind the middle of the cavity.
_LEVELS = (
    0.475,
    0.49,
    0.51,
    0.54,
    0.57,
    0.61,
    0.65,
    0.69,
    0.73,
    0.76,
    0.785,
    0.805,
    0.82,
    0.835,
    0.85,
    0.885,
)
_SIDE = (106, 104, 98, 64, 34, 18, 15, 16, 18, 26, 36, 48, 34, 36, 36, 34)
_FRONT = (46, 32, 20, 13, 12, 12, 12, 14, 16, 16, 16, 18, 24, 30, 33, 32)
_BACK = (66, 52, 40, 36, 40, 42, 36, 28, 24, 24, 26, 28, 30, 34, 44, 46)
# Fat relative to the abdominal layer, at the same levels.
_FAT = (0.95, 1.1, 1.15, 1.1, 1.05, 1.05, 0.9, 0.7, 0.55, 0.5, 0.42, 0.36, 0.3, 0.28, 0.25, 0.22)


class Outline:
    """Depths below the skin; `muscle` is measured from the fascia below the subcutaneous fat."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self._heights = [person.level(f) for f in _LEVELS]
        reach = np.array([person.cavity_reach(f) for f in _LEVELS])
        wall = np.stack([_SIDE, _FRONT, _BACK], axis=1) * person.build
        if person.female:
            wall[:, 0] *= np.interp(_LEVELS, (0.47, 0.55, 0.62, 0.75, 0.85), (1.06, 1.0, 0.95, 0.82, 0.85))
        else:
            wall[:, 0] *= np.interp(_LEVELS, (0.47, 0.60, 0.75, 0.82, 0.85), (0.96, 1.0, 1.1, 1.1, 1.08))
        self._fat = Profile(self._heights, np.array(_FAT) * person.fat_mm)
        self._fascia = [Profile(self._heights, column) for column in (reach + wall).T]
        self.trunk = Solid(self._trunk_box(), self._trunk_skin)
        self.breasts = self._draw_breasts()
        self.parts = (self.trunk, *self._head_and_neck(), *self._limbs(), *self.breasts)

    def fat(self, z: Tensor) -> Tensor:
        """Return the thickness of the subcutaneous fat at heights z, mm."""
        return self._fat(z)

    def fascia_reach(self, share_of_height: float) -> tuple[float, float, float]:
        """Return half-width, front and back of the muscles' outer surface at a level, mm."""
        return tuple(p.at(self.person.level(share_of_height)) for p in self._fascia)

    def _trunk_box(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        fat = self._fat.highest
        wide, front, back = (p.highest + 1.3 * fat for p in self._fascia)
        return (-wide, -front, self.person.level(0.455)), (wide, back, self.person.level(0.89))

    def _cross_section(self, x: Tensor, y: Tensor, z: Tensor, fat: Tensor | float) -> Tensor:
        wide, front, back = (p(z) for p in self._fascia)
        wide, front, back = wide + fat, front + fat, back + 1.15 * fat
        # A superellipse is flatter in front and behind than an ellipse, as people are.
        deep = torch.where(y < 0, front, back)
        radius = ((x / wide).abs() ** 2.3 + (y / deep).abs() ** 2.3) ** (1 / 2.3)
        away = torch.sqrt(x * x + y * y)
        depth = away * (1 / radius.clamp_min(1e-2) - 1)
        # The furrow over the spine and the cleft between the buttocks.
        cleft = 5 + 16 * ((self.person.level(0.525) - z) / 40).clamp(0, 1)
        furrow = torch.exp(-((x / 13) ** 2)) * (y > 0) * cleft
        return depth - furrow

    def _trunk_skin(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        bottom, top = self.person.level(0.452), self.person.level(0.885)
        depth = self._cross_section(x, y, z, self.fat(z))
        return torch.minimum(depth, torch.minimum(z - bottom, top - z))

    def _head_and_neck(self) -> list[Shape]:
        person, s = self.person, self.person.head_size
        at = person.in_head
        thick = (0.8 + 0.2 * person.girth) * (0.92 if person.female else 1.06)
        cranium = Ellipsoid(at(0, 6, 12), (77 * s, 98 * s, 88 * s))
        face = Ellipsoid(at(0, -42, -52), (59 * s, 56 * s, 66 * s))
        jaw = Tube(
            (at(-48, -8, -72), at(-36, -56, -100), at(0, -78, -104), at(36, -56, -100), at(48, -8, -72)),
            tuple(r * s for r in (17, 18, 17, 18, 17)),
        )
        nose = Tube((at(0, -88, -30), at(0, -98, -52)), (8 * s, 11 * s))
        neck = Tube(
            (
                at(0, 18, -55),
                at(0, 22, -110),
                (0.0, 26.0, person.level(0.835)),
                (0.0, 24.0, person.level(0.80)),
            ),
            tuple(r * thick for r in (56, 55, 60, 66)),
        )
        trapezius = [
            Tube(
                ((side * 20.0, 34.0, person.level(0.845)), (person.shoulder(side)[0] * 0.8, 26.0,
                person.level(0.812))),
                (50 * thick, 42 * thick),
            )
            for side in (-1, 1)
        ]  # fmt: skip
        return [cranium, face, jaw, nose, neck, *trapezius]

    def _limbs(self) -> list[Shape]:
        person, g = self.person, self.person.girth
        thigh = (80 if person.female else 78) * person.build * (0.35 + 0.65 * g)
        parts: list[Shape] = []
        for side in (-1, 1):
            fat = 0.7 * person.fat_mm
            hip = (side * 90 * person.build * (0.7 + 0.3 * g), 8.0, person.level(0.505))
            knee = (side * 88 * person.build * (0.6 + 0.4 * g), 6.0, person.level(0.33))
            parts.append(Tube((hip, knee), (thigh + fat, 0.82 * thigh + 0.6 * fat)))
            shoulder, elbow, wrist = person.arm_points(side)
            middle = tuple((a + b) / 2 for a, b in zip(shoulder, elbow, strict=True))
            arm = (0.55 + 0.45 * g) * person.build * (0.88 if person.female else 1.0)
            radii = tuple(r * arm for r in (56, 50, 41, 29))
            parts.append(Tube((shoulder, middle, elbow, wrist), radii))
            if person.arms_up:
                # The lateral wall of the armpit rises with the arm.
                chest = (side * self.fascia_reach(0.76)[0] * 0.86, 28.0, person.level(0.755))
                parts.append(Tube((chest, shoulder), (40 * arm, 52 * arm)))
        return parts

    def _draw_breasts(self) -> list[Ellipsoid]:
        person = self.person
        if not person.female:
            return []
        wide, front, _ = self.fascia_reach(0.745)
        size = 34 + 0.75 * person.fat_mm
        return [
            Ellipsoid(
                (
                    side * 0.56 * wide,
                    -front - 0.3 * self._fat.at(person.level(0.745)) + 8,
                    person.level(0.742),
                ),
                (1.25 * size + 6, 0.75 * size, 1.15 * size + 6),
            )
            for side in (-1, 1)
        ]

    def skin(self) -> Solid:
        """Return the whole body."""
        return smooth_union(self.parts, 22.0)
