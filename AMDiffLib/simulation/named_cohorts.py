"""Cohorts by name, with fixed seeds: analogues of those of the AMDiff paper's Table 1, and of Quadra scans.

The sizes are the paper's. Sets for testing and validation share no seed with any other, so that no person is
in two of them; the seeds of the shipped weights (1, 1000, 2000, 3000) are none of these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NamedCohort:
    """Values of the options of `AMDiffLib.simulate`: scanner, subjects, levels (percent), seed, vary."""

    scanner: str
    subjects: int
    levels: str
    seed: int
    vary: bool = False


_A, _C, _QUADRA = "5,10,20,40", "2.5,6.25,12.5", "5,10,25,50"

NAMED_COHORTS = {
    "A-train": NamedCohort(scanner="mct", subjects=175, levels=_A, seed=4000, vary=True),
    "A-validation": NamedCohort(scanner="mct", subjects=20, levels=_A, seed=4001),
    "A-test": NamedCohort(scanner="mct", subjects=29, levels=_A, seed=4002),
    # The paper's Vision scans are at standard counts (100 %); lower levels show what is left of it.
    "B-test": NamedCohort(scanner="vision", subjects=10, levels=f"{_A},100", seed=4102),
    "C-train": NamedCohort(scanner="uexplorer", subjects=3, levels=_C, seed=4200, vary=True),
    "C-validation": NamedCohort(scanner="uexplorer", subjects=2, levels=_C, seed=4201),
    "C-test": NamedCohort(scanner="uexplorer", subjects=5, levels=_C, seed=4202),
    # 1/20, 1/10, 1/4 and 1/2 of the counts.
    "quadra-train": NamedCohort(scanner="quadra", subjects=40, levels=_QUADRA, seed=4300, vary=True),
    "quadra-test": NamedCohort(scanner="quadra", subjects=10, levels=_QUADRA, seed=4302),
}
"""A is trained, validated and tested on; B is a scanner that the training has not seen; C is trained of its
own. The Quadra stands for the Ultra-Low Dose PET data."""
