"""From a volume node to a file that the background process reads, with the unit of its values."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import slicer

from .node_marks import DICOM_UIDS_ATTRIBUTE, described_unit, is_in_suv, is_synthetic
from .subject_hierarchy import modality_of
from .translation import _

_REAL_WORLD_VALUE_MAP = "1.2.840.10008.5.1.4.1.1.67"


class UnusableVolume(ValueError):
    """The volume cannot be handed to the background process; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """The file or DICOM folder to read, and the options that say what its values are."""

    path: Path
    arguments: tuple[str, ...] = ()


def reason_unusable(volume_node) -> str:
    """Return why this volume cannot be used, in words for its user; empty when it can."""
    if volume_node is None:
        return _("Choose a PET volume.")
    name = volume_node.GetName()
    image = volume_node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return _("'{name}' holds no image. Choose another volume.").format(name=name)
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode") or image.GetNumberOfScalarComponents() != 1:
        return _(
            "'{name}' is a label map or a colour image. Choose a PET volume, with one value per voxel."
        ).format(name=name)
    if min(image.GetDimensions()) < 2:
        return _("'{name}' is a single slice. Choose a PET volume with all its slices.").format(name=name)
    if volume_node.GetParentTransformNode() is not None:
        return _(
            "'{name}' is moved by the transform '{transform}'. "
            "Remove or harden the transform first, in the Data module."
        ).format(name=name, transform=volume_node.GetParentTransformNode().GetName())
    if is_synthetic(volume_node):
        return _("'{name}' is itself a result of AMDiff. Choose the scan that it was computed from.").format(
            name=name
        )
    modality = modality_of(volume_node)
    if modality and modality != "PT":
        return _("'{name}' is of modality {modality}. Choose a PET volume.").format(
            name=name, modality=modality
        )
    if is_in_suv(volume_node):
        return ""
    if volume_node.GetAttribute(DICOM_UIDS_ATTRIBUTE):
        return ""
    unit = described_unit(volume_node)
    found = _("is in '{unit}'").format(unit=unit) if unit else _("does not say in which unit its values are")
    return _(
        "'{name}' {found}. SUV by body weight is needed: load the DICOM series, "
        "or tick 'Values are SUV' below if they are."
    ).format(name=name, found=found)


def write_input(volume_node, folder: Path) -> JobInput:
    """Put the volume into `folder` for the background process.

    A volume in SUV is written as an uncompressed NRRD, geometry included. A volume loaded from DICOM is not:
    its files are copied, so that SUV is computed from the scanner's own headers, together with the real world
    value maps of its study, which that SUV is held against.

    Raises:
        UnusableVolume: `reason_unusable` has a reason, or the DICOM files are no longer to be found.
    """
    if reason := reason_unusable(volume_node):
        raise UnusableVolume(reason)
    if is_in_suv(volume_node):
        path = folder / "low_count.nrrd"
        write_nrrd(volume_node, path)
        return JobInput(path=path, arguments=("--units", "SUVbw"))
    series = folder / "dicom"
    series.mkdir()
    files = dicom_files(volume_node)
    for number, source in enumerate([*files, *_value_maps(files[0])]):
        shutil.copyfile(source, series / f"{number:05d}.dcm")
    return JobInput(path=series)


def write_nrrd(volume_node, path: Path) -> None:
    """Write a volume as uncompressed NRRD. Raises UnusableVolume when that fails."""
    # Not added to the scene: an export must leave no trace in it.
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetUseCompression(0)
    storage.SetFileName(str(path))
    if not storage.WriteData(volume_node) or not path.is_file():
        raise UnusableVolume(
            _("'{name}' could not be written to {folder}. Is there enough free disk space?").format(
                name=volume_node.GetName(), folder=path.parent
            )
        )


def dicom_files(volume_node) -> list[Path]:
    """Return the files that a volume was loaded from. Raises UnusableVolume when one is missing."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None:
        raise UnusableVolume(
            _(
                "'{name}' was loaded from DICOM, but this application has no DICOM database to find them. "
                "Load it as SUV instead (PETDICOM extension), or convert it and tick 'Values are SUV'."
            ).format(name=volume_node.GetName())
        )
    uids = volume_node.GetAttribute(DICOM_UIDS_ATTRIBUTE).split()
    files = [database.fileForInstance(uid) for uid in uids]
    found = [Path(file) for file in files if file and Path(file).is_file()]
    if len(found) != len(uids):
        raise UnusableVolume(
            _(
                "'{name}' was loaded from {expected} DICOM files, of which {found} are in its database. "
                "Import the series again in the DICOM module and load it from there."
            ).format(name=volume_node.GetName(), expected=len(uids), found=len(found))
        )
    return found


def _value_maps(image: Path) -> list[Path]:
    """Real world value maps in the study that an image of the DICOM database belongs to."""
    database = slicer.dicomDatabase
    study = database.studyForSeries(database.seriesForFile(str(image)))
    return [
        Path(file)
        for series in database.seriesForStudy(study)
        for file in database.filesForSeries(series)
        if database.fileValue(file, "0008,0016") == _REAL_WORLD_VALUE_MAP and Path(file).is_file()
    ]
