"""Outline of a person: skin, fat, muscle wall and the cavity that holds the organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.profile import Profile
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Solid, Tube, shallowest, union

# Half-widths in mm of a 1.75 m, BMI 23 adult at heights given as a share of body height.
_LEVELS = (0.45, 0.475, 0.50, 0.53, 0.57, 0.61, 0.66, 0.70, 0.75, 0.79, 0.815, 0.83, 0.842, 0.87)
_HALF_WIDTH = (170, 174, 176, 174, 163, 146, 142, 150, 160, 170, 172, 130, 66, 58)
_HALF_DEPTH = (100, 106, 112, 110, 100, 96, 100, 106, 110, 104, 88, 72, 60, 58)
_FAT_SHARE = (1.15, 1.1, 1.1, 1.05, 1.0, 1.0, 0.9, 0.75, 0.6, 0.5, 0.4, 0.35, 0.3, 0.3)
_WALL = (80, 74, 66, 52, 30, 19, 19, 20, 22, 26, 38, 70, 70, 70)


@dataclass(frozen=True, kw_only=True)
class Person:
    """Habitus of one simulated person; lengths in mm, z = 0 at the lowest slice.

    `breath` is how far, as a share of body height, the diaphragm stands above deep inspiration.
    """

    female: bool
    height_mm: float
    bmi: float
    arms_up: bool
    lowest: float
    highest: float
    breath: float

    @property
    def length_mm(self) -> float:
        """Length of the part that is scanned."""
        return (self.highest - self.lowest) * self.height_mm

    @property
    def weight_kg(self) -> float:
        """Body weight in kg."""
        return self.bmi * (self.height_mm / 1000) ** 2

    @property
    def girth(self) -> float:
        """Factor on the trunk's half-widths."""
        return float((self.bmi / 23) ** 0.5) * (0.97 if self.female else 1.0)

    @property
    def fat_mm(self) -> float:
        """Thickness of the abdominal fat layer."""
        return float(np.clip(5 + 1.7 * (self.bmi - 16) * (1.25 if self.female else 1.0), 5, 55))

    @property
    def build(self) -> float:
        """Factor on the size of bones and organs."""
        return self.height_mm / 1750

    def level(self, share_of_height: float) -> float:
        """Return z in mm of a level given as a share of body height."""
        return (share_of_height - self.lowest) * self.height_mm

    def trunk(self, *, inset: str = "skin") -> Shape:
        """Return the trunk and neck up to its `inset`: "skin", "muscle" (without fat) or "cavity"."""
        levels = np.array([self.level(f) for f in _LEVELS])
        half_width = np.array(_HALF_WIDTH) * self.girth
        half_depth = np.array(_HALF_DEPTH) * self.girth * (1 + 0.25 * max(self.girth - 1, 0))
        if inset != "skin":
            fat = np.array(_FAT_SHARE) * self.fat_mm
            half_width, half_depth = half_width - fat, half_depth - fat
        if inset == "cavity":
            wall = np.array(_WALL) * self.build
            half_width, half_depth = half_width - wall, half_depth - 0.7 * wall
        half_width, half_depth = np.maximum(half_width, 1.0), np.maximum(half_depth, 1.0)
        width, thickness = Profile(levels, half_width), Profile(levels, half_depth)
        bottom, top = self.level(0.465), self.level(0.885 if inset != "cavity" else 0.83)

        def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
            a = width(z)
            b = thickness(z)
            # A superellipse is flatter at the back and sides than an ellipse, as people are.
            radius = ((x / a).abs() ** 2.4 + (y / b).abs() ** 2.4) ** (1 / 2.4)
            return shallowest((1 - radius) * torch.minimum(a, b), z - bottom, top - z)

        reach_x, reach_y = float(half_width.max()), float(half_depth.max())
        return Solid(((-reach_x, -reach_y, bottom), (reach_x, reach_y, top)), depth)

    def cavity_half_widths(self, share_of_height: float) -> tuple[float, float]:
        """Return the cavity's half-width and half-depth in mm at a level."""
        fat = np.interp(share_of_height, _LEVELS, _FAT_SHARE) * self.fat_mm
        wall = np.interp(share_of_height, _LEVELS, _WALL) * self.build
        half_width = np.interp(share_of_height, _LEVELS, _HALF_WIDTH) * self.girth
        half_depth = (
            np.interp(share_of_height, _LEVELS, _HALF_DEPTH)
            * self.girth
            * (1 + 0.25 * max(self.girth - 1, 0))
        )
        return float(half_width - fat - wall), float(half_depth - fat - 0.7 * wall)

    def head(self) -> Ellipsoid:
        """Return the head."""
        size = 0.5 + 0.5 * self.build
        return Ellipsoid((0.0, -5.0, self.level(0.932)), (77 * size, 97 * size, 0.066 * self.height_mm))

    def thighs(self, inset_mm: float = 0.0) -> Shape:
        """Return both thighs."""
        radius = 84 * self.girth - inset_mm
        hip, end = self.level(0.50), self.level(0.30)
        return union(
            *(
                Tube(((s * 88 * self.girth, 5, hip), (s * 92 * self.girth, 0, end)), (radius, radius * 0.8))
                for s in (-1, 1)
            )
        )

    def arm_points(self, side: int) -> tuple[tuple[float, float, float], ...]:
        """Return shoulder, elbow and wrist of the arm on `side` (-1 right, +1 left)."""
        shoulder = (side * (172 * self.girth - 30), 10.0, self.level(0.812))
        if self.arms_up:
            return shoulder, (side * 205.0, 0.0, self.level(0.93)), (side * 110.0, -10.0, self.level(1.06))
        reach = min(176 * self.girth + 48, 235.0)
        return (
            shoulder,
            (side * reach, 25.0, self.level(0.63)),
            (side * min(reach, 225.0), 0.0, self.level(0.46)),
        )

    def arms(self, inset_mm: float = 0.0) -> Shape:
        """Return both arms."""
        girth = 0.5 + 0.5 * self.girth
        radii = tuple(max(r * girth - inset_mm, 2.0) for r in (52, 42, 30))
        return union(*(Tube(self.arm_points(side), radii) for side in (-1, 1)))


def draw_person(rng: np.random.Generator) -> Person:
    """Return a person of varied sex, height, BMI (17-40), arm position and axial coverage."""
    female = bool(rng.random() < 0.5)
    return Person(
        female=female,
        height_mm=float(np.clip(rng.normal(1640 if female else 1770, 65), 1480, 1960)),
        bmi=float(np.clip(rng.lognormal(np.log(25.5), 0.17), 17, 40)),
        arms_up=bool(rng.random() < 0.7),
        lowest=float(rng.uniform(0.37, 0.43)),
        breath=float(rng.uniform(0.0, 0.022)),
        highest=1.01 if rng.random() < 0.7 else float(rng.uniform(0.88, 0.93)),
    )
