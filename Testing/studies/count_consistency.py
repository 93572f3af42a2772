"""The check against the counts on simulated people: nothing wrong, lesions added, lesions removed.

For each case the model denoises the low-count image. Null z-scores are those of spheres at random places of
the body, once with the model's image, once with the 400 % image in its stead, in which nothing is added
or removed. Added lesions are painted into the denoised image, removed ones are true lesions erased from it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from changed_lesions import places, with_added_lesion, with_erased_lesions
from count_consistency_report import Detection, NullScore, report
from scipy import ndimage
from study_output import study_parser

from AMDiffLib.image.reading import SUV_UNITS, read_pet
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.pipeline import denoise_and_segment
from AMDiffLib.inference.study import LoadedModel
from AMDiffLib.progress import SilentReporter
from AMDiffLib.quantification.count_consistency import CountConsistency
from AMDiffLib.quantification.counting_noise import COLDEST_SUV
from AMDiffLib.quantification.lesion_regions import LesionRegion, regions_of
from AMDiffLib.quantification.removed_uptake import removed_hot_spots

RADII_MM = (4.1, 6.0, 8.0, 12.0, 16.0)
DIAMETERS_MM = (8.0, 12.0, 16.0, 24.0)
RATIOS = (2.0, 3.0, 5.0, 8.0)
_LEAST_Z = 2.5
_NEAR_MM = 12.0
_LESION_DISTANCE_MM = 30.0
_TISSUE_SUV = (0.3, 4.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One count level of one person, with the image that the model made of it; (z, y, x) SUV."""

    name: str
    counts_percent: float
    scanner: str
    volume: PetVolume
    denoised: np.ndarray
    reference: np.ndarray
    lesions: np.ndarray


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.json of simulated people")
    parser.add_argument("--model", default="amdiff-compact", help="name or folder (default amdiff-compact)")
    parser.add_argument("--subjects", type=int, help="the first so many people (default all)")
    parser.add_argument("--null-places", type=int, default=300, help="spheres of a size a case (default 300)")
    parser.add_argument("--images", type=int, default=4, help="images with added lesions a case (default 4)")
    options = parser.parse_args(arguments)

    nulls: list[NullScore] = []
    detections: list[Detection] = []
    scans = 0
    for number, case in enumerate(cases(options)):
        rng = np.random.default_rng((options.seed, number))
        unchanged = CountConsistency.of(case.volume.suv, case.denoised, case.volume.spacing)
        ideal = CountConsistency.of(case.volume.suv, case.reference, case.volume.spacing)
        for image, consistency in (("model", unchanged), ("400 %", ideal)):
            nulls += null_scores(case, consistency, image, options.null_places, rng)
        detections += added(case, unchanged, options.images, rng)
        detections += removed(case, unchanged, rng)
        scans += 1
        print(f"{case.name} at {case.counts_percent:g} %", file=sys.stderr, flush=True)
    report(options.output, nulls, detections, scans)
    return 0


def cases(options):
    """Denoise the cases of the manifest, or read what an earlier run denoised into the output folder."""
    entries = json.loads(options.manifest.read_text(encoding="utf-8"))["cases"]
    subjects = list(dict.fromkeys(entry["subject"] for entry in entries))[: options.subjects]
    folder, model = options.manifest.parent, None
    kept = options.output / "denoised"
    kept.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        if entry["subject"] not in subjects:
            continue
        volume = read_pet(folder / entry["low_count"], units=SUV_UNITS)
        file = kept / f"{entry['subject']}-{entry['counts_percent']:g}.nrrd"
        if not file.exists():
            model = model or LoadedModel.load(options.model, options.device, SilentReporter())
            result = denoise_and_segment(
                volume, model.network, steps=None, seed=0, device=model.device, tile=96,
                reporter=SilentReporter(),
            )  # fmt: skip
            sitk.WriteImage(volume.with_array(result.denoised), str(file), useCompression=True)
        denoised = _array(file)
        yield Case(
            name=entry["subject"],
            counts_percent=entry["counts_percent"],
            scanner=entry["scanner"],
            volume=volume,
            denoised=denoised,
            reference=np.where(denoised != 0, _array(folder / entry["high_count"]), np.float32(0.0)),
            lesions=_array(folder / entry["lesions"]).astype(np.int32),
        )


def null_scores(
    case: Case, consistency: CountConsistency, image: str, count: int, rng: np.random.Generator
) -> list[NullScore]:
    """Scores of spheres at random places, of the true lesions, and the SD of the map."""
    grid, kind = consistency.grid, {"image": image, "counts_percent": case.counts_percent}
    warm = consistency.body & (consistency.denoised >= COLDEST_SUV)
    candidates = np.argwhere(warm)
    scores = []
    for radius in RADII_MM:
        reach = [int(radius / step) for step in reversed(grid.spacing)]
        axes = np.meshgrid(
            *[np.arange(-r, r + 1) * s for r, s in zip(reach, reversed(grid.spacing), strict=True)],
            indexing="ij",
        )
        sphere = (sum(axis**2 for axis in axes) <= radius**2).astype(np.float32)
        for place in candidates[rng.integers(len(candidates), size=count)]:
            box = tuple(slice(p - r, p + r + 1) for p, r in zip(place, reach, strict=True))
            if all(s.start >= 0 and s.stop <= n for s, n in zip(box, grid.shape, strict=True)):
                z = consistency.region_z(sphere, box)
                scores.append(NullScore(**kind, region=f"sphere of {radius:g} mm radius", z=z))
    for lesion in regions_of(case.lesions):
        scores.append(NullScore(**kind, region="true lesion", z=consistency.lesion_z(lesion)))
    scores += [
        NullScore(**kind, region="map", z=float(z)) for z in rng.choice(consistency.z_blocks[warm], 2000)
    ]
    return scores


