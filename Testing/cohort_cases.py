"""A person small enough for a test, and the layouts in which people have such scans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SPACING = (2.0, 2.0, 3.0)
SHAPE = (32, 48, 48)  # (z, y, x): 96 mm cubed
LIVER_SUV, LESION_SUV, SMALL_LESION_SUV = 2.0, 8.0, 12.0


def a_person(seed: int = 0) -> dict[str, np.ndarray]:
    """A cylinder of SUV 1 with a liver, a large lesion and one of two voxels; `low_<percent>` thinned."""
    z, y, x = np.indices(SHAPE)
    body = (x - 23.5) ** 2 + (y - 23.5) ** 2 < 20**2
    liver = body & (x >= 28) & (z >= 8) & (z < 24)
    lesions = np.zeros(SHAPE, np.uint8)
    lesions[10:16, 20:28, 10:18] = 1
    lesions[24, 30, 14:16] = 1
    truth = np.where(body, 1.0, 0.0)
    truth[liver] = LIVER_SUV
    truth[10:16, 20:28, 10:18] = LESION_SUV
    truth[24, 30, 14:16] = SMALL_LESION_SUV
    random = np.random.default_rng(seed)

    def counted(percent: float) -> np.ndarray:
        scale = 2.0 * percent
        return (random.poisson(truth * scale) / scale).astype(np.float32)

    aorta = body & (abs(x - 24) < 4) & (abs(y - 10) < 4)
    return {
        "high": counted(100.0),
        "low_25": counted(25.0),
        "low_10": counted(10.0),
        "lesions": lesions,
        "liver": liver.astype(np.uint8),
        "aorta": aorta.astype(np.uint8),
    }


def an_image(array: np.ndarray, spacing: tuple[float, float, float] = SPACING) -> sitk.Image:
    """`array` as an image whose centre is the origin."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin([-0.5 * (n - 1) * s for n, s in zip(image.GetSize(), spacing, strict=True)])
    return image


def write(array: np.ndarray, path: Path, spacing: tuple[float, float, float] = SPACING) -> None:
    """Write `array` as an image, its folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(an_image(array, spacing), str(path), useCompression=False)


def write_organs(person: dict[str, np.ndarray], folder: Path) -> None:
    """Write masks as TotalSegmentator does, with one of a class that is no organ of ours."""
    for name in ("liver", "aorta"):
        write(person[name], folder / f"{name}.nii.gz")
    write(np.zeros(SHAPE, np.uint8), folder / "stomach.nii.gz")


def an_autopet_cohort(folder: Path, people: int = 2) -> None:
    """PETCT_00n/study/{SUV,SEG}.nii.gz; low counts in ../low, organs in ../organs, by the same places."""
    for number in range(people):
        person = a_person(number)
        place = f"PETCT_00{number}/01-02-2003-NA"
        write(person["high"], folder / "cohort" / place / "SUV.nii.gz")
        write(person["lesions"], folder / "cohort" / place / "SEG.nii.gz")
        write(person["low_10"], folder / "low" / place / "SUV.nii.gz")
        write_organs(person, folder / "organs" / place)


def an_nnunet_data_set(folder: Path, people: int = 1) -> None:
    """Channel 0 the CT, 1 the PET, 2 the PET of 10 % counts; labels of tumour and liver in one map."""
    description = {
        "channel_names": {"0": "CT", "1": "PET", "2": "low count"},
        "labels": {"background": 0, "tumor": 1, "liver": 2},
        "numTraining": people,
        "file_ending": ".nii.gz",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(description))
    for number in range(people):
        person = a_person(number)
        name = f"case_{number:03d}"
        write(np.full(SHAPE, 40, np.int16), folder / "imagesTr" / f"{name}_0000.nii.gz")
        write(person["high"], folder / "imagesTr" / f"{name}_0001.nii.gz")
        write(person["low_10"], folder / "imagesTr" / f"{name}_0002.nii.gz")
        labels = np.where(person["lesions"] > 0, 1, 2 * person["liver"]).astype(np.uint8)
        write(labels, folder / "labelsTr" / f"{name}.nii.gz")
