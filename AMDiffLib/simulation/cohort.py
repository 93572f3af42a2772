"""Cohorts of simulated subjects on disk: images, labels and a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from AMDiffLib.simulation.acquisition import acquire
from AMDiffLib.simulation.phantom import Phantom, make_phantom
from AMDiffLib.simulation.projector import StripProjector
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS, Scanner

MANIFEST_FORMAT, MANIFEST_VERSION = "amdiff-manifest", 1
_ANGLES_AT_LEAST = 160


@dataclass(frozen=True, kw_only=True)
class SimulatedSubject:
    """One subject's images, (z, y, x): SUV by count level, the high-count reference, and the phantom."""

    scanner: Scanner
    phantom: Phantom
    low_count: dict[float, np.ndarray]
    high_count: np.ndarray


def simulate_subject(
    scanner: Scanner, *, levels_percent: Sequence[float], seed: int, subject: int, vary: bool = False
) -> SimulatedSubject:
    """Simulate subject number `subject` of the cohort `seed`.

    `vary` also lets resolution, iterations and post-filter differ from the scanner's protocol.
    """
    rng = np.random.default_rng([seed, subject])
    phantom = make_phantom(rng)
    injected = float(np.clip(rng.normal(scanner.injected_mbq, scanner.injected_mbq_sd), 100, 500))
    if vary:
        scanner = replace(
            scanner,
            resolution_mm=scanner.resolution_mm * rng.uniform(0.9, 1.35),
            filter_mm=float(rng.uniform(3.0, 6.5)),
            iterations=scanner.iterations + int(rng.integers(0, 2)),
        )
    projector = StripProjector(phantom.suv.shape[1], phantom.voxel_mm, _angles(scanner))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    high = 100 * scanner.high_count_factor
    levels = sorted({float(high), *map(float, levels_percent)}, reverse=True)
    measurement = acquire(
        torch.from_numpy(phantom.suv), torch.from_numpy(phantom.attenuation), projector, scanner,
        injected_mbq=injected, weight_kg=phantom.person.weight_kg, levels_percent=levels, generator=generator,
    )  # fmt: skip
    images = osem(
        measurement, projector, levels_percent=levels, iterations=scanner.iterations, subsets=scanner.subsets,
        filter_mm=scanner.filter_mm,
    )  # fmt: skip
    return SimulatedSubject(
        scanner=scanner, phantom=phantom, high_count=images[high].numpy(),
        low_count={float(level): images[float(level)].numpy() for level in levels_percent},
    )  # fmt: skip


def _angles(scanner: Scanner) -> int:
    return scanner.subsets * -(-_ANGLES_AT_LEAST // scanner.subsets)


def write_cohort(
    folder: Path,
    *,
    scanners: Sequence[str],
    subjects: int,
    levels_percent: Sequence[float],
    seed: int,
    vary: bool = False,
    first_subject: int = 0,
) -> Iterator[str]:
    """Write subjects and a manifest to `folder`, subject by subject; yield each name when it is on disk.

    Scanners take turns. A subject that an earlier, interrupted call has finished is kept as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cases: list[dict] = []
    for index in range(first_subject, first_subject + subjects):
        scanner = SCANNERS[scanners[index % len(scanners)]]
        name = f"sim-{seed}-{index:04d}"
        entry = folder / name / "cases.json"
        if not entry.exists():
            subject = simulate_subject(
                scanner, levels_percent=levels_percent, seed=seed, subject=index, vary=vary
            )
            _write_subject(folder, name, subject)
        cases += json.loads(entry.read_text())
        manifest = {"format": MANIFEST_FORMAT, "version": MANIFEST_VERSION, "cases": cases}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
        yield name


def _write_subject(folder: Path, name: str, subject: SimulatedSubject) -> None:
    (folder / name).mkdir(exist_ok=True)

    def write(array: np.ndarray, stem: str) -> str:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((subject.phantom.voxel_mm,) * 3)
        half = subject.phantom.voxel_mm * (array.shape[1] - 1) / 2
        image.SetOrigin((-half, -half, 0.0))
        sitk.WriteImage(image, str(folder / name / f"{stem}.nrrd"), useCompression=True, compressionLevel=1)
        return f"{name}/{stem}.nrrd"

    shared = {
        "high_count": write(subject.high_count, "high_count"),
        "organs": write(subject.phantom.organs, "organs"),
        "lesions": write(subject.phantom.lesions, "lesions"),
        "truth": write(subject.phantom.suv, "truth"),
    }
    cases = [
        {
            "subject": name,
            "scanner": subject.scanner.name,
            "counts_percent": level,
            "low_count": write(array, f"low_count_{level:g}"),
            **shared,
        }
        for level, array in subject.low_count.items()
    ]
    (folder / name / "cases.json").write_text(json.dumps(cases, indent=1))
