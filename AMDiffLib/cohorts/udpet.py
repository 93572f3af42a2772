"""Dose-reduction folders, as the Ultra-Low Dose PET Imaging challenge (UDPET) has them.

The challenge gives each scan at full dose and at dose reduction factors (DRF) of 4, 10, 20, 50 and 100, made
by taking a shorter part of the list-mode data (udpet-challenge.github.io/dataset); earlier editions also 2.
A DRF of n is 100/n percent of the counts. Its folders are named, within one folder a subject:

- Biograph Vision Quadra: "Full_dose", "1-4 dose", "1-10 dose", ... (DICOM series);
- uEXPLORER: "2.886 x 600 WB normal", "2.886 x 600 WB D2", "2.886 x 600 WB DRF_4", ... (DICOM series);

and people who convert them name NIfTI files alike: "Full_dose.nii.gz", "1-100 dose.nii.gz". The test set of
2025 has NIfTI in one folder, "Anonymous-01_DRF-100.nii.gz", in Bq/mL: these are no SUV, and are refused.
Neither lesions nor organs are labelled.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from AMDiffLib.cohorts.examination import (
    Companions,
    Examination,
    PetFile,
    files_under,
    place_under,
    stem_of,
)
from AMDiffLib.errors import BadInput

FULL_DOSE = 1.0
_FULL = re.compile(r"(?:^|[\s_-])(?:full[\s_-]?dose|normal)$", re.IGNORECASE)
_REDUCED = re.compile(
    r"(?:^|[\s_-])(?:1-(?P<a>\d+)[\s_-]?dose|DRF[\s_-]?(?P<b>\d+)|D(?P<c>\d+))$", re.IGNORECASE
)


def dose_reduction(name: str) -> tuple[float, str] | None:
    """Return the dose reduction factor (1 for full dose) that a folder or file name ends with, and what
    precedes it; None where it names no dose."""
    if match := _FULL.search(name):
        return FULL_DOSE, name[: match.start()].strip(" _-")
    if match := _REDUCED.search(name):
        factor = float(next(group for group in match.groups() if group))
        return (factor, name[: match.start()].strip(" _-")) if factor >= 1 else None
    return None


def find_examinations(folder: Path, companions: Companions) -> list[Examination]:
    """Return one examination for each subject under `folder`, sorted by place.

    Raises BadInput where no folder or file is named after a dose.
    """
    if companions.low_count:
        raise BadInput(
            "--low-count is for cohorts of one count level; dose-reduction folders hold their own. Leave it "
            "out."
        )
    doses: dict[str, dict[float, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for place, factor, path in _images(folder):
        doses[place][factor].append(path)
    if not doses:
        raise BadInput(
            f"Under {folder} nothing is named after a dose ('Full_dose' or 'normal', '1-10 dose', 'DRF_10', "
            "'D2'). Give the folder that holds the subjects' folders."
        )
    return [_examination(place, doses[place], companions) for place in sorted(doses)]


def _images(folder: Path) -> Iterator[tuple[str, float, Path]]:
    """Place of the subject, dose reduction factor and path of each image."""
    seen: set[Path] = set()
    for file in sorted(files_under(folder)):
        parts = file.relative_to(folder).parts[:-1]
        for depth in range(1, len(parts) + 1):
            if dose := dose_reduction(parts[depth - 1]):
                series = folder.joinpath(*parts[:depth])
                if series not in seen:
                    seen.add(series)
                    yield place_under(folder, series.parent), dose[0], series
                break
        else:
            if (stem := stem_of(file)) and (dose := dose_reduction(stem)):
                place = place_under(folder, file.parent)
                if dose[1]:  # many subjects in one folder
                    place = dose[1] if file.parent == folder else f"{place}/{dose[1]}"
                yield place, dose[0], file


def _examination(place: str, doses: dict[float, list[Path]], companions: Companions) -> Examination:
    examination = Examination(
        place=place,
        patient=place,
        organs=companions.organs_of(place),
        lesions=companions.lesions_of(place),
    )
    for factor, paths in doses.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            dose = "full dose" if factor == FULL_DOSE else f"dose reduction factor {factor:g}"
            return replace(examination, problem=f"{len(paths)} images are of {dose} ({names}). Keep one.")
    if FULL_DOSE not in doses:
        factors = ", ".join(f"{factor:g}" for factor in sorted(doses))
        return replace(
            examination,
            problem=f"There is no image of full dose ('Full_dose' or 'normal'), only of dose reduction "
            f"factor {factors}. Add it.",
        )
    images = {factor: PetFile(path=paths[0], units=companions.units) for factor, paths in doses.items()}
    high_count = images.pop(FULL_DOSE)
    return replace(
        examination,
        high_count=high_count,
        low_count={100.0 / factor: image for factor, image in sorted(images.items())},
    )
