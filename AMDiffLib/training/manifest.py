"""The manifest of a cohort: the list of its cases, checked without loading voxels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput

MANIFEST_FORMAT = "amdiff-manifest"
MANIFEST_VERSION = 1
LABELS = ("organs", "lesions")
IMAGES = ("low_count", "high_count", *LABELS)
_REQUIRED = ("subject", "scanner", "counts_percent", *IMAGES)
_REPORTED_AT_ONCE = 10


@dataclass(frozen=True, kw_only=True)
class ManifestCase:
    """One count level of one subject: SUV volumes (g/mL), organ labels (0, 2..8), lesion instances (0,
    1..n).

    Attributes:
        counts_percent: of the counts of `high_count`.
        patient: who was examined; a person examined twice is two subjects. By default the subject.
        unlabelled: which of "organs" and "lesions" nobody labelled, their image being empty.
    """

    subject: str
    scanner: str
    counts_percent: float
    low_count: Path
    high_count: Path
    organs: Path
    lesions: Path
    patient: str = ""
    unlabelled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patient:
            object.__setattr__(self, "patient", self.subject)

    def __str__(self) -> str:
        return f"subject '{self.subject}' at {self.counts_percent:g} % counts"


def read_manifest(path: Path | str) -> list[ManifestCase]:
    """Read a manifest and check every case without loading voxels.

    Raises BadInput naming the wrong cases: unknown format or version, missing key or file, differing grids,
    one level given twice, or levels of a subject that do not share their reference and labels.
    """
    cases, problems = read_cases(path)
    if problems:
        more = len(problems) - _REPORTED_AT_ONCE
        text = "\n".join(problems[:_REPORTED_AT_ONCE])
        raise BadInput(f"{text}\n... and {more} more" if more > 0 else text)
    return cases


def read_cases(path: Path | str) -> tuple[list[ManifestCase], list[str]]:
    """Return the cases of a manifest that have nothing wrong with them, and what is wrong with the others.

    Raises BadInput where the file as a whole is no manifest.
    """
    path = Path(path)
    cases: list[ManifestCase] = []
    problems: list[str] = []
    for number, entry in enumerate(manifest_entries(path), start=1):
        try:
            cases.append(_case(entry, number, path.parent))
            _check_level(cases)
        except BadInput as error:
            problems.append(str(error))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(_grid_problem, cases))
    problems += [problem for problem in found if problem]
    return [case for case, problem in zip(cases, found, strict=True) if not problem], problems


def manifest_entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a manifest as they are written, with all their keys.

    Raises BadInput where it cannot be read, is of another format or version, or lists no case.
    """
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
    if not isinstance(entries, list) or not entries:
        raise BadInput(f"{path} lists no cases; at least one is needed.")
    return entries


def refuse_shared_people(training: Iterable[ManifestCase], held_out: Iterable[ManifestCase]) -> None:
    """Raise BadInput, with the names, where a person is both trained on and held out."""
    first: dict[str, str] = {}
    for case in training:
        for key in _identities(case):
            first.setdefault(key, case.subject)
    shared = {case.subject: first[key] for case in held_out for key in _identities(case) if key in first}
    if shared:
        names = ", ".join(
            held if held == trained else f"{held} (as {trained})" for held, trained in shared.items()
        )
        raise BadInput(
            f"Held out, but also trained on: {names}. Figures on them would tell nothing. Split the cohort "
            "by person, such as with AMDiffLib.prepare_cohort split."
        )


def refuse_unlabelled(cases: Iterable[ManifestCase], needed: Sequence[str] = LABELS) -> None:
    """Raise BadInput, with the names, where labels that are `needed` are known to be missing.

    An empty label image would teach, or count as, the absence of what nobody looked for.
    """
    for name in needed:
        lacking = list(dict.fromkeys(case.subject for case in cases if name in case.unlabelled))
        if lacking:
            shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
            raise BadInput(
                f"The {name} of {shown} are not labelled, by the manifest. Such subjects can be used for "
                "the denoiser alone (--stage denoiser)."
            )


def _identities(case: ManifestCase) -> tuple[str, ...]:
    return f"patient {case.patient}", f"patient {case.subject}", f"file {case.high_count.resolve()}"


def _case(entry: Any, number: int, folder: Path) -> ManifestCase:
    if not isinstance(entry, dict):
        raise BadInput(f"Case {number} of the manifest is no JSON object.")
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise BadInput(f"Case {number} of the manifest lacks {', '.join(missing)}.")
    try:
        counts = float(entry["counts_percent"])
        paths = {key: folder / entry[key] for key in IMAGES}
    except (TypeError, ValueError):
        raise BadInput(
            f"Case {number} of the manifest: counts_percent should be a number and {', '.join(IMAGES)} paths."
        ) from None
    case = ManifestCase(
        subject=str(entry["subject"]),
        scanner=str(entry["scanner"]),
        counts_percent=counts,
        patient=str(entry.get("patient") or ""),
        unlabelled=tuple(entry.get("unlabelled") or ()),
        **paths,
    )
    if not (math.isfinite(counts) and counts > 0):
        raise BadInput(f"{case}: the counts should be a percentage above 0.")
    if unknown := sorted(set(case.unlabelled) - set(LABELS)):
        raise BadInput(f"{case}: unlabelled names {', '.join(unknown)}; expected {' or '.join(LABELS)}.")
    for key, file in paths.items():
        if not file.is_file():
            raise BadInput(f"{case}: the {key} file {file} does not exist.")
    return case


def _check_level(cases: list[ManifestCase]) -> None:
    """Hold the last case against the others of its subject, and take it off the list where it is wrong."""
    case = cases[-1]
    others = [other for other in cases[:-1] if other.subject == case.subject]
    if any(other.counts_percent == case.counts_percent for other in others):
        cases.pop()
        raise BadInput(f"{case}: listed twice. Give each level of a subject once.")
    for key in ("high_count", *LABELS, "unlabelled", "patient"):
        if others and getattr(case, key) != getattr(others[0], key):
            cases.pop()
            raise BadInput(
                f"{case}: its {key} differs from that of the subject's other levels; they must share one."
            )


def _geometry(path: Path) -> tuple[tuple[float, ...], ...]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection()


def _grid_problem(case: ManifestCase) -> str | None:
    geometries = {}
    for key in IMAGES:
        try:
            geometries[key] = _geometry(getattr(case, key))
        except RuntimeError:
            return f"{case}: the {key} file {getattr(case, key)} is not a readable image."
    reference = geometries["high_count"]
    if len(reference[0]) != 3:
        return f"{case}: the high_count image has {len(reference[0])} dimensions; 3 are expected."
    for key, geometry in geometries.items():
        for name, own, expected in zip(
            ("size", "spacing", "origin", "direction"), geometry, reference, strict=True
        ):
            if len(own) != len(expected) or not np.allclose(own, expected, rtol=1e-4, atol=1e-3):
                return (
                    f"{case}: the {key} image has {name} {own}, the high_count image {expected}. "
                    "All images of a case must lie on one grid; resample them first."
                )
    return None
