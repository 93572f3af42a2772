"""The demo's results beside the simulated truth: lesions matched by overlap, organs, and one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer
from AMDiffModule.display import is_lesion

from AMDiffLib.image.overview import write_overview
from AMDiffLib.labels import ORGANS


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """SUVmean in g/mL, volume in mL and their product, TLG in g, of one region."""

    suv_mean: float
    volume_ml: float

    @property
    def tlg_g(self) -> float:
        return self.suv_mean * self.volume_ml


def uptake(suv: np.ndarray, region: np.ndarray, voxel_ml: float) -> Uptake:
    """Measure a non-empty region."""
    return Uptake(suv_mean=float(suv[region].mean()), volume_ml=float(region.sum()) * voxel_ml)


def compare_with_truth(truth: dict[str, Path], low_count_node, nodes, picture: Path) -> None:
    """Print each true lesion and organ beside what was found, and draw low-count, denoised and truth."""
    true_suv, true_lesions, true_organs = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(truth[name]))) for name in ("truth", "lesions", "organs")
    )
    low_count = slicer.util.arrayFromVolume(low_count_node)
    denoised = slicer.util.arrayFromVolume(nodes.denoised)
    lesions, organs = _labels(nodes.segmentation, low_count_node, low_count.shape)
    spacing = low_count_node.GetSpacing()
    voxel_ml = float(np.prod(spacing)) / 1000.0

    print("\nBeside the simulated truth (true -> found)")
    print(f"{'':12}{'found as':14}{'SUVmean [g/mL]':>18}{'MTV [mL]':>18}{'TLG [g]':>18}{'Dice':>7}")
    for number in np.unique(true_lesions[true_lesions > 0]):
        region = true_lesions == number
        true = uptake(true_suv, region, voxel_ml)
        touching = np.unique(lesions[region & (lesions > 0)])
        name = f"Lesion {chr(64 + number)}" if number <= 26 else f"Lesion {number}"
        if touching.size == 0:
            print(
                f"{name:12}{'not found':14}{true.suv_mean:>10.2f}{true.volume_ml:>18.2f}{true.tlg_g:>18.1f}"
            )
            continue
        found_region = np.isin(lesions, touching)
        found = uptake(denoised, found_region, voxel_ml)
        overlap = 2.0 * (found_region & region).sum() / (found_region.sum() + region.sum())
        print(
            f"{name:12}{', '.join(map(str, touching)):14}"
            f"{_pair(true.suv_mean, found.suv_mean, 2)}{_pair(true.volume_ml, found.volume_ml, 2)}"
            f"{_pair(true.tlg_g, found.tlg_g, 1)}{overlap:>7.2f}"
        )
    false = [n for n in np.unique(lesions[lesions > 0]) if not (true_lesions[lesions == n] > 0).any()]
    print(f"Found where no lesion is: {', '.join(f'Lesion {n}' for n in false) or 'none'}")

    print(f"\n{'':12}{'':14}{'SUVmean [g/mL]':>18}{'Volume [mL]':>18}{'':18}{'Dice':>7}")
    for organ in ORGANS:
        region = (true_organs == organ.label) & (true_lesions == 0)
        found_region = (organs == organ.label) & (lesions == 0)
        if not region.any() or not found_region.any():
            continue
        true, found = uptake(true_suv, region, voxel_ml), uptake(denoised, found_region, voxel_ml)
        overlap = 2.0 * (found_region & region).sum() / (found_region.sum() + region.sum())
        print(
            f"{organ.name:12}{'':14}{_pair(true.suv_mean, found.suv_mean, 2)}"
            f"{_pair(true.volume_ml, found.volume_ml, 0)}{'':18}{overlap:>7.2f}"
        )
    write_overview(
        picture,
        low_count,
        denoised,
        lesions,
        organs,
        spacing,
        truth_suv=true_suv,
        title=f"{low_count_node.GetName()} (simulated)",
        truth_lesions=true_lesions,
    )


def _labels(segmentation_node, reference_node, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return lesion instances and organ labels from the scene's segments."""
    lesions, organs = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    labels = {organ.name: organ.label for organ in ORGANS}
    segmentation = segmentation_node.GetSegmentation()
    for identity in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(identity)
        region = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, identity, reference_node) > 0
        if is_lesion(segment):
            lesions[region] = int(segment.GetName().rpartition(" ")[2])
        else:
            organs[region] = labels[segment.GetName()]
    return lesions, organs


def _pair(true: float, found: float, digits: int) -> str:
    return f"{true:.{digits}f} -> {found:.{digits}f}".rjust(18)
