"""Which DICOM files lie in a folder, and to which series they belong."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from AMDiffLib.errors import BadInput
from AMDiffLib.image.identity import IDENTIFYING, code_string

PET_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.128"
MULTI_FRAME_PET = ("1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1")
REAL_WORLD_VALUE_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.67"
_DIRECTORY_STORAGE = "1.2.840.10008.1.3.10"
# What pydicom raises on a damaged file.
PARSING_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    NotImplementedError,
    ArithmeticError,
    struct.error,
)
# All that the geometry, the conversion to SUV and the report are taken from.
_ATTRIBUTES_USED = (
    "SOPInstanceUID", "StudyInstanceUID", "SeriesDescription", "ImageType", "SeriesType",
    "NumberOfSlices", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "Manufacturer", "ManufacturerModelName", "PatientName", "PatientID",
    "PatientWeight", "PatientSize", "PatientSex", "Units", "SUVType", "RescaleSlope", "RescaleIntercept",
    "ReconstructionMethod",
    "DecayCorrection", "CorrectedImage", "SeriesDate", "SeriesTime", "StudyDate", "ContentDate",
    "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "TimezoneOffsetFromUTC",
    "FrameReferenceTime", "ActualFrameDuration", "RadiopharmaceuticalInformationSequence",
    "RealWorldValueMappingSequence", "Modality", "SeriesInstanceUID", "SOPClassUID", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames", *IDENTIFYING,
)  # fmt: skip


_SEQUENCES_OF_CODES = (
    "RadionuclideCodeSequence",
    "RadiopharmaceuticalCodeSequence",
    "MeasurementUnitsCodeSequence",
)


@dataclass(kw_only=True)
class FoundFiles:
    """The DICOM files under a folder: PET ones by series, real world value maps, the modalities of others,
    and those that cannot be read."""

    series: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    value_maps: list[Path] = field(default_factory=list)
    other_modalities: set[str] = field(default_factory=set)
    multi_frame: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def looks_like_dicom(path: Path) -> bool:
    """Tell by its first bytes whether a file is DICOM, with or without the 128-byte preamble."""
    with path.open("rb") as file:
        start = file.read(132)
    # Files written before DICOM part 10 start with group 0008, little endian.
    return start[128:132] == b"DICM" or (start[:2] == b"\x08\x00" and len(start) == 132)


def find_files(folder: Path, *, recursive: bool, leave_out: Path | None = None) -> FoundFiles:
    """Sort the files of a folder, but for those under `leave_out`; whatever is not DICOM, and DICOMDIR, is
    ignored."""
    found = FoundFiles()
    for path in sorted(folder.rglob("*") if recursive else folder.glob("*")):
        if path.is_file() and leave_out not in path.parents:
            _sort_in(found, path)
    return found


def _sort_in(found: FoundFiles, path: Path) -> None:
    try:
        if not looks_like_dicom(path):
            return
        header = read_header(path, ["SOPClassUID", "Modality", "SeriesInstanceUID"])
        sop_class = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", "")
        modality = str(header.get("Modality") or "").strip().upper()
        series_uid = str(header.get("SeriesInstanceUID") or "")
        if series_uid.strip("0123456789."):
            raise ValueError("the Series Instance UID is none")
    except PARSING_ERRORS:
        found.unreadable.append(path)
        return
    if sop_class == _DIRECTORY_STORAGE:
        return
    if sop_class == REAL_WORLD_VALUE_MAP_STORAGE:
        found.value_maps.append(path)
    elif not modality or not series_uid:
        # Every image has both; a header cut short must not pass for some other object.
        found.unreadable.append(path)
    elif sop_class in MULTI_FRAME_PET:
        found.multi_frame.append(path)
    elif modality == "PT" and sop_class in ("", PET_IMAGE_STORAGE):
        found.series[series_uid].append(path)
    else:
        found.other_modalities.add(code_string(modality))


def read_header(path: Path, tags: list[str] | None = None) -> Dataset:
    """Read a file's header without its pixels; raises one of PARSING_ERRORS where it is damaged."""
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
    if (
        "SOPClassUID" not in header
        and "Modality" not in header
        and "MediaStorageSOPClassUID" not in header.file_meta
    ):
        raise InvalidDicomError("no DICOM attributes in the file")
    # pydicom parses an attribute on its first access: let that be here, where callers expect an error.
    for keyword in tags or _ATTRIBUTES_USED:
        header.get(keyword)
    for keyword in ("RadiopharmaceuticalInformationSequence", "RealWorldValueMappingSequence"):
        for item in _items(header, keyword):
            for _ in item.iterall():
                pass
            for inner in _SEQUENCES_OF_CODES:
                _items(item, inner)
    return header


def _items(header: Dataset, keyword: str) -> Sequence | list:
    """The items of a sequence; ValueError where a damaged header holds something else in its place."""
    found = header.get(keyword)
    if found is not None and not isinstance(found, Sequence):
        raise ValueError(f"{keyword} is not a sequence")
    return found or []


def values_of(header: Dataset, keyword: str) -> list[str]:
    """Return the values of a text attribute in upper case, also where pydicom gives a single bare value."""
    value = header.get(keyword) or []
    if isinstance(value, str):
        values = value.split("\\")
    else:
        values = value if isinstance(value, list | MultiValue) else [value]
    return [str(item).strip().upper() for item in values]


def read_headers(paths: Iterable[Path]) -> tuple[list[Path], list[Dataset], list[str]]:
    """Read the headers of a series' files, leaving out second copies of the same image.

    Returns:
        Paths and headers, in the same order, and warnings.

    Raises:
        BadInput: a header cannot be read, or images that differ carry the same UID.
    """
    kept: dict[str, tuple[Path, Dataset]] = {}
    copies = 0
    paths = list(paths)
    for number, path in enumerate(paths, start=1):
        try:
            header = read_header(path)
        except PARSING_ERRORS:
            raise unreadable(f"Image {number} of {len(paths)} of the series, by file name,") from None
        uid = str(header.get("SOPInstanceUID") or path)
        if uid not in kept:
            kept[uid] = (path, header)
        elif path.read_bytes() == kept[uid][0].read_bytes():
            copies += 1
        else:
            raise BadInput(
                "Two different images of the series carry the same SOP Instance UID, as in a badly copied or "
                "anonymised series. Export it again."
            )
    warnings = [f"{copies} second copies of images in the folder were left out."] if copies else []
    return [path for path, _ in kept.values()], [header for _, header in kept.values()], warnings


def unreadable(which: str) -> BadInput:
    """Say that a file is damaged; `which` must not be a name that could be a patient's."""
    return BadInput(f"{which} cannot be read: it is damaged or cut short. Copy or export the series again.")
