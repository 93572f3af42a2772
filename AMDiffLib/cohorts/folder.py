"""The folder of a converted cohort: a subfolder a subject, the manifest, and what became of each case."""

from __future__ import annotations

import csv
import hashlib
import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from AMDiffLib.cohorts.cohort_files import MANIFEST, keep_settings, write_json, write_manifest
from AMDiffLib.cohorts.conversion import ConversionSettings, ConvertedSubject, convert
from AMDiffLib.cohorts.examination import Examination
from AMDiffLib.command import named_error
from AMDiffLib.errors import BadInput, Cancelled, CannotWrite, OutOfMemory, SomeFailed
from AMDiffLib.image.nrrd_file import write_nrrd
from AMDiffLib.progress import Reporter

DONE, UNCHANGED, FAILED = "done", "unchanged", "failed"
TABLE, _ENTRIES = "cases.csv", "cases.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one examination; `reason` says why it failed, or what its reader should know."""

    case: str
    status: str
    reason: str = ""


def convert_cohort(
    examinations: Sequence[Examination],
    settings: ConversionSettings,
    folder: Path,
    *,
    layout: str,
    finding: Mapping[str, Any],
    reporter: Reporter,
) -> list[Outcome]:
    """Convert examinations into `folder`, one after the other, and write manifest.json and cases.csv there.

    An examination that an earlier call has converted from the same files is left alone. `layout` and
    `finding` say, for the record, how the examinations were found (JSON-able).

    Raises:
        BadInput: the folder holds a cohort converted with other settings.
        CannotWrite: the disk is full, or the folder cannot be written.
        OutOfMemory: an examination does not fit into memory.
        SomeFailed: some examinations could not be taken; the others are in the manifest.
        Cancelled: a stop was requested; finished subjects stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_settings(folder, {"layout": layout, "finding": dict(finding), **asdict(settings)})
    outcomes: list[Outcome] = []
    taken: dict[str, str] = {}
    for number, examination in enumerate(examinations):
        reporter.check_cancelled()
        reporter.stage("convert", f"{examination.place} ({number + 1} of {len(examinations)})")
        same = taken.setdefault(examination.subject, examination.place)
        if same != examination.place:
            reason = f"It would have the same name as {same}. Rename one of the folders."
            outcomes.append(Outcome(case=examination.place, status=FAILED, reason=reason))
        else:
            outcomes.append(_outcome(examination, settings, folder))
        if outcomes[-1].reason:
            failed = " failed" if outcomes[-1].status == FAILED else ""
            reporter.warning(f"{examination.place}{failed}: {outcomes[-1].reason}")
        _write_manifest(folder, layout, [e.subject for e in examinations])
        _write_table(folder, outcomes)
        reporter.progress((number + 1) / len(examinations))
    failed = [outcome for outcome in outcomes if outcome.status == FAILED]
    if failed:
        raise SomeFailed(
            f"{len(failed)} of {len(outcomes)} examinations could not be taken; {TABLE} says why. The "
            f"manifest lists the other {len(outcomes) - len(failed)}."
        )
    return outcomes


def _outcome(examination: Examination, settings: ConversionSettings, folder: Path) -> Outcome:
    try:
        source = _fingerprint(examination)
        if _is_converted(folder / examination.subject, source):
            return Outcome(case=examination.place, status=UNCHANGED)
        subject = convert(examination, settings)
        _write_subject(folder, subject, source)
        return Outcome(case=examination.place, status=DONE, reason=" ".join(subject.warnings))
    except Exception as error:
        named = named_error(error)
        if isinstance(named, Cancelled | CannotWrite | OutOfMemory):
            raise  # the next examination would fare no better
        if named is None:
            traceback.print_exc()
        # What an earlier call made of other files must not stand for this examination.
        (folder / examination.subject / _ENTRIES).unlink(missing_ok=True)
        reason = str(named) if named else f"{type(error).__name__}: {error}"
        return Outcome(case=examination.place, status=FAILED, reason=reason)


def _fingerprint(examination: Examination) -> str:
    """Names, sizes and times of all files of an examination: reading whole cohorts again would take hours."""
    digest = hashlib.sha256()
    for file in examination.files():
        try:
            state = file.stat()
        except OSError as error:
            raise BadInput(f"The file {file.name} cannot be read ({error.strerror}).") from None
        digest.update(f"{file.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _is_converted(folder: Path, source: str) -> bool:
    try:
        content = json.loads((folder / _ENTRIES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return content.get("source_fingerprint") == source


def _write_subject(folder: Path, subject: ConvertedSubject, source: str) -> None:
    own = folder / subject.subject
    own.mkdir(exist_ok=True)
    (own / _ENTRIES).unlink(missing_ok=True)

    def write(image: sitk.Image, stem: str) -> str:
        plain = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image))  # no header of the source's
        plain.CopyInformation(image)
        write_nrrd(own / f"{stem}.nrrd", plain)
        return f"{subject.subject}/{stem}.nrrd"

    shared: dict[str, Any] = {
        "high_count": write(subject.high_count, "high_count"),
        "organs": write(subject.organs, "organs"),
        "lesions": write(subject.lesions, "lesions"),
    }
    if subject.unlabelled:
        shared["unlabelled"] = list(subject.unlabelled)
    cases = [
        {
            "subject": subject.subject,
            "patient": subject.patient,
            "scanner": subject.scanner,
            "counts_percent": round(level, 4),
            "low_count": write(image, f"low_count_{level:.4g}"),
            **shared,
        }
        for level, image in subject.low_count.items()
    ]
    # Written last, and whole: its presence says that the subject is complete.
    write_json(own / _ENTRIES, {"source_fingerprint": source, "cases": cases})


def _write_manifest(folder: Path, layout: str, order: Sequence[str]) -> None:
    cases = []
    for subject in dict.fromkeys(order):
        entries = folder / subject / _ENTRIES
        if entries.exists():
            cases += json.loads(entries.read_text(encoding="utf-8"))["cases"]
    write_manifest(folder / MANIFEST, cases, source=f"AMDiffLib.prepare_cohort {layout}")


def _write_table(folder: Path, outcomes: Sequence[Outcome]) -> None:
    partial = folder / f"{TABLE}.partial"
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "status", "reason"))
        writer.writerows((outcome.case, outcome.status, outcome.reason) for outcome in outcomes)
    partial.replace(folder / TABLE)
