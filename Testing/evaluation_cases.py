"""A cohort of noisy cylinders and an untrained model, to evaluate in seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from AMDiffLib.evaluation.scores import Score

SIDE = 32
LIVER = 2


def a_subject(seed: int) -> dict[str, np.ndarray]:
    """A warm cylinder with a liver that holds a lesion; the noise of the high-count image is a third."""
    _, y, x = np.indices((SIDE, SIDE, SIDE))
    body = (y - 15.5) ** 2 + (x - 15.5) ** 2 < 13**2
    truth = np.where(body, 1.0, 0.0).astype(np.float32)
    organs = np.zeros(truth.shape, np.uint8)
    organs[8:20, 8:18, 6:16] = LIVER
    lesions = np.zeros(truth.shape, np.uint8)
    lesions[12:15, 12:15, 9:12] = 1
    truth[organs == LIVER] = 2.0
    truth[lesions > 0] = 8.0
    random = np.random.default_rng(seed)

    def noisy(sd: float) -> np.ndarray:
        return np.clip(truth + sd * body * random.normal(size=truth.shape), 0, None).astype(np.float32)

    return {
        "low_count": noisy(0.6),
        "high_count": noisy(0.2),
        "truth": truth,
        "organs": organs,
        "lesions": lesions,
    }


def a_cohort(folder: Path, *numbers: int, levels: tuple[int, ...] = (10,)) -> Path:
    """Write the manifest of the subjects of these numbers, each at all levels."""
    cases = []
    for number in numbers:
        entry = {"subject": f"subject-{number}", "scanner": ("vision", "mct")[number % 2]}
        for name, array in a_subject(number).items():
            entry[name] = f"{number}-{name}.nrrd"
            write(folder / entry[name], array)
        for level in levels:
            low = f"{number}-low_count-{level}.nrrd"
            write(folder / low, a_subject(number + 10 * level)["low_count"])
            cases.append({**entry, "counts_percent": level, "low_count": low})
    path = folder / "manifest.json"
    path.write_text(json.dumps({"format": "amdiff-manifest", "version": 1, "cases": cases}))
    return path


def write(path: Path, array: np.ndarray) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((4.0, 4.0, 4.0))
    sitk.WriteImage(image, str(path))


def a_score(value: float, **others: object) -> Score:
    """A figure of one subject: the model's NRMSE in the liver, or what `others` make of it."""
    plain = Score(
        subject="a",
        scanner="mct",
        counts_percent=10.0,
        method="model",
        metric="nrmse_range",
        region="liver",
        reference="high_count",
        value=value,
    )
    return replace(plain, **others)


def command(manifest: Path, model: Path, output: Path, *more: str) -> list[str]:
    arguments = ["--manifest", str(manifest), "--model", str(model), "--output", str(output)]
    return [*arguments, "--tile", "32", "--device", "cpu", "--steps", "1", *more]
