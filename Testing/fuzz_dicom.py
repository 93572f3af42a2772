"""Mutations of a DICOM PET series, and an oracle that knows by itself what SUV a mutated header states.

The oracle shares no code with the reading: it takes the values that pydicom finds, parses them by the strict
grammar of DICOM PS3.5, and applies the definition SUVbw = A W / (D 2^(-t/T)).
"""

from __future__ import annotations

import math
import os
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

SLICES, SIDE = 10, 24
IDENTITY = {"PatientName": "UNMISTAKABLE^NAMEQX", "PatientID": "IDQX471108", "PatientBirthDate": "19310517"}
_ITEM = "RadiopharmaceuticalInformationSequence"
IN_ITEM = (
    "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime", "Radiopharmaceutical", "RadionuclideCodeSequence",
)  # fmt: skip
KEYWORDS = (
    *IN_ITEM, _ITEM, "PatientWeight", "Units", "DecayCorrection", "CorrectedImage", "SeriesDate",
    "SeriesTime", "AcquisitionDate", "AcquisitionTime", "RescaleSlope", "RescaleIntercept", "Rows", "Columns",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "PixelData",
    "NumberOfSlices", "Modality", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesType",
    "ImageType", "SUVType", "Manufacturer", "PatientSex", "PatientSize", "FrameReferenceTime",
    "ActualFrameDuration", "TimezoneOffsetFromUTC", "SpecificCharacterSet", "SeriesDescription",
    "NumberOfFrames", "PatientName", "ReconstructionMethod", "SliceThickness", "InstanceNumber",
)  # fmt: skip
GARBAGE = (
    b"", b" ", b"0", b"-0", b"-1", b"1", b"70", b"1e30", b"-1e30", b"1e-30", b"1e400", b"NaN", b"nan",
    b"inf", b"-Infinity", b"abc", b"1,5", b"0x10", b"\xff\xfe", b"\x00\x00", b"1\\2", b"\\",
    b"1\\2\\3\\4\\5\\6\\7", b"0\\0\\0\\0\\0\\0", b"NaN\\NaN\\NaN", b"1\\0\\0\\1\\0\\0",
    b"999999999999", b"240000", b"250000", b"0000", b"99999999", b"20240230", b"000000.000000", b"BQML",
    b"GML", b"CNTS", b"NONE", b"ADMIN", b"START", b"ATTN", b"PT", b"MR", b"DYNAMIC", b"x" * 70000,
    "１２".encode(), b"/etc/passwd", b"../../x", b"%s%n", b"\x1b$B",
)  # fmt: skip
WRONG_TYPES = {
    "US": 5, "FD": 3.7, "FL": math.nan, "OB": b"\x01\x02\x03\x04", "UN": b"abcd", "AT": 0x00100010, "SL": -3,
    "PN": "UNMISTAKABLE^NAMEQX", "IS": "7", "DS": "1.5", "LO": "text", "SQ": Sequence(), "DT": "20240101",
    "UI": "1.2.3", "UT": "long text",
}  # fmt: skip


def write_base(folder: Path, source: Path | None, *, explicit: bool) -> None:
    """Write the series that is mutated: ten slices of a real one cut to 24 x 24, or a built one."""
    folder.mkdir(parents=True)
    if source is None:
        from dicom_builder import write_series

        rng = np.random.default_rng(0)
        write_series(folder, rng.integers(1, 9000, (SLICES, SIDE, SIDE)).astype(np.int16), **IDENTITY)
        return
    # File names of this series follow its slices.
    names = sorted(source.iterdir())[150 : 150 + SLICES]
    headers = sorted(map(pydicom.dcmread, names), key=lambda header: float(header.ImagePositionPatient[2]))
    for number, header in enumerate(headers):
        low = (header.Rows - SIDE) // 2
        pixels = header.pixel_array[low : low + SIDE, low : low + SIDE]
        header.Rows = header.Columns = SIDE
        header.PixelData = pixels.astype("<i2").tobytes()
        header.NumberOfSlices = SLICES
        for keyword, value in IDENTITY.items():
            setattr(header, keyword, value)
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
        header["PixelData"].VR = "OW"
        pydicom.dcmwrite(
            folder / f"{number:02d}.dcm", header, implicit_vr=not explicit, little_endian=True, overwrite=True
        )