def added(case: Case, unchanged: CountConsistency, images: int, rng: np.random.Generator) -> list[Detection]:
    """Scores of lesions painted into the denoised image, and of the same places without them."""
    spacing = case.volume.spacing
    allowed = (case.denoised > _TISSUE_SUV[0]) & (case.denoised < _TISSUE_SUV[1])
    if case.lesions.any():
        distance = ndimage.distance_transform_edt(case.lesions == 0, sampling=spacing[::-1])
        allowed &= distance > _LESION_DISTANCE_MM
    found = []
    for _ in range(images):
        changed, painted = case.denoised, []
        for place in places(allowed, spacing, 12, rng):
            diameter, ratio = rng.choice(DIAMETERS_MM), rng.choice(RATIOS)
            changed, lesion = with_added_lesion(changed, spacing, place, diameter_mm=diameter, ratio=ratio)
            painted.append(lesion)
        consistency = CountConsistency.of(case.volume.suv, changed, spacing)
        for lesion in painted:
            region = _region(lesion.mask)
            found.append(
                Detection(
                    kind="added", counts_percent=case.counts_percent,
                    volume_ml=np.pi / 6 * lesion.diameter_mm**3 / 1000.0, ratio=float(lesion.ratio),
                    score=consistency.lesion_z(region), null=unchanged.lesion_z(region),
                )
            )  # fmt: skip
    return found


def removed(case: Case, unchanged: CountConsistency, rng: np.random.Generator) -> list[Detection]:
    """Scores of true lesions erased from the denoised image, and of hot spots where nothing was erased."""
    volume, lesions = case.volume, regions_of(case.lesions)
    spots = removed_hot_spots(unchanged, volume.suv, case.denoised, volume, threshold=_LEAST_Z)
    every = case.lesions > 0
    away = ndimage.distance_transform_edt(~every, sampling=volume.spacing[::-1]) if every.any() else None
    found = [
        Detection(
            kind="false alarm", counts_percent=case.counts_percent, volume_ml=spot.volume_ml,
            ratio=float("nan"), score=-spot.count_z, null=0.0,
        )
        for spot in spots
        if away is None or away[_index(spot.centroid_lps_mm, volume)] > _NEAR_MM
    ]  # fmt: skip
    if not lesions:
        return found
    erased = with_erased_lesions(case.denoised, volume.spacing, every)
    consistency = CountConsistency.of(volume.suv, erased, volume.spacing)
    spots = removed_hot_spots(consistency, volume.suv, erased, volume, threshold=_LEAST_Z)
    # What the spot list gives for a lesion is the surest spot within 12 mm of it.
    indices = [_index(spot.centroid_lps_mm, volume) for spot in spots]
    candidates = np.argwhere(unchanged.body & (unchanged.denoised >= COLDEST_SUV))
    for lesion in lesions:
        voxels = lesion.voxels
        near = [
            -spot.count_z
            for spot, index in zip(spots, indices, strict=True)
            if np.linalg.norm((voxels - index) * volume.spacing[::-1], axis=1).min() <= _NEAR_MM
        ]
        mask = case.lesions == lesion.number
        background = float(erased[mask].mean())
        elsewhere = _moved(lesion, candidates[rng.integers(len(candidates))], unchanged)
        found.append(
            Detection(
                kind="removed", counts_percent=case.counts_percent,
                volume_ml=mask.sum() * volume.voxel_volume_ml,
                ratio=float(case.reference[mask].mean()) / max(background, 0.05),
                score=max(near, default=0.0),
                null=-unchanged.lesion_z(elsewhere),
                region_score=-consistency.lesion_z(lesion),
            )
        )  # fmt: skip
    return found


def _region(mask: np.ndarray) -> LesionRegion:
    (region,) = regions_of(mask.astype(np.int32))
    return region


def _moved(lesion: LesionRegion, block: np.ndarray, consistency: CountConsistency) -> LesionRegion:
    """The lesion's outline at another place."""
    box = []
    for start, side, factor, n in zip(
        block, lesion.box, consistency.grid.factors, consistency.grid.image_shape, strict=True
    ):
        length = side.stop - side.start
        first = int(np.clip(start * factor - length // 2, 0, n - length))
        box.append(slice(first, first + length))
    return LesionRegion(number=lesion.number, name=lesion.name, box=tuple(box), mask=lesion.mask)


def _index(lps_mm: tuple[float, float, float], volume: PetVolume) -> tuple[int, ...]:
    direction = np.asarray(volume.direction).reshape(3, 3)
    index = direction.T @ (np.asarray(lps_mm) - volume.origin) / volume.spacing
    return tuple(round(i) for i in index[::-1])


def _array(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


if __name__ == "__main__":
    sys.exit(main())
