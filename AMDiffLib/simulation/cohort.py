"""Cohorts of simulated subjects on disk: images, labels and a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import SimpleITK as sitk
import torch

from AMDiffLib.cohorts.cohort_files import MANIFEST, keep_settings, write_json, write_manifest
from AMDiffLib.image.nrrd_file import write_nrrd
from AMDiffLib.progress import Reporter, SilentReporter
from AMDiffLib.simulation.ct import hounsfield
from AMDiffLib.simulation.subject import SimulatedSubject, SimulationSettings, simulate_subjects


def write_cohort(
    folder: Path,
    settings: SimulationSettings,
    *,
    subjects: int,
    first_subject: int = 0,
    ct: bool = False,
    device: torch.device | str = "cpu",
    batch: int = 1,
    reporter: Reporter | None = None,
) -> Iterator[str]:
    """Write subjects and a manifest to `folder`, `batch` at a time; yield each name when it is on disk.

    The manifest lists all subjects that the folder holds. A subject that an earlier call has finished is kept
    as it is; one that was interrupted is made again, the same.

    Raises:
        BadInput: the folder holds a cohort made with other settings.
        Cancelled: a stop was requested; finished subjects stay.
    """
    reporter = reporter or SilentReporter()
    folder.mkdir(parents=True, exist_ok=True)
    keep_settings(folder, {**asdict(settings), "ct": ct})
    indices = range(first_subject, first_subject + subjects)
    done = [index for index in indices if _entry(folder, _name(settings, index)).exists()]
    write_cohort_manifest(folder)
    for finished, index in enumerate(done, start=1):
        reporter.progress(finished / subjects)
        yield _name(settings, index)
    missing = iter([index for index in indices if index not in set(done)])
    finished = len(done)
    while group := list(islice(missing, batch)):
        names = ", ".join(_name(settings, index) for index in group)

        def say(text: str, done: float, names: str = names, before: int = finished) -> None:
            reporter.check_cancelled()
            reporter.progress((before + done * len(group)) / subjects)
            reporter.stage("simulate", f"{names}: {text}")

        for subject in simulate_subjects(settings, group, device=device, say=say):
            name = _name(settings, subject.index)
            write_subject(folder, name, subject, ct)
            write_cohort_manifest(folder)
            finished += 1
            reporter.progress(finished / subjects)
            yield name


def _name(settings: SimulationSettings, index: int) -> str:
    return f"sim-{settings.seed}-{index:04d}"


def _entry(folder: Path, name: str) -> Path:
    return folder / name / "cases.json"


def write_cohort_manifest(folder: Path) -> None:
    """Write the manifest of all subjects that lie in `folder` whole."""
    cases = [
        case
        for entry in sorted(folder.glob("*/cases.json"))
        for case in json.loads(entry.read_text(encoding="utf-8"))
    ]
    write_manifest(
        folder / MANIFEST,
        cases,
        source="AMDiffLib.simulate: levels are shorter scans, not lower doses; a result on these cases of a "
        "model trained on this simulator's data is a result on its own generator",
    )


def write_subject(folder: Path, name: str, subject: SimulatedSubject, ct: bool = False) -> None:
    """Write one subject's images, and last its entry for the manifest, to `folder`/`name`."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    phantom = subject.phantom

    def write(volume: torch.Tensor, stem: str) -> str:
        image = sitk.GetImageFromArray(volume.numpy())
        depth_mm, height_mm, width_mm = phantom.spacing_mm
        image.SetSpacing((width_mm, height_mm, depth_mm))
        rows, columns = volume.shape[1:]
        image.SetOrigin((-width_mm * (columns - 1) / 2, -height_mm * (rows - 1) / 2, 0.0))
        write_nrrd(folder / name / f"{stem}.nrrd", image)
        return f"{name}/{stem}.nrrd"

    shared = {
        "high_count": write(subject.high_count, "high_count"),
        "organs": write(phantom.organs, "organs"),
        "lesions": write(phantom.lesions, "lesions"),
        "truth": write(phantom.suv, "truth"),
        "injected_mbq": round(subject.injected_mbq, 1),
        "uptake_minutes": subject.scanner.uptake_minutes,
        "weight_kg": round(phantom.weight_kg, 1),
        "reconstruction": asdict(subject.reconstruction),
    }
    if ct:
        shared["ct"] = write(hounsfield(phantom.attenuation).round().to(torch.int16), "ct")
    cases = []
    for level, image in subject.low_count.items():
        case = {
            "subject": name,
            "scanner": subject.scanner.name,
            "counts_percent": level,
            "low_count": write(image, f"low_count_{level:g}"),
            "minutes_per_bed": subject.scanner.minutes * level / 100,
            "prompts": subject.prompts[level],
            "effective_counts": subject.effective_counts[level],
            **shared,
        }
        if level in subject.nac:
            case["nac"] = write(subject.nac[level], f"nac_{level:g}")
        cases.append(case)
    # Written last, and whole: its presence says that the subject is complete.
    write_json(_entry(folder, name), cases)