def mutate(folder: Path, rng: random.Random) -> str:
    """Change the series in `folder` in one to three ways; return what was done, in words."""
    kinds = rng.choices(
        (_value, _wrong_type, _remove, _flip_bits, _truncate, _splice, _files),
        weights=(8, 3, 3, 5, 1, 2, 2),
        k=rng.choice((1, 1, 1, 2, 3)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return "; ".join(kind(folder, rng) for kind in kinds)


def _chosen(folder: Path, rng: random.Random) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return paths if rng.random() < 0.6 else [rng.choice(paths)]


def _edit(paths: list[Path], keyword: str, change) -> None:
    """Apply `change(dataset, tag)` where the attribute lives, and write the file as it comes."""
    mode, config.settings.writing_validation_mode = config.settings.writing_validation_mode, config.IGNORE
    try:
        for path in paths:
            try:
                header = pydicom.dcmread(path, force=True)
                items = header.get(_ITEM) or []
                target = items[0] if keyword in IN_ITEM and len(items) else header
                change(target, Tag(keyword))
                implicit, little = header.original_encoding
                header.save_as(path, implicit_vr=bool(implicit), little_endian=little is not False)
            except Exception:
                continue  # an earlier mutation of the same round has made the file unreadable or unwritable
    finally:
        config.settings.writing_validation_mode = mode


def _value(folder: Path, rng: random.Random) -> str:
    keyword, value = rng.choice(KEYWORDS[:24] if rng.random() < 0.7 else KEYWORDS), rng.choice(GARBAGE)
    paths = _chosen(folder, rng)
    padded = value + b" " * (len(value) % 2)

    def change(target: Dataset, tag: Tag) -> None:
        target[tag] = DataElement(tag, "UN" if rng.random() < 0.2 else "OB", padded)

    _edit(paths, keyword, change)
    for path in paths:
        _retype(path, Tag(keyword))
    return f"{keyword}={value[:20]!r} in {len(paths)}"


def _retype(path: Path, tag: Tag) -> None:
    """Give an element that was written as OB the type of its own in an explicit file: text, not bytes."""
    own = pydicom.datadict.dictionary_VR(tag)[:2].encode()
    if own in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return
    content = path.read_bytes()
    start = int(tag.group).to_bytes(2, "little") + int(tag.element).to_bytes(2, "little")
    place = content.find(start + b"OB\x00\x00")
    if place >= 0:
        length = int.from_bytes(content[place + 8 : place + 12], "little")
        if length < 1 << 16:
            head = start + own + length.to_bytes(2, "little")
            path.write_bytes(content[:place] + head + content[place + 12 :])


def _wrong_type(folder: Path, rng: random.Random) -> str:
    keyword, (vr, value) = rng.choice(KEYWORDS), rng.choice(list(WRONG_TYPES.items()))
    paths = _chosen(folder, rng)
    _edit(paths, keyword, lambda target, tag: target.__setitem__(tag, DataElement(tag, vr, value)))
    return f"{keyword} as {vr} in {len(paths)}"


def _remove(folder: Path, rng: random.Random) -> str:
    keyword, paths = rng.choice(KEYWORDS), _chosen(folder, rng)
    _edit(paths, keyword, lambda target, tag: target.__delitem__(tag))
    return f"no {keyword} in {len(paths)}"


def _header_length(content: bytes) -> int:
    place = content.rfind(b"\xe0\x7f\x10\x00")
    return place if place > 132 else len(content)


def _flip_bits(folder: Path, rng: random.Random) -> str:
    paths, count = _chosen(folder, rng), rng.choice((1, 1, 2, 8, 64))
    place_seed = rng.random()
    for path in paths:
        content, own = bytearray(path.read_bytes()), random.Random(place_seed)
        for _ in range(count if content else 0):
            content[own.randrange(_header_length(content))] ^= 1 << own.randrange(8)
        path.write_bytes(content)
    return f"{count} bits flipped in {len(paths)}"


def _truncate(folder: Path, rng: random.Random) -> str:
    path = rng.choice(sorted(folder.iterdir()))
    if not path.is_file():
        return "nothing"
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) + 1)])
    return "a file cut short"


def _splice(folder: Path, rng: random.Random) -> str:
    """Insert, remove, repeat or zero some bytes of the header: elements out of order, twice, of no end."""
    kind = rng.choice(("insert", "remove", "repeat", "zero"))
    paths, seed = _chosen(folder, rng), rng.random()
    for path in paths:
        own, content = random.Random(seed), path.read_bytes()
        if not content:
            continue
        place, length = own.randrange(_header_length(content)), own.choice((1, 2, 8, 40, 400))
        part = {
            "insert": bytes(own.randrange(256) for _ in range(length)) + content[place : place + length],
            "remove": b"",
            "repeat": content[place : place + length] * 2,
            "zero": bytes(length),
        }[kind]
        path.write_bytes(content[:place] + part + content[place + length :])
    return f"{kind} bytes in {len(paths)}"


def _files(folder: Path, rng: random.Random) -> str:
    """Slices removed, doubled, exchanged, and files that are no slices."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    first, second = rng.sample(paths, 2) if len(paths) > 1 else (paths[0], paths[0])
    kind = rng.choice(("remove", "double", "exchange", "empty", "foreign", "pipe", "positions", "folder"))
    if kind == "remove":
        first.unlink()
    elif kind == "double":
        shutil.copy(first, folder / "copy.dcm")
    elif kind == "exchange" and first != second:
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other), second.write_bytes(one)
    elif kind == "empty":
        first.write_bytes(b"")
    elif kind == "foreign":
        (folder / "foreign.dcm").write_bytes(rng.randbytes(rng.choice((3, 131, 132, 5000))))
    elif kind == "pipe":
        os.mkfifo(folder / "pipe.dcm")
    elif kind == "positions":
        positions = [pydicom.dcmread(p, force=True).get("ImagePositionPatient") for p in (first, second)]
        for path, position in zip((second, first), positions, strict=True):
            _edit(
                [path],
                "ImagePositionPatient",
                lambda t, _, p=position: t.__setattr__("ImagePositionPatient", p),
            )
    elif kind == "folder":
        (folder / "inner").mkdir()
        shutil.move(first, folder / "inner" / first.name)
    return f"file {kind}"
