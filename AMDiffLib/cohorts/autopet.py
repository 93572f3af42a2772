"""Folders as autoPET has them: patient/study/{SUV,SEG,CTres,CT,PET}.nii.gz.

The layout is that of the data set FDG-PET-CT-Lesions (doi.org/10.7937/gkr0-xv29) as NIfTI, written by its
authors' tcia_dicom_to_nifti.py (github.com/lab-midas/TCIA_processing): SUV is by body weight in g/mL, SEG
the tumour mask on its grid. It holds one count level; the low counts have to come from elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from AMDiffLib.cohorts.examination import (
    Companions,
    Examination,
    LesionFile,
    OrganFile,
    PetFile,
    belonging_to,
    files_under,
    image_named,
    place_under,
)
from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import SUV_UNITS

PET_NAME, LESION_NAME = "SUV", "SEG"
# Where TotalSegmentator's output for the CT is commonly put.
_ORGAN_NAMES = ("segmentations", "totalsegmentator")


def find_examinations(folder: Path, companions: Companions) -> list[Examination]:
    """Return one examination for each SUV image under `folder`, sorted by place.

    Raises BadInput where there is none.
    """
    images = sorted(path for path in files_under(folder) if path.name.split(".")[0] == PET_NAME)
    images = [path for path in images if image_named(path.parent, PET_NAME) == path]
    if not images:
        raise BadInput(
            f"Under {folder} there is no {PET_NAME}.nii.gz. Give the folder of the patients' folders, "
            f"each study of theirs with {PET_NAME}.nii.gz and {LESION_NAME}.nii.gz."
        )
    return [_examination(folder, image, companions) for image in images]


def _examination(folder: Path, image: Path, companions: Companions) -> Examination:
    study = image.parent
    place = place_under(folder, study)
    own_lesions = image_named(study, LESION_NAME)
    own_organs = next((found for name in _ORGAN_NAMES if (found := belonging_to(study, name))), None)
    return Examination(
        place=place,
        patient=place.rpartition("/")[0] or place,
        high_count=PetFile(path=image, units=SUV_UNITS),
        low_count=companions.low_count_of(
            place, lambda own: image_named(own, PET_NAME), units=companions.units or SUV_UNITS
        ),
        lesions=LesionFile(path=own_lesions) if own_lesions else companions.lesions_of(place),
        organs=OrganFile(path=own_organs, names=companions.label_names)
        if own_organs
        else companions.organs_of(place),
    )
