"""One simulated person: sex, size, habitus and the frame that organs are placed in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.profile import Profile
from AMDiffLib.simulation.shapes import Point, Solid, shallowest

# The cavity of a 1.75 m, BMI 23 adult at heights given as a share of body height, mm: half-width, and reach
# to the front and to the back. The pelvis narrows it below, the shoulder girdle above.
_LEVELS = (0.475, 0.49, 0.51, 0.54, 0.57, 0.61, 0.65, 0.69, 0.73, 0.76, 0.785, 0.805, 0.82, 0.835)
_HALF_WIDTH = (40, 58, 66, 96, 112, 118, 124, 130, 132, 126, 112, 84, 54, 30)
_FRONT = (45, 60, 72, 84, 86, 84, 86, 90, 88, 80, 66, 48, 34, 24)
_BACK = (40, 58, 74, 78, 74, 74, 80, 86, 88, 86, 80, 70, 56, 40)


@dataclass(frozen=True, kw_only=True)
class Person:
    """Habitus of one simulated person; lengths in mm, z = 0 at the lowest slice.

    `breath` is how far, as a share of body height, the diaphragm stands above deep inspiration; `belly`
    (0..1) how much of the fat lies in the abdominal cavity; `age` is in years.
    """

    female: bool
    age: float
    height_mm: float
    bmi: float
    belly: float
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
        return float((self.bmi / 23) ** 0.5)

    @property
    def fat_mm(self) -> float:
        """Thickness of the abdominal fat layer."""
        thickness = 4 + 1.3 * (self.bmi - 16) * (1.3 if self.female else 0.95) * (1.25 - 0.5 * self.belly)
        return float(np.clip(thickness, 4, 52))

    @property
    def build(self) -> float:
        """Factor on the size of bones and organs."""
        return self.height_mm / 1750 * (0.97 if self.female else 1.0)

    def level(self, share_of_height: float) -> float:
        """Return z in mm of a level given as a share of body height."""
        return (share_of_height - self.lowest) * self.height_mm

    @cached_property
    def _cavity(self) -> tuple[Profile, Profile, Profile]:
        swell = (self.girth - 1) * (0.5 + 0.7 * self.belly)
        # Fat fills the abdomen, little of it the chest, none the bony pelvis.
        share = np.interp(_LEVELS, (0.50, 0.56, 0.66, 0.76), (0.0, 1.0, 1.0, 0.25))
        heights = [self.level(f) for f in _LEVELS]
        wide = np.array(_HALF_WIDTH) * self.build * (1 + 0.9 * swell * share)
        front = np.array(_FRONT) * self.build * (1 + 1.5 * swell * share)
        back = np.array(_BACK) * self.build * (1 + 0.25 * swell * share)
        if self.female:
            pelvic = np.interp(_LEVELS, (0.48, 0.51, 0.56), (1.1, 1.08, 1.0))
            wide = wide * pelvic
        return Profile(heights, wide), Profile(heights, front), Profile(heights, back)

    def cavity_reach(self, share_of_height: float) -> tuple[float, float, float]:
        """Return the cavity's half-width and its reach to the front and to the back at a level, mm."""
        z = self.level(share_of_height)
        return tuple(profile.at(z) for profile in self._cavity)

    def inside(self, x: float, y: float, share_of_height: float) -> Point:
        """Return the point at shares (-1..1) of the cavity's width and depth at a level; y < 0 is front."""
        wide, front, back = self.cavity_reach(share_of_height)
        return x * wide, y * (back if y > 0 else front), self.level(share_of_height)

    def cavity_depth(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return how deep points lie within the cavity that holds the organs, mm."""
        wide, front, back = (profile(z) for profile in self._cavity)
        spine = self.spine_y(z)
        r2 = (x / wide) ** 2 + (y / torch.where(y < 0, front, back)) ** 2
        radius = torch.sqrt(r2)
        depth = torch.sqrt(x * x + y * y) * (1 / radius.clamp_min(1e-3) - 1)
        # The vertebral bodies bulge into the cavity.
        bulge = torch.sqrt((x * 0.9) ** 2 + (y - spine) ** 2) - 25 * self.build
        bottom, top = self.level(0.475), self.level(0.835)
        return shallowest(depth, bulge, z - bottom, top - z)

    @cached_property
    def cavity(self) -> Solid:
        """The space that holds the organs, from the pelvic floor to the apices of the lungs."""
        wide, front, back = (profile.highest for profile in self._cavity)
        box = (-wide, -front, self.level(0.475)), (wide, back, self.level(0.835))
        return Solid(box, self.cavity_depth)

    @cached_property
    def _spine(self) -> Profile:
        shares = (0.50, 0.53, 0.56, 0.59, 0.63, 0.68, 0.73, 0.77, 0.805, 0.83, 0.86, 0.89)
        # The curves of neck, chest and loins about the back of the cavity.
        curve = (94, 84, 66, 50, 48, 58, 68, 66, 48, 32, 20, 16)
        return Profile([self.level(f) for f in shares], [c * self.build for c in curve])

    def spine_y(self, z: Tensor | float) -> Tensor | float:
        """Return y in mm of the vertebral bodies' centre at height z in mm."""
        return self._spine(z) if isinstance(z, Tensor) else self._spine.at(z)

    def by_spine(self, x: float, forward: float, share_of_height: float) -> Point:
        """Return a point beside (x) and in front of (`forward`) the spine, both in mm before scaling."""
        z = self.level(share_of_height)
        return x * self.build, self.spine_y(z) - forward * self.build, z

    @property
    def head_size(self) -> float:
        """Factor on the head, which differs little between people."""
        return float((0.75 + 0.25 * self.height_mm / 1750) * (0.97 if self.female else 1.0))

    def in_head(self, x: float, y: float, z: float) -> Point:
        """Return a point given in mm from the middle of the skull, before scaling."""
        middle = self.level(1.0) - 100 * self.head_size
        return x * self.head_size, y * self.head_size - 6, middle + z * self.head_size

    def shoulder(self, side: int) -> Point:
        """Return the middle of the humeral head on `side` (-1 right, +1 left)."""
        width = (162 if self.female else 174) * self.build * (0.75 + 0.25 * self.girth)
        lift = 0.006 if self.arms_up else 0.0
        return side * (width - (10 if self.arms_up else 0)), 12.0, self.level(0.800 + lift)

    def arm_points(self, side: int) -> tuple[Point, Point, Point]:
        """Return shoulder, elbow and wrist of the arm on `side` (-1 right, +1 left)."""
        shoulder = self.shoulder(side)
        if self.arms_up:
            elbow = (side * (215.0 + 25 * (self.girth - 1)), -12.0, self.level(0.945))
            return shoulder, elbow, (side * 105.0, -45.0, self.level(1.035))
        reach = min(self.cavity_reach(0.60)[0] + self.fat_mm + 72, 238.0)
        elbow = (side * max(reach, abs(shoulder[0]) + 22), 30.0, self.level(0.635))
        return shoulder, elbow, (side * min(reach + 4, 236.0), -5.0, self.level(0.485))


def draw_person(rng: np.random.Generator) -> Person:
    """Return a person of varied sex, age, height, BMI (17-40), arm position and axial coverage."""
    female = bool(rng.random() < 0.5)
    return Person(
        female=female,
        age=float(np.clip(rng.normal(60, 15), 18, 90)),
        height_mm=float(np.clip(rng.normal(1640 if female else 1770, 65), 1480, 1960)),
        bmi=float(np.clip(rng.lognormal(np.log(25.5), 0.18), 17, 40)),
        belly=float(np.clip(rng.normal(0.35 if female else 0.6, 0.2), 0, 1)),
        arms_up=bool(rng.random() < 0.7),
        lowest=float(rng.uniform(0.36, 0.43)),
        highest=1.01 if rng.random() < 0.7 else float(rng.uniform(0.885, 0.93)),
        breath=float(rng.uniform(0.0, 0.022)),
    )
