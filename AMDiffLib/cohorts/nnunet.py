"""The raw layout of nnU-Net: imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, dataset.json.

Versions 2 (channel_names, labels by name, file_ending) and 1 (modality, labels by value) of dataset.json are
read; see documentation/dataset_format.md of github.com/MIC-DKFZ/nnUNet. autoPET III and IV come in this
layout, with the CT as channel 0 and the SUV image as channel 1. Channels may be count levels of one scan;
else the layout holds one level, and the low counts have to come from elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from AMDiffLib.cohorts.examination import (
    Companions,
    Examination,
    LesionFile,
    OrganFile,
    PetFile,
    image_named,
    stem_of,
)
from AMDiffLib.cohorts.totalsegmentator import organ_of
from AMDiffLib.errors import BadInput

_PET_NAMES = re.compile(r"\b(pet|pt|suv)\b", re.IGNORECASE)
_LESION_NAMES = re.compile(r"tumou?r|lesion|metasta", re.IGNORECASE)
_CASE = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Which channels are what, where dataset.json does not tell; a lesion label is named as it is there."""

    pet: int | None = None
    low_count: Mapping[float, int] | None = None
    lesion_label: str | None = None


def find_examinations(folder: Path, companions: Companions, channels: Channels) -> list[Examination]:
    """Return one examination for each training case of the data set in `folder`, sorted by name.

    Raises BadInput where dataset.json or a case is missing, or does not tell PET channel and lesion label.
    """
    content = _dataset(folder)
    pet = channels.pet if channels.pet is not None else _pet_channel(content)
    labels = _labels(content)
    lesion_values = _lesion_values(labels, channels.lesion_label)
    organ_names = {value: name for name, values in labels.items() for value in values if organ_of(name)}
    cases = sorted(
        match["case"]
        for path in (folder / "imagesTr").glob(f"*_{pet:04d}.*")
        if (stem := stem_of(path)) and (match := _CASE.fullmatch(stem))
    )
    if not cases:
        raise BadInput(
            f"{folder}/imagesTr holds no image of channel {pet:04d}, the PET: expected CASE_{pet:04d}.nii.gz."
        )
    examinations = []
    for case in cases:
        label_file = image_named(folder / "labelsTr", case)
        own_lesions = LesionFile(path=label_file, values=lesion_values) if label_file else None
        own_organs = OrganFile(path=label_file, names=organ_names) if label_file and organ_names else None
        image = image_named(folder / "imagesTr", f"{case}_{pet:04d}")
        examinations.append(
            Examination(
                place=case,
                patient=_patient(case),
                high_count=PetFile(path=image, units=companions.units),
                low_count=_low_count(folder, case, pet, companions, channels),
                lesions=own_lesions if own_lesions and lesion_values else companions.lesions_of(case),
                organs=companions.organs_of(case) or own_organs,
            )
        )
    return examinations


def _low_count(
    folder: Path, case: str, pet: int, companions: Companions, channels: Channels
) -> dict[float, PetFile]:
    def in_folder(own: Path) -> Path | None:
        return image_named(own, f"{case}_{pet:04d}")

    found = companions.low_count_of(case, in_folder, units=companions.units)
    found |= companions.low_count_of(f"{case}_{pet:04d}", in_folder, units=companions.units)
    for percent, channel in (channels.low_count or {}).items():
        if image := image_named(folder / "imagesTr", f"{case}_{channel:04d}"):
            found[percent] = PetFile(path=image, units=companions.units)
    return found


def _patient(case: str) -> str:
    """In autoPET a case is named tracer_patient_study, and a patient may have several studies."""
    match = re.fullmatch(r"((?:fdg|psma)_[0-9a-z]+)_.*", case, re.IGNORECASE)
    return match.group(1) if match else case


def _dataset(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}). Give the folder of one nnU-Net data set, "
            "Dataset001_Name, with dataset.json, imagesTr and labelsTr."
        ) from None
    except ValueError as error:
        raise BadInput(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path} is not a data set's description: it holds no JSON object.")
    return content


def _pet_channel(content: Mapping[str, Any]) -> int:
    names = content.get("channel_names") or content.get("modality") or {}
    found = [int(number) for number, name in names.items() if _PET_NAMES.search(re.sub("_", " ", str(name)))]
    if len(found) != 1:
        listing = ", ".join(f"{number} {name}" for number, name in names.items()) or "none"
        raise BadInput(
            f"dataset.json does not tell which channel is the PET (its channels: {listing}). Say so with "
            "--pet-channel NUMBER."
        )
    return found[0]


def _labels(content: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Label values by name; version 1 has names by value, version 2 may list several values a region."""
    labels = {}
    for key, value in (content.get("labels") or {}).items():
        if isinstance(value, str):
            labels[value] = (int(key),)
        else:
            labels[key] = tuple(int(v) for v in (value if isinstance(value, list) else [value]))
    return labels


def _lesion_values(labels: Mapping[str, tuple[int, ...]], wanted: str | None) -> tuple[int, ...]:
    found = [name for name in labels if (name == wanted if wanted else _LESION_NAMES.search(name))]
    if wanted and not found:
        raise BadInput(
            f"dataset.json has no label '{wanted}'. Choose --lesion-label from {', '.join(labels) or 'none'}."
        )
    return tuple(sorted({value for name in found for value in labels[name] if value}))
