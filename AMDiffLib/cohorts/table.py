"""A cohort at a glance: what each subject holds, and what is wrong with it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from AMDiffLib.cohorts.checks import CheckLimits, SubjectImages, problems_of
from AMDiffLib.errors import BadInput
from AMDiffLib.labels import ORGANS
from AMDiffLib.progress import Reporter
from AMDiffLib.training.manifest import ManifestCase, read_cases


@dataclass(frozen=True, kw_only=True)
class SubjectRow:
    """One subject: levels in percent, voxel size in mm, volumes in mL, how many things are wrong."""

    subject: str
    patient: str
    scanner: str
    levels: str
    voxel_mm: str
    voxels: str
    high_count_mean: float
    high_count_max: float
    lesions: int
    lesion_ml: float
    organs: str
    organ_ml: float
    unlabelled: str
    problems: int


@dataclass(frozen=True, kw_only=True)
class CheckedCohort:
    """The rows of a cohort, all that is wrong with it, and a checksum of each subject's high-count voxels."""

    rows: tuple[SubjectRow, ...]
    problems: tuple[str, ...]
    checksums: dict[str, str]


def check_manifest(
    path: Path,
    *,
    limits: CheckLimits,
    voxel_size_mm: float | None = None,
    reporter: Reporter,
    before: float = 0.0,
    after: float = 1.0,
) -> CheckedCohort:
    """Load every subject of a manifest in turn and check it.

    Args:
        path: the manifest.
        limits: beyond which a case is wrong.
        voxel_size_mm: that all should have; None: that of the first subject.
        reporter: told of progress from `before` to `after`.

    Raises:
        BadInput: the file is no manifest.
    """
    cases, found = read_cases(path)
    groups: dict[str, list[ManifestCase]] = {}
    for case in cases:
        groups.setdefault(case.subject, []).append(case)
    rows, problems, checksums = [], list(found), {}
    for number, (subject, group) in enumerate(groups.items(), start=1):
        reporter.check_cancelled()
        reporter.stage("check", f"Checking {subject} ({number} of {len(groups)})")
        try:
            images = _load(group)
        except BadInput as error:
            problems.append(str(error))
            continue
        own = problems_of(images, limits)
        voxel_size_mm = voxel_size_mm or images.spacing[0]
        if not np.allclose(images.spacing, voxel_size_mm, rtol=0.02):
            own.append(
                f"subject '{subject}': its voxels are {_size(images.spacing)} mm, {voxel_size_mm:g} mm are "
                "expected. A model is trained on one voxel size; resample the cohort."
            )
        digest = hashlib.sha256(np.ascontiguousarray(images.high_count)).hexdigest()
        twin = next((other for other, checksum in checksums.items() if checksum == digest), None)
        if twin:
            own.append(f"subject '{subject}': its high-count image is that of subject '{twin}'.")
        checksums[subject] = digest
        problems += own
        rows.append(_row(group[0], images, len(own)))
        reporter.progress(before + (after - before) * number / len(groups))
    return CheckedCohort(rows=tuple(rows), problems=tuple(problems), checksums=checksums)


def shared_images(cohort: CheckedCohort, other: CheckedCohort) -> list[str]:
    """Sentences on subjects of two cohorts that are the same scan by its voxels, whatever their names."""
    names = {checksum: subject for subject, checksum in other.checksums.items()}
    return [
        f"subject '{subject}': its high-count image is that of '{names[checksum]}' in the other manifest."
        for subject, checksum in cohort.checksums.items()
        if checksum in names
    ]


def as_text(rows: Sequence[SubjectRow]) -> str:
    """The table for a terminal, with totals."""
    head = (
        "subject",
        "scanner",
        "levels %",
        "voxel mm",
        "mean SUV",
        "lesions",
        "lesion mL",
        "organs",
        "wrong",
    )
    body = [
        (
            row.subject,
            row.scanner,
            row.levels,
            row.voxel_mm,
            f"{row.high_count_mean:.2f}",
            "not labelled" if "lesions" in row.unlabelled else f"{row.lesions}",
            "" if "lesions" in row.unlabelled else f"{row.lesion_ml:.1f}",
            "not labelled" if "organs" in row.unlabelled else _organs(row),
            f"{row.problems}" if row.problems else "",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *body)
    ]
    people, scanners = {row.patient for row in rows}, {row.scanner for row in rows}
    lines.append(
        f"subjects {len(rows)}, people {len(people)}, scanners {len(scanners)}, "
        f"lesions {sum(row.lesions for row in rows)} ({sum(row.lesion_ml for row in rows):.1f} mL), "
        f"subjects without lesions {sum(_healthy(row) for row in rows)}"
    )
    return "\n".join(lines)


def write_table(path: Path, rows: Sequence[SubjectRow]) -> None:
    """Write the rows as CSV (UTF-8)."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(SubjectRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _load(group: Sequence[ManifestCase]) -> SubjectImages:
    first = group[0]
    high_count = _read(first, first.high_count)
    return SubjectImages(
        subject=first.subject,
        spacing=high_count.GetSpacing(),
        high_count=sitk.GetArrayFromImage(high_count),
        low_count={
            case.counts_percent: sitk.GetArrayFromImage(_read(case, case.low_count)) for case in group
        },
        organs=sitk.GetArrayFromImage(_read(first, first.organs)),
        lesions=sitk.GetArrayFromImage(_read(first, first.lesions)),
    )


def _read(case: ManifestCase, path: Path) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError:
        raise BadInput(f"{case}: the file {path} is damaged or cut short.") from None


def _row(case: ManifestCase, images: SubjectImages, problems: int) -> SubjectRow:
    voxel_ml = float(np.prod(images.spacing)) / 1000.0
    inside = images.high_count > 0.1
    lesions = images.lesions[images.lesions > 0]
    present = set(np.unique(images.organs).tolist())
    return SubjectRow(
        subject=case.subject,
        patient=case.patient,
        scanner=case.scanner,
        levels=" ".join(f"{level:g}" for level in sorted(images.low_count)),
        voxel_mm=_size(images.spacing),
        voxels=" x ".join(str(length) for length in images.high_count.shape[::-1]),
        high_count_mean=round(float(images.high_count[inside].mean()), 4) if inside.any() else 0.0,
        high_count_max=round(float(images.high_count.max()), 4),
        lesions=len(np.unique(lesions)),
        lesion_ml=round(lesions.size * voxel_ml, 3),
        organs=" ".join(organ.name for organ in ORGANS if organ.label in present),
        organ_ml=round(float((images.organs > 0).sum()) * voxel_ml, 1),
        unlabelled=" ".join(case.unlabelled),
        problems=problems,
    )


def _organs(row: SubjectRow) -> str:
    return "all seven" if len(row.organs.split()) == len(ORGANS) else row.organs


def _healthy(row: SubjectRow) -> bool:
    return not row.lesions and "lesions" not in row.unlabelled


def _size(spacing: Sequence[float]) -> str:
    sizes = [f"{size:.3g}" for size in spacing]
    return sizes[0] if len(set(sizes)) == 1 else " x ".join(sizes)
