"""A real FDG PET series as if it were a patient: scanned again by the simulator, at fewer counts.

Its image, smoothed so that little of its own noise is left, becomes the activity; body and lungs are read
off it for the attenuation. Low-count, high-count and noise-free images and a manifest are written, so that
`python -m AMDiffLib.evaluate` can be run on anatomy that the simulator never painted. There are no organ
labels, and the only lesion is the one contoured in the series' RTSTRUCT, where one is given.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
import torch
from matplotlib.path import Path as Polygon
from real_series import describe, read_series
from scipy import ndimage
from study_output import study_parser

from AMDiffLib.image.volume import PetVolume
from AMDiffLib.simulation.acquisition import acquire
from AMDiffLib.simulation.cohort import write_cohort_manifest, write_subject
from AMDiffLib.simulation.phantom import Phantom
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS
from AMDiffLib.simulation.subject import FIELD_OF_VIEW_MM, SimulatedSubject

SMOOTHED_MM = 6.0
FINE_MM = 2.0
WATER, LUNG = 0.096, 0.029  # 1/cm at 511 keV
BODY_SUV, LUNG_SUV = 0.15, 0.55
LUNG_DEPTH_MM, LUNG_ML = 25.0, 300.0


def contoured(volume: PetVolume, structures: Path, roi: str) -> np.ndarray:
    """Return the mask (z, y, x) of the structure named `roi` of an RTSTRUCT, by voxel centres."""
    plan = pydicom.dcmread(structures)
    numbers = {str(item.ROIName): item.ROINumber for item in plan.StructureSetROISequence}
    if roi not in numbers:
        raise SystemExit(f"{structures} has no structure {roi!r}; it has {', '.join(sorted(numbers))}.")
    mask = np.zeros(volume.suv.shape, bool)
    rows, columns = np.indices(mask.shape[1:])
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    for item in plan.ROIContourSequence:
        if item.ReferencedROINumber != numbers[roi]:
            continue
        for contour in item.ContourSequence:
            points = np.reshape(np.asarray(contour.ContourData, float), (-1, 3))
            indices = (points - volume.origin) / volume.spacing
            plane = round(float(indices[0, 2]))
            mask[plane] ^= Polygon(indices[:, :2]).contains_points(centres).reshape(mask.shape[1:])
    return mask


def phantom_of_scan(volume: PetVolume, lesion: np.ndarray, weight_kg: float) -> Phantom:
    """Return the scan as a phantom on voxels of FINE_MM, its middle on the scanner's axis."""
    slices = int(volume.suv.shape[0] * volume.spacing[2] / FINE_MM) // 4 * 4
    columns = round(FIELD_OF_VIEW_MM / FINE_MM)
    image = sitk.GetImageFromArray(volume.suv)
    image.SetSpacing(volume.spacing)
    image.SetOrigin(volume.origin)
    sigma = SMOOTHED_MM / 2.3548
    smooth = sitk.SmoothingRecursiveGaussian(image, sigma)
    body = _body(sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, 4.0)))
    middle = [float(np.mean(axis)) for axis in np.nonzero(body)][::-1]
    centre = image.TransformContinuousIndexToPhysicalPoint(middle)
    grid = sitk.Image(columns, columns, slices, sitk.sitkFloat32)
    grid.SetSpacing((FINE_MM,) * 3)
    half = FINE_MM * (columns - 1) / 2
    grid.SetOrigin((centre[0] - half, centre[1] - half, volume.origin[2]))

    def resampled(source: sitk.Image, how: int) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.Resample(source, grid, sitk.Transform(), how, 0.0))

    suv = resampled(smooth, sitk.sitkLinear)
    shaped = _body(ndimage.gaussian_filter(suv, 2.0))
    suv = np.where(shaped, suv.clip(0.0), 0.0)
    depth = ndimage.distance_transform_edt(shaped, sampling=FINE_MM)
    lung = _large_parts((ndimage.gaussian_filter(suv, 2.5) < LUNG_SUV) & (depth > LUNG_DEPTH_MM))
    tumour = sitk.GetImageFromArray(lesion.astype(np.uint8))
    tumour.CopyInformation(image)
    lesions = resampled(tumour, sitk.sitkNearestNeighbor).astype(np.uint8)
    return Phantom(
        suv=torch.from_numpy(suv.astype(np.float32)),
        attenuation=torch.from_numpy(np.where(lung, LUNG, WATER * shaped).astype(np.float32)),
        organs=torch.zeros(suv.shape, dtype=torch.uint8),
        lesions=torch.from_numpy(lesions),
        structures=torch.zeros(suv.shape, dtype=torch.uint8),
        structure_names=("nothing",),
        spacing_mm=(FINE_MM,) * 3,
        weight_kg=weight_kg,
    )


def _body(smooth: np.ndarray) -> np.ndarray:
    """Return the largest part above BODY_SUV, its holes filled slice by slice."""
    labels, _ = ndimage.label(smooth > BODY_SUV)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest])


def _large_parts(mask: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(mask)
    millilitres = np.bincount(labels.ravel()) * FINE_MM**3 / 1e3
    millilitres[0] = 0.0
    return (millilitres > LUNG_ML)[labels]


def main() -> None:
    """Scan the series again and write the cohort."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--series", type=Path, required=True, help="folder of a DICOM PET series")
    parser.add_argument("--structures", type=Path, help="RTSTRUCT with the lesion's contours")
    parser.add_argument("--roi", default="GTV_Mass", help="name of the contoured lesion (default GTV_Mass)")
    parser.add_argument("--scanner", default="discovery-st", choices=sorted(SCANNERS))
    parser.add_argument("--levels", default="5,10,20", help="percent of the scan's duration")
    options = parser.parse_args()

    volume, headers = read_series(options.series)
    lesion = np.zeros(volume.suv.shape, bool)
    if options.structures is not None:
        lesion = contoured(volume, options.structures, options.roi)
    scan = describe(volume, headers, slice(None))
    phantom = phantom_of_scan(volume, lesion, scan.weight_kg)
    scanner = SCANNERS[options.scanner]
    levels = [float(level) for level in options.levels.split(",")]
    high = 100.0 * scanner.high_count_factor
    measurement = acquire(
        phantom,
        scanner,
        levels_percent=(*levels, high),
        seed=options.seed,
        injected_mbq=scan.injected_mbq,
    )
    protocol = scanner.reconstruction_on((2 * FINE_MM,) * 3)
    images = osem(measurement, protocol)
    subject = SimulatedSubject(
        index=0,
        scanner=scanner,
        reconstruction=protocol,
        injected_mbq=scan.injected_mbq,
        phantom=phantom.coarsened(2),
        low_count={level: images[level] for level in levels},
        high_count=images[high],
        nac={},
        prompts={level: measurement.prompts(level) for level in (*levels, high)},
        effective_counts={level: measurement.effective_counts(level) for level in (*levels, high)},
    )
    write_subject(options.output, "reprojected", subject)
    write_cohort_manifest(options.output)
    lesion_ml = float((subject.phantom.lesions > 0).sum()) * (2 * FINE_MM) ** 3 / 1e3
    print(f"{options.output / 'manifest.json'}: lesion {lesion_ml:.1f} mL, {scan.model}")


if __name__ == "__main__":
    main()
