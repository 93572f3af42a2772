"""The comparators without training, each tried at several strengths; the best of each family is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.gaussian import WIDTHS_MM, gaussian_filter
from AMDiffLib.evaluation.non_local_means import STRENGTHS, non_local_means


@dataclass(frozen=True, kw_only=True)
class FilterFamily:
    """One kind of filter: `best` names its best member as a method, `stem` begins the members' names."""

    best: str
    title: str
    stem: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[np.ndarray, Sequence[float], float], np.ndarray]

    def member(self, strength: float) -> str:
        """Name of the method that filters with this strength."""
        return f"{self.stem}{strength:g}{self.unit}"

    @property
    def members(self) -> dict[str, float]:
        """Name of each member, and its strength."""
        return {self.member(strength): strength for strength in self.strengths}


GAUSSIAN = FilterFamily(
    best="gaussian_best",
    title="best Gaussian",
    stem="gaussian_",
    unit="mm",
    strengths=WIDTHS_MM,
    apply=gaussian_filter,
)
NON_LOCAL_MEANS = FilterFamily(
    best="nlm_best",
    title="best non-local means",
    stem="nlm_",
    unit="sd",
    strengths=STRENGTHS,
    apply=non_local_means,
)
FAMILIES = (GAUSSIAN, NON_LOCAL_MEANS)
FAMILY_OF = {name: family for family in FAMILIES for name in family.members}
