"""A cohort of paired low- and high-count PET volumes with labels, checked and held in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput

MANIFEST_FORMAT = "amdiff-manifest"
MANIFEST_VERSION = 1
_IMAGES = ("low_count", "high_count", "organs", "lesions")
_REQUIRED = ("subject", "scanner", "counts_percent", *_IMAGES)
_BODY_SUV = 0.1
_BODY_VOXELS_KEPT = 20_000


@dataclass(frozen=True, kw_only=True)
class ManifestCase:
    """One count level of one subject: SUV volumes (g/mL), organ labels (0, 2..8), lesion instances (0,
    1..n).
    """

    subject: str
    scanner: str
    counts_percent: float
    low_count: Path
    high_count: Path
    organs: Path
    lesions: Path

    def __str__(self) -> str:
        return f"subject '{self.subject}' at {self.counts_percent:g} % counts"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A subject's volumes on one grid, (z, y, x); the levels share the reference and the labels.

    `low_count` maps the counts in per cent to a float16 SUV volume. `body` is a sample of flat voxel indices
    inside the body, `lesion_voxels` one array of flat indices per lesion instance.
    """

    name: str
    scanner: str
    low_count: dict[float, np.ndarray]
    high_count: np.ndarray
    organs: np.ndarray
    lesions: np.ndarray
    body: np.ndarray
    lesion_voxels: tuple[np.ndarray, ...]
    spacing: tuple[float, float, float]


