"""What a model says of scans unlike those it was trained on, and what it makes of them.

One simulated person, scanned and changed in ten ways; every case goes through the checks of a job and through
the networks. Errors are against the high-count image of the same case: NRMSE by the range of that image in
liver and lesions, and the volume marked as lesion outside true lesions. Where a check refuses, the networks
run nevertheless, so that the refusal can be judged by the error that it spares the reader.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from study_output import study_parser, table, write_json

from AMDiffLib.description.measures import ScanMeasures
from AMDiffLib.errors import AMDiffError, BadInput
from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.resampling import onto_grid, to_spacing
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.config import DEFAULT_TILE
from AMDiffLib.inference.envelope import Envelope, outside, refuse_meaningless
from AMDiffLib.inference.pipeline import denoise_and_segment
from AMDiffLib.inference.study import LoadedModel
from AMDiffLib.inference.weights import DEFAULT_MODEL
from AMDiffLib.labels import ORGANS
from AMDiffLib.progress import SilentReporter
from AMDiffLib.simulation.acquisition import acquire, counted
from AMDiffLib.simulation.nema import injected_mbq, make_nema_phantom
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS
from AMDiffLib.simulation.subject import SimulationSettings, simulate_subjects

TESTING = Path(__file__).resolve().parents[1]
LIVER = next(organ.label for organ in ORGANS if organ.name == "liver")
VOXEL_MM = 4.0
LEVELS = (1.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scan as a job gets it, its high-count image, and the truth on the same grid, (z, y, x)."""

    name: str
    scan: PetVolume
    reference: np.ndarray
    organs: np.ndarray
    lesions: np.ndarray


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="an installed model or a folder")
    parser.add_argument("--only", help="cases by comma (default: all)")
    options = parser.parse_args(arguments)
    model = LoadedModel.load(options.model, options.device, SilentReporter())
    envelope = Envelope.of_model(model.config)
    chosen = options.only.split(",") if options.only else None
    rows, results = [], {}
    for case in _cases(options.seed, options.device):
        if chosen and case.name not in chosen:
            continue
        began = time.monotonic()
        said, refused = _checked(case, envelope)
        figures = _figures(case, model)
        results[case.name] = {"said": said, "refused": refused, **figures}
        rows.append([case.name, "refused" if refused else f"{len(said)} said", *figures.values()])
        print(f"{case.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        for text in said:
            print(f"  {text}", file=sys.stderr)
    header = [
        "case",
        "checks",
        "liver NRMSE",
        "low-count",
        "lesion NRMSE",
        "low-count",
        "lesion mL",
        "false mL",
    ]
    print(table(header, rows))
    for name, result in results.items():
        print(f"\n{name}:")
        print("\n".join(f"- {text}" for text in result["said"]) or "- nothing")
    write_json(options.output / "outside_envelope.json", results)
    return 0


def _checked(case: Case, envelope: Envelope | None) -> tuple[list[str], bool]:
    """What a job says of the scan, and whether it refuses it."""
    measures = ScanMeasures.of(case.scan)
    try:
        refuse_meaningless(measures)
    except BadInput as error:
        return [str(error)], True
    return [*case.scan.warnings, *outside(measures, envelope)], False


def _figures(case: Case, model: LoadedModel) -> dict[str, float | str]:
    names = ("liver", "liver_low_count", "lesion", "lesion_low_count", "marked_ml", "false_ml")
    try:
        result = denoise_and_segment(
            case.scan, model.network, steps=None, seed=0, device=model.device, tile=DEFAULT_TILE,
            reporter=SilentReporter(),
        )  # fmt: skip
    except AMDiffError as error:
        return dict.fromkeys(names, error.kind)
    liver, lesion = case.organs == LIVER, case.lesions > 0
    marked = result.lesions
    values = [
        _nrmse(image, case.reference, region)
        for region in (liver, lesion)
        for image in (result.denoised, case.scan.suv)
    ]
    values += [
        float(np.count_nonzero(part)) * case.scan.voxel_volume_ml for part in (marked, marked & ~lesion)
    ]
    return dict(zip(names, values, strict=True))


def _nrmse(image: np.ndarray, reference: np.ndarray, region: np.ndarray) -> float | str:
    """Root mean square error in the region, by the range of the reference there; "-" where it is empty."""
    if np.count_nonzero(region) < 2:
        return "-"
    true = reference[region].astype(np.float64)
    return float(np.sqrt(np.mean((image[region] - true) ** 2)) / np.ptp(true))


def _cases(seed: int, device: str) -> Iterator[Case]:
    settings = SimulationSettings(
        scanners=("mct",),
        seed=8000 + seed,
        levels_percent=LEVELS,
        voxel_mm=VOXEL_MM,
        nac=True,
        healthy_share=0.0,
    )
    (person,) = simulate_subjects(settings, [0], device=device)
    organs, lesions = person.phantom.organs.numpy(), person.phantom.lesions.numpy()
    reference, low = person.high_count.numpy(), {level: x.numpy() for level, x in person.low_count.items()}
    source = {"format": "simulated", "weight_kg": float(person.phantom.weight_kg)}
    inside = Case(
        name="inside", scan=_volume(low[10.0], source), reference=reference, organs=organs, lesions=lesions
    )
    yield inside
    yield replace(inside, name="1 % counts", scan=_volume(low[1.0], source))
    yield replace(inside, name="NAC", scan=_volume(person.nac[10.0].numpy(), source))
    yield _in_voxels(inside, "2 mm voxels", 2.0)
    yield _in_voxels(inside, "8 mm voxels", 8.0)
    top = np.flatnonzero((organs == LIVER).any(axis=(1, 2)))
    yield _cut(inside, "head and neck alone", slice(len(organs) - 60, None))
    yield _cut(inside, "pelvis alone", slice(None, max(int(top[0]) - 10, 40)))
    five = replace(inside.scan, suv=inside.scan.suv * 5)
    yield replace(inside, name="SUV x 5", scan=five, reference=reference * 5)
    nothing_known = replace(five, source={"format": "NRRD"})
    yield replace(inside, name="SUV x 5, no weight", scan=nothing_known, reference=reference * 5)
    yield _other_tracer(inside)
    yield _nema(device, seed)


def _volume(suv: np.ndarray, source: dict) -> PetVolume:
    return PetVolume(
        suv=suv.astype(np.float32), spacing=(VOXEL_MM,) * 3, origin=(0.0, 0.0, 0.0),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), source=dict(source),
    )  # fmt: skip


