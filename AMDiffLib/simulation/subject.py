"""One simulated subject, or several together: phantom, scan and reconstructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from AMDiffLib.simulation.acquisition import Measurement, acquire
from AMDiffLib.simulation.phantom import Phantom, make_phantom
from AMDiffLib.simulation.reconstruction import osem_batch
from AMDiffLib.simulation.scanner import SCANNERS, Reconstruction, Scanner

FIELD_OF_VIEW_MM = 576.0
# Told what is being done, and which share of the work is behind it.
Say = Callable[[str, float], None]
_SHARE_OF_PAINTING, _SHARE_OF_SCANS = 0.5, 0.85


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """What is the same for all subjects of a cohort.

    Scanners take turns. `levels_percent` None means each scanner's own, `voxel_mm` None each scanner's own
    voxels. `vary` lets resolution, background, iterations and post-filter differ between subjects. `nac` adds
    reconstructions without attenuation and scatter correction. `label_map`, with an optional CT in Hounsfield
    units and the names of its labels, is the anatomy of all subjects; None paints random people.
    """

    scanners: tuple[str, ...]
    seed: int
    levels_percent: tuple[float, ...] | None = None
    voxel_mm: float | None = 4.0
    vary: bool = False
    nac: bool = False
    healthy_share: float = 0.12
    label_map: Path | None = None
    label_map_ct: Path | None = None
    label_names: str | None = None


@dataclass(frozen=True, kw_only=True)
class SimulatedSubject:
    """One subject's images, (z, y, x) on the CPU: SUV by count level, and the phantom on the same grid.

    `nac` is empty unless asked for. `effective_counts` by level count time of flight as a gain, `prompts` are
    those that the scanner itself would have recorded.
    """

    index: int
    scanner: Scanner
    reconstruction: Reconstruction
    injected_mbq: float
    phantom: Phantom
    low_count: dict[float, torch.Tensor]
    high_count: torch.Tensor
    nac: dict[float, torch.Tensor]
    prompts: dict[float, int]
    effective_counts: dict[float, int]


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """A subject that is measured and not yet reconstructed."""

    index: int
    scanner: Scanner
    reconstruction: Reconstruction
    injected_mbq: float
    phantom: Phantom
    measurement: Measurement
    levels: tuple[float, ...]
    high: float

    @property
    def batch(self) -> tuple:
        """Scans of equal `batch` can be reconstructed together; post-filters may differ."""
        return self.measurement.geometry, replace(self.reconstruction, filter_mm=0.0), self.levels, self.high


def simulate_subjects(
    settings: SimulationSettings,
    indices: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    say: Say = lambda text, done: None,
) -> list[SimulatedSubject]:
    """Simulate the subjects numbered `indices` of a cohort, reconstructing those of one protocol at once.

    Each subject depends on the cohort's seed and its own number alone. `say` is told what is being done.
    """
    scans = []
    for number, index in enumerate(indices):

        def say_own(text: str, done: float, number: int = number) -> None:
            say(text, _SHARE_OF_SCANS * (number + done) / len(indices))

        scans.append(_measured(settings, index, device, say_own))
    say("reconstructing", _SHARE_OF_SCANS)
    done: dict[int, SimulatedSubject] = {}
    for batch in dict.fromkeys(scan.batch for scan in scans):
        group = [scan for scan in scans if scan.batch == batch]
        measurements = [scan.measurement for scan in group]
        protocols = [scan.reconstruction for scan in group]
        images = osem_batch(measurements, protocols)
        nac = [{} for _ in group]
        if settings.nac:
            nac = osem_batch(
                measurements, protocols, levels_percent=group[0].levels, attenuation_corrected=False
            )
        for scan, corrected, uncorrected in zip(group, images, nac, strict=True):
            done[scan.index] = _subject(scan, corrected, uncorrected)
    return [done[index] for index in indices]


def _measured(settings: SimulationSettings, index: int, device: torch.device | str, say: Say) -> _Scan:
    rng = np.random.default_rng([settings.seed, index, 1])
    scanner = SCANNERS[settings.scanners[index % len(settings.scanners)]]
    injected = float(np.clip(rng.normal(scanner.injected_mbq, scanner.injected_mbq_sd), 100, 700))
    if settings.vary:
        scanner = _varied_scanner(scanner, rng)
    spacing = scanner.voxel_mm if settings.voxel_mm is None else (settings.voxel_mm,) * 3
    reconstruction = scanner.reconstruction_on(spacing)
    if settings.vary:
        reconstruction = replace(
            reconstruction,
            iterations=max(reconstruction.iterations + int(rng.integers(-1, 2)), 1),
            filter_mm=reconstruction.filter_mm * float(rng.uniform(0.65, 1.35)),
        )
    levels = tuple(float(level) for level in settings.levels_percent or scanner.levels_percent)
    high = 100.0 * scanner.high_count_factor
    say("painting the person" if settings.label_map is None else "reading the label map", 0.0)
    phantom = _phantom(settings, index, spacing, device)
    say("scanning", _SHARE_OF_PAINTING)
    measurement = acquire(
        phantom,
        scanner,
        levels_percent=(*levels, high),
        injected_mbq=injected,
        seed=[settings.seed, index, 2],
    )
    return _Scan(
        index=index,
        scanner=scanner,
        reconstruction=reconstruction,
        injected_mbq=injected,
        phantom=phantom.coarsened(2),
        measurement=measurement,
        levels=levels,
        high=high,
    )


def _varied_scanner(scanner: Scanner, rng: np.random.Generator) -> Scanner:
    """Return the scanner as another of its kind, in another hospital, might be."""
    resolution = float(rng.uniform(0.9, 1.35))
    errors = float(rng.uniform(0.5, 2.0))
    return replace(
        scanner,
        resolution_mm=tuple(resolution * width for width in scanner.resolution_mm),
        scatter_fraction=scanner.scatter_fraction + float(rng.uniform(-0.04, 0.08)),
        randoms_to_trues=scanner.randoms_to_trues * float(rng.uniform(0.6, 1.6)),
        scatter_scale_error=scanner.scatter_scale_error * errors,
        scatter_width_error=scanner.scatter_width_error * errors,
    )


def _phantom(
    settings: SimulationSettings, index: int, spacing: tuple[float, ...], device: torch.device | str
) -> Phantom:
    seed = [settings.seed, index]
    fine = tuple(side / 2 for side in spacing)
    if settings.label_map is None:
        return make_phantom(
            seed,
            spacing_mm=fine,
            field_of_view_mm=FIELD_OF_VIEW_MM,
            device=device,
            healthy_share=settings.healthy_share,
        )
    from AMDiffLib.simulation.label_map import phantom_from_label_map

    return phantom_from_label_map(
        settings.label_map,
        ct=settings.label_map_ct,
        label_names=settings.label_names,
        seed=seed,
        spacing_mm=fine,
        field_of_view_mm=FIELD_OF_VIEW_MM,
        device=device,
        healthy_share=settings.healthy_share,
    )


def _subject(
    scan: _Scan, corrected: dict[float, torch.Tensor], uncorrected: dict[float, torch.Tensor]
) -> SimulatedSubject:
    phantom = scan.phantom
    tensors = {
        name: getattr(phantom, name).cpu()
        for name in ("suv", "attenuation", "organs", "lesions", "structures")
    }
    measured = {*scan.levels, scan.high}
    return SimulatedSubject(
        index=scan.index,
        scanner=scan.scanner,
        reconstruction=scan.reconstruction,
        injected_mbq=scan.injected_mbq,
        phantom=replace(phantom, **tensors),
        low_count={level: corrected[level].cpu() for level in scan.levels},
        high_count=corrected[scan.high].cpu(),
        nac={level: image.cpu() for level, image in uncorrected.items()},
        prompts={level: scan.measurement.prompts(level) for level in measured},
        effective_counts={level: scan.measurement.effective_counts(level) for level in measured},
    )
