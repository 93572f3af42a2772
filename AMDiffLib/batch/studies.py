"""Which PET series and image files lie under a folder, each with the name that its results will have."""

from __future__ import annotations

import hashlib
import os
import warnings as python_warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from AMDiffLib.errors import BadInput
from AMDiffLib.image.dicom_files import PARSING_ERRORS, FoundFiles, find_files, read_header
from AMDiffLib.image.dicom_series import is_corrected_volume
from AMDiffLib.image.reading import image_suffix

LONGEST_NAME = 100  # Windows refuses paths of more than 260 characters


@dataclass(frozen=True, kw_only=True)
class Study:
    """One input of a batch.

    Attributes:
        place: where it lies under the searched folder, with forward slashes; "." for that folder itself.
        name: of its results' folder; made from `place`, unique, valid as a file name.
        files: an image file, or the DICOM files of one series.
        value_maps: real world value maps found anywhere under the searched folder.
        problem: why it cannot be processed, where that was seen already.
    """

    place: str
    name: str
    files: tuple[Path, ...]
    value_maps: tuple[Path, ...] = ()
    problem: str | None = None

    @property
    def folder(self) -> Path:
        """The folder that holds all the files."""
        return _common_folder(self.files)


def find_studies(folder: Path, *, leave_out: Path, pattern: str = "*") -> list[Study]:
    """Return the studies under `folder`, sorted by place: the same list on every computer.

    Every attenuation-corrected PET series is one, and every image file (NRRD, NIfTI, MetaImage) whose name
    matches `pattern` and that is no segmentation. Of a DICOM study without a corrected series the others
    are returned, so that it fails with a reason instead of being passed over. What lies under `leave_out`,
    the results, is not looked at; links to folders are not followed.

    Raises:
        BadInput: the folder does not exist, or holds no PET.
    """
    if not folder.is_dir():
        raise BadInput(
            f"The folder of studies {folder} does not exist. Give the folder that holds the studies."
        )
    found = find_files(folder, recursive=True, leave_out=leave_out)
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # pydicom quotes faulty values, which may be the patient's
        series = list(_series(found))
    images = [((path,), path, None) for path in _image_files(folder, leave_out, pattern)]
    candidates = sorted([*series, *images], key=lambda item: (item[1].as_posix(), item[0]))
    if not candidates:
        raise BadInput(
            f"Under {folder} there is no PET series (DICOM) and no NRRD, NIfTI or MetaImage file whose name "
            f"matches '{pattern}'. Give the folder that holds the studies."
        )
    places = [path.relative_to(folder).as_posix() for _, path, _ in candidates]
    names = _names(folder, places, [files for files, _, _ in candidates])
    return [
        Study(place=place, name=name, files=tuple(files), value_maps=tuple(found.value_maps), problem=problem)
        for place, name, (files, _, problem) in zip(places, names, candidates, strict=True)
    ]


def _series(found: FoundFiles) -> Iterator[tuple[Sequence[Path], Path, str | None]]:
    """Files, common folder and problem of each DICOM input."""
    damaged = {path.parent for path in found.unreadable}
    corrected: set[str] = set()
    series: list[tuple[str, bool, Sequence[Path]]] = []
    for files in found.series.values():
        try:
            header = read_header(files[0])
        except PARSING_ERRORS:
            damaged.add(files[0].parent)
            series.append(("", True, files))
            continue
        study, usable = str(header.get("StudyInstanceUID") or ""), is_corrected_volume(header)
        if usable:
            corrected.add(study)
        series.append((study, usable, files))
    for study, usable, files in series:
        if usable or study not in corrected:
            folder = _common_folder(files)
            hit = damaged & {path.parent for path in files}
            damaged -= hit
            problem = (
                "Some DICOM files in the folder of the series cannot be read: they are damaged or cut short. "
                "Copy or export the series again."
            )
            yield sorted(files), folder, problem if hit else None
    for folder in sorted(damaged):
        yield (
            sorted(path for path in found.unreadable if path.parent == folder),
            folder,
            "None of the DICOM files in this folder can be read: they are damaged or cut short. Copy or "
            "export them again.",
        )
    enhanced: dict[Path, list[Path]] = defaultdict(list)
    for path in found.multi_frame:
        enhanced[path.parent].append(path)
    for folder, files in enhanced.items():
        yield (
            files,
            folder,
            "The PET image is an Enhanced (multi-frame) one, which is not supported; export it as "
            "single-frame PET.",
        )


def _image_files(folder: Path, leave_out: Path, pattern: str) -> Iterator[Path]:
    for path in folder.rglob(pattern):
        if (
            path.is_file()
            and image_suffix(path.name)
            and leave_out not in path.parents
            and not _is_segmentation(path)
        ):
            yield path


def _is_segmentation(path: Path) -> bool:
    return path.name.lower().endswith((".seg.nrrd", ".seg.nhdr"))


def _common_folder(files: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in files]))


def _names(folder: Path, places: Sequence[str], files: Sequence[Sequence[Path]]) -> list[str]:
    """A folder name for each place; with a checksum where the place alone does not tell it apart."""
    plain = [_plain_name(folder.name if place == "." else place) for place in places]
    taken = Counter(name.casefold() for name in plain)  # Windows and macOS do not tell a from A
    names = []
    for name, place, some in zip(plain, places, files, strict=True):
        if taken[name.casefold()] > 1 or len(name) > LONGEST_NAME:
            # Of the file names and not of a UID: nothing of the header is needed for it.
            text = "\n".join([place, *sorted(path.name for path in some)])
            digest = hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()[:8]
            name = f"{name[: LONGEST_NAME - 9]}-{digest}"
        names.append(name)
    return names


def _plain_name(place: str) -> str:
    name = place.replace("/", "__")
    suffix = image_suffix(name)
    return name.removesuffix(suffix) if suffix else name