def read_manifest(path: Path | str) -> list[ManifestCase]:
    """Read a manifest and check every case without loading voxels.

    Raises BadInput naming the case: unknown format or version, missing key or file, differing grids, one
    level given twice, or levels of a subject that do not share their reference and labels.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"The manifest {path} cannot be read ({error.strerror}). Give the manifest.json of a cohort."
        ) from error
    except ValueError as error:
        raise BadInput(f"The manifest {path} is not valid JSON: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != MANIFEST_FORMAT:
        raise BadInput(f'{path} is not a cohort manifest: its "format" should be "{MANIFEST_FORMAT}".')
    if content.get("version") != MANIFEST_VERSION:
        raise BadInput(
            f"{path} has manifest version {content.get('version')!r}; this software reads version "
            f"{MANIFEST_VERSION}."
        )
    entries = content.get("cases")
    if not entries:
        raise BadInput(f"{path} lists no cases; at least one is needed.")
    cases = [_case(entry, number, path.parent) for number, entry in enumerate(entries, start=1)]
    _check_levels(cases)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(_check_grids, cases))
    return cases


def load_cohort(
    cases: Sequence[ManifestCase], *, voxel_size_mm: float | None = None, threads: int = 2
) -> list[Subject]:
    """Load all volumes of `cases` into memory, one Subject per subject, in the manifest's order.

    Volumes are turned to LPS axes. Raises BadInput where a voxel size differs by more than 2 % from
    `voxel_size_mm` (the grid the model works at), or where values are not finite or labels unknown.
    """
    by_subject: dict[str, list[ManifestCase]] = {}
    for case in cases:
        by_subject.setdefault(case.subject, []).append(case)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda group: _load_subject(group, voxel_size_mm), by_subject.values()))


def _case(entry: dict, number: int, folder: Path) -> ManifestCase:
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise BadInput(f"Case {number} of the manifest lacks {', '.join(missing)}.")
    paths = {key: folder / entry[key] for key in _IMAGES}
    case = ManifestCase(
        subject=str(entry["subject"]),
        scanner=str(entry["scanner"]),
        counts_percent=float(entry["counts_percent"]),
        **paths,
    )
    for key, file in paths.items():
        if not file.is_file():
            raise BadInput(f"{case}: the {key} file {file} does not exist.")
    return case


def _check_levels(cases: Sequence[ManifestCase]) -> None:
    first: dict[str, ManifestCase] = {}
    seen: set[tuple[str, float]] = set()
    for case in cases:
        if (case.subject, case.counts_percent) in seen:
            raise BadInput(f"{case}: listed twice. Give each level of a subject once.")
        seen.add((case.subject, case.counts_percent))
        reference = first.setdefault(case.subject, case)
        for key in ("high_count", "organs", "lesions"):
            if getattr(case, key) != getattr(reference, key):
                raise BadInput(
                    f"{case}: its {key} differs from that of the subject's other levels; they must share one."
                )


def _geometry(path: Path) -> tuple[tuple[float, ...], ...]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection()


def _check_grids(case: ManifestCase) -> None:
    geometries = {}
    for key in _IMAGES:
        try:
            geometries[key] = _geometry(getattr(case, key))
        except RuntimeError as error:
            raise BadInput(f"{case}: the {key} file {getattr(case, key)} is not a readable image.") from error
    reference = geometries["high_count"]
    if len(reference[0]) != 3:
        raise BadInput(f"{case}: the high_count image has {len(reference[0])} dimensions; 3 are expected.")
    for key, geometry in geometries.items():
        for name, own, expected in zip(
            ("size", "spacing", "origin", "direction"), geometry, reference, strict=True
        ):
            if len(own) != len(expected) or not np.allclose(own, expected, rtol=1e-4, atol=1e-3):
                raise BadInput(
                    f"{case}: the {key} image has {name} {own}, the high_count image {expected}. "
                    "All images of a case must lie on one grid; resample them first."
                )


def _load_subject(cases: Sequence[ManifestCase], voxel_size_mm: float | None) -> Subject:
    case = cases[0]
    high_image = _read(case.high_count)
    spacing = high_image.GetSpacing()
    if voxel_size_mm is not None and not np.allclose(spacing, voxel_size_mm, rtol=0.02):
        raise BadInput(
            f"{case}: its voxels are {' x '.join(f'{s:.3g}' for s in spacing)} mm, the model works at "
            f"{voxel_size_mm:g} mm. Resample the cohort or set voxel_size_mm in the model's configuration."
        )
    high_count = _suv(high_image, case, "high_count")
    organs = sitk.GetArrayFromImage(_read(case.organs)).astype(np.uint8)
    unknown = sorted(set(np.unique(organs).tolist()) - {0, 2, 3, 4, 5, 6, 7, 8})
    if unknown:
        raise BadInput(
            f"{case}: organ labels {unknown} are unknown; 0 and 2..8 (liver .. aorta) are expected."
        )
    lesions = sitk.GetArrayFromImage(_read(case.lesions)).astype(np.uint8)
    return Subject(
        name=case.subject,
        scanner=case.scanner,
        low_count={c.counts_percent: _suv(_read(c.low_count), c, "low_count") for c in cases},
        high_count=high_count,
        organs=organs,
        lesions=lesions,
        body=_body_voxels(high_count),
        lesion_voxels=_instances(lesions),
        spacing=spacing,
    )


def _read(path: Path) -> sitk.Image:
    return sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")


def _suv(image: sitk.Image, case: ManifestCase, key: str) -> np.ndarray:
    array = sitk.GetArrayFromImage(image)
    if not np.isfinite(array).all():
        raise BadInput(f"{case}: the {key} image holds values that are not finite.")
    return array.astype(np.float16)  # relative precision 0.05 %, far below counting noise


def _body_voxels(high_count: np.ndarray) -> np.ndarray:
    mask = sitk.GetImageFromArray((high_count > _BODY_SUV).astype(np.uint8))
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(mask))
    indices = np.flatnonzero(sitk.GetArrayViewFromImage(parts) == 1)
    if indices.size > _BODY_VOXELS_KEPT:
        indices = np.random.default_rng(0).choice(indices, _BODY_VOXELS_KEPT, replace=False)
    return indices.astype(np.int64)


def _instances(lesions: np.ndarray) -> tuple[np.ndarray, ...]:
    indices = np.flatnonzero(lesions)
    values = lesions.ravel()[indices]
    return tuple(indices[values == value] for value in np.unique(values))
