"""An examination as it lies on disk, and how what belongs to it is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import image_suffix


@dataclass(frozen=True, kw_only=True)
class PetFile:
    """A PET image: a file or a DICOM folder; `units` is "SUVbw" where the layout or the user says so."""

    path: Path
    units: str | None = None


@dataclass(frozen=True, kw_only=True)
class LesionFile:
    """A label image whose `values` are lesions; None: every value but 0."""

    path: Path
    values: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class OrganFile:
    """A label map, or a folder with a mask a class; `names` is as `Companions.label_names`, or a mapping."""

    path: Path
    names: str | Mapping[int, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Examination:
    """One person's scan with what belongs to it.

    Attributes:
        place: where it was found under the cohort's folder, with forward slashes.
        patient: who was examined: parts of a cohort share no patient.
        low_count: by counts in percent of those of `high_count`.
        organs, lesions: None where nobody labelled them.
        problem: why it cannot be taken, where that was seen on the way.
    """

    place: str
    patient: str
    high_count: PetFile | None = None
    low_count: Mapping[float, PetFile] = field(default_factory=dict)
    organs: OrganFile | None = None
    lesions: LesionFile | None = None
    problem: str | None = None

    @property
    def subject(self) -> str:
        """The name in the manifest, and of the folder of its images."""
        return self.place.replace("/", "__")

    def files(self) -> Iterator[Path]:
        """All files that the examination is made of, in a fixed order."""
        sources = [self.high_count, *(self.low_count[level] for level in sorted(self.low_count))]
        for source in [*sources, self.organs, self.lesions]:
            if source is not None:
                yield from sorted(files_under(source.path)) if source.path.is_dir() else [source.path]


@dataclass(frozen=True, kw_only=True)
class Companions:
    """Folders beside a cohort that hold what the cohort itself lacks; each is searched by `belonging_to`.

    Attributes:
        low_count: by counts in percent.
        organs: label maps, or folders with a mask a class, such as TotalSegmentator writes.
        label_names: what the values of label maps that do not say it mean: "total", "total_v1", "amdiff",
            or a JSON file.
        lesions: masks.
        units: of PET files that do not say their unit, as the user stated it.
    """

    low_count: Mapping[float, Path] = field(default_factory=dict)
    organs: Path | None = None
    label_names: str | None = None
    lesions: Path | None = None
    units: str | None = None

    def __post_init__(self) -> None:
        for folder in (*self.low_count.values(), self.organs, self.lesions):
            if folder is not None and not folder.is_dir():
                raise BadInput(f"The folder {folder} does not exist. Give the folder that holds the cases.")

    def organs_of(self, place: str) -> OrganFile | None:
        """The organ labels of the examination at `place`, None where there are none."""
        found = belonging_to(self.organs, place) if self.organs else None
        return OrganFile(path=found, names=self.label_names) if found else None

    def lesions_of(self, place: str) -> LesionFile | None:
        """The lesion mask of the examination at `place`, None where there is none."""
        found = belonging_to(self.lesions, place) if self.lesions else None
        return LesionFile(path=found) if found else None

    def low_count_of(
        self, place: str, in_folder: Callable[[Path], Path | None], *, units: str | None
    ) -> dict[float, PetFile]:
        """The low-count images of the examination at `place`.

        `in_folder` names the image in a folder of the examination's own; None: the folder is a DICOM series.
        """
        found = {}
        for percent, folder in self.low_count.items():
            path = belonging_to(folder, place)
            if path is not None:
                path = (in_folder(path) or path) if path.is_dir() else path
                found[percent] = PetFile(path=path, units=units)
        return found


def belonging_to(folder: Path, place: str) -> Path | None:
    """Return FOLDER/PLACE.nii.gz (or another image format) or the folder FOLDER/PLACE, None if there is none.

    The slashes of a place may be double underscores there.
    """
    for name in dict.fromkeys((place, place.replace("/", "__"))):
        path = folder / name
        if found := image_named(path.parent, path.name):
            return found
        if path.is_dir():
            return path
    return None


def image_named(folder: Path, stem: str) -> Path | None:
    """Return the image file of that name, whatever its format, None if there is none."""
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob(f"{_literal(stem)}.*")):
        if path.is_file() and stem_of(path) == stem:
            return path
    return None


def stem_of(path: Path) -> str | None:
    """Return a name without the suffix of an image format, None for other files."""
    suffix = image_suffix(path.name)
    return path.name.removesuffix(suffix) if suffix else None


def files_under(folder: Path) -> Iterator[Path]:
    """All files under a folder; links to folders are followed, as data sets are often linked in."""
    for parent, _, names in os.walk(folder, followlinks=True):
        yield from (Path(parent) / name for name in names)


def place_under(folder: Path, path: Path) -> str:
    """Return where `path` is under `folder`, with forward slashes; the folder's own name for itself."""
    place = path.relative_to(folder).as_posix()
    return folder.resolve().name if place == "." else place


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
