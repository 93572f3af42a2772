"""Scanners as the simulator sees them: sensitivity, resolution, contamination and reconstruction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """A PET scanner and its protocol.

    `sensitivity` is detected trues per decay without attenuation, averaged over the axial field of view;
    `tof_gain` the variance gain of time of flight, D / (1.6 dx) for a body of D = 300 mm (Conti 2009),
    applied to the counts because time of flight itself is not modelled.
    """

    name: str
    sensitivity: float
    tof_gain: float
    resolution_mm: float
    scatter_fraction: float
    randoms_to_trues: float
    injected_mbq: float
    injected_mbq_sd: float
    uptake_minutes: float
    minutes: float
    iterations: int
    subsets: int
    filter_mm: float
    high_count_factor: float


# Dose, protocol, OSEM and post-filter follow Table 1 of the AMDiff paper; without the time of flight that
# speeds convergence, the Vision gets twice its iterations, and filters are at least a voxel wide.
# NEMA NU 2 figures: mCT Jakoby 2011 (9.7 cps/kBq over a 70 cm line and 21.8 cm of field of view, 4.4 mm,
# 33 %, 540 ps), Vision van Sluis 2019 (16.4 cps/kBq, 26.3 cm, 3.7 mm, 37 %, 210 ps), uExplorer Spencer 2021
# (174 cps/kBq, 3.0 mm, 36 %, 505 ps).
SCANNERS = {
    "mct": Scanner(
        name="mct", sensitivity=0.031, tof_gain=2.3, resolution_mm=4.9, scatter_fraction=0.35,
        randoms_to_trues=0.7, injected_mbq=256.3, injected_mbq_sd=16.2, uptake_minutes=60, minutes=5,
        iterations=2, subsets=21, filter_mm=5.0, high_count_factor=4.0,
    ),
    "vision": Scanner(
        name="vision", sensitivity=0.044, tof_gain=5.9, resolution_mm=4.2, scatter_fraction=0.37,
        randoms_to_trues=0.7, injected_mbq=332.1, injected_mbq_sd=28.0, uptake_minutes=60, minutes=5,
        iterations=4, subsets=5, filter_mm=4.0, high_count_factor=3.0,
    ),
    "uexplorer": Scanner(
        name="uexplorer", sensitivity=0.174, tof_gain=2.5, resolution_mm=3.8, scatter_fraction=0.36,
        randoms_to_trues=1.0, injected_mbq=300.6, injected_mbq_sd=9.0, uptake_minutes=120, minutes=20,
        iterations=2, subsets=20, filter_mm=4.0, high_count_factor=1.0,
    ),
}  # fmt: skip