def _in_voxels(case: Case, name: str, size_mm: float) -> Case:
    """The same scan exported with other voxels: averaged to larger ones, interpolated to smaller ones."""
    grid = to_spacing(case.scan.with_array(case.scan.suv), size_mm)

    def moved(array: np.ndarray, interpolator: int) -> np.ndarray:
        return sitk.GetArrayFromImage(onto_grid(case.scan.with_array(array), grid, interpolator))

    scan = replace(
        case.scan, suv=sitk.GetArrayFromImage(grid), spacing=grid.GetSpacing(), origin=grid.GetOrigin()
    )
    return Case(
        name=name, scan=scan, reference=moved(case.reference, sitk.sitkLinear),
        organs=moved(case.organs, sitk.sitkNearestNeighbor),
        lesions=moved(case.lesions.astype(np.uint8), sitk.sitkNearestNeighbor),
    )  # fmt: skip


def _cut(case: Case, name: str, slices: slice) -> Case:
    scan = replace(case.scan, suv=np.ascontiguousarray(case.scan.suv[slices]))
    return Case(
        name=name, scan=scan, reference=case.reference[slices], organs=case.organs[slices],
        lesions=case.lesions[slices],
    )  # fmt: skip


def _other_tracer(case: Case) -> Case:
    """The same voxels in a DICOM series that names another tracer."""
    sys.path.append(str(TESTING))
    from dicom_builder import code, write_series

    stored = np.clip(np.round(case.scan.suv * 500), -32768, 32767).astype(np.int16)
    with tempfile.TemporaryDirectory() as folder:
        write_series(
            Path(folder), stored, positions=[VOXEL_MM * k for k in range(len(stored))], Units="GML",
            pixel_spacing=(VOXEL_MM, VOXEL_MM), RescaleSlope="0.002", RadionuclideHalfLife="4069.7",
            RadionuclideCodeSequence=code("C-131A3", "SRT", "^68^Gallium"),
            Radiopharmaceutical="PSMA-11 68Ga", PatientWeight=f"{case.scan.source['weight_kg']:.1f}",
        )  # fmt: skip
        return replace(case, name="68Ga-PSMA by its tag", scan=read_pet(folder))


def _nema(device: str, seed: int) -> Case:
    """The NEMA image-quality phantom at a tenth of the counts; its spheres are what is marked rightly."""
    scanner = SCANNERS["mct"]
    phantom = make_nema_phantom(
        spacing_mm=(VOXEL_MM / 2,) * 3, field_of_view_mm=500.0, hot_ratio=4.0, device=device
    )
    scan = acquire(
        phantom, scanner, levels_percent=[10.0, 100.0], seed=seed, injected_mbq=injected_mbq(phantom)
    )
    images = osem(
        counted(scan, levels_percent=[10.0, 100.0], seed=seed), scanner.reconstruction_on((VOXEL_MM,) * 3)
    )
    low, high = (images[level].cpu().numpy() for level in (10.0, 100.0))
    hot = high > 2.0 * np.median(high[high > 0.3])
    return Case(
        name="NEMA phantom", scan=_volume(low, {"format": "simulated"}), reference=high,
        organs=np.zeros(low.shape, np.uint8), lesions=hot,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
