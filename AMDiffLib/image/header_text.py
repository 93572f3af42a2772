"""What ITK takes from the text header of an NRRD or MetaImage without a word, checked before it does.

A header can name the file that holds its voxels, and ITK opens whatever is named: any file of the computer,
or a pipe that never ends. It allocates memory for whatever size is announced, and takes a missing voxel size
as 1 mm. None of that may happen on the word of a header that came from somewhere else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from AMDiffLib.errors import BadInput

_LONGEST_HEADER = 1 << 20
_NRRD_FIELD = re.compile(r"([^:#=]+): ?(.*)")
_META_FIELD = re.compile(r"\s*([A-Za-z_]+)\s*=\s*(.*)")
# Deflate makes at most this many bytes of one (zlib's "Maximally Compressed Data": 1032).
_LARGEST_COMPRESSION = 1032
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_VECTOR = rf"\(\s*{_NUMBER}\s*(,\s*{_NUMBER}\s*)*\)"
_NUMBERS = rf"({_NUMBER}|nan|NaN)(\s+({_NUMBER}|nan|NaN))*"
_VECTORS = rf"({_VECTOR}|none)(\s+({_VECTOR}|none))*"
_INTEGERS = r"\d{1,9}(\s+\d{1,9})*"
_YES_OR_NO = r"(?i:true|false|[tf01yn]|yes|no)"
# ITK's readers (teem, MetaIO) read beyond their memory where one of these is something else.
_GRAMMAR = {
    "NRRD": {
        "dimension": r"[1-9]",
        "spacedimension": r"[1-9]",
        "sizes": _INTEGERS,
        "spaceorigin": _VECTOR,
        "spacedirections": _VECTORS,
        "measurementframe": _VECTORS,
        **dict.fromkeys(("spacings", "thicknesses", "axismins", "axismaxs"), _NUMBERS),
        **dict.fromkeys(("byteskip", "lineskip"), r"-?\d{1,9}"),
    },
    "MetaImage": {
        "ndims": r"[1-9]",
        "dimsize": _INTEGERS,
        "elementtype": r"[A-Z_]{1,40}",
        "elementnumberofchannels": r"\d{1,3}",
        "headersize": r"-?\d{1,9}",
        **dict.fromkeys(("elementspacing", "elementsize", "offset", "origin", "position"), _NUMBERS),
        **dict.fromkeys(("transformmatrix", "rotation", "orientation", "centerofrotation"), _NUMBERS),
        **dict.fromkeys(("compresseddata", "binarydata", "binarydatabyteordermsb"), _YES_OR_NO),
        **dict.fromkeys(("elementbyteordermsb",), _YES_OR_NO),
        **dict.fromkeys(("compresseddatasize", "id", "parentid"), r"-?\d{1,18}"),
    },
}
_LONGEST_FIELD = 1000
_UNCOMPRESSED = {"NRRD": ("raw",), "MetaImage": ("false", "")}


def header_fields(path: Path, file_format: str) -> dict[str, str]:
    """Return the fields of an NRRD or MetaImage header, their names in lower case without spaces.

    Raises:
        BadInput: the file has no such header, states a field twice, or not as the format has it.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    if file_format == "NRRD":
        if not start.startswith(b"NRRD000"):
            raise BadInput("The file does not begin as an NRRD does; it is damaged or of another format.")
        start = re.split(rb"\r?\n\r?\n", start, maxsplit=1)[0]
    pattern = _NRRD_FIELD if file_format == "NRRD" else _META_FIELD
    fields: dict[str, str] = {}
    for line in re.split(r"\r\n|\n|\r", start.decode("latin-1")):
        match = pattern.fullmatch(line)
        if match is None or match[2].startswith("=") or line.startswith("#"):
            continue
        name = match[1].replace(" ", "").lower()
        if name in fields:
            raise BadInput(f"The {file_format} header states '{match[1].strip()}' twice. Export it again.")
        fields[name] = match[2].strip()
        if file_format == "MetaImage" and name == "elementdatafile":
            break
    for name, value in fields.items():
        grammar = _GRAMMAR[file_format].get(name, ".*")
        if len(value) > _LONGEST_FIELD or "\0" in value or not re.fullmatch(grammar, value):
            raise BadInput(
                f"The {file_format} header is damaged: its '{name}' is not valid. Export it again."
            )
    count = fields.get("dimension" if file_format == "NRRD" else "ndims", "")
    sizes = fields.get("sizes" if file_format == "NRRD" else "dimsize", "")
    if str(len(sizes.split())) != count:
        raise BadInput(
            f"The {file_format} header is damaged: it does not give one size for each dimension. Export it "
            "again."
        )
    if fields.get("compresseddata", "").lower().startswith(("t", "1", "y")) and not fields.get(
        "compresseddatasize"
    ):
        # MetaIO takes plain voxels for compressed ones, and what it could not unpack for zeros.
        raise BadInput("The MetaImage header does not state its CompressedDataSize. Export it again.")
    return fields


def data_file(path: Path, fields: dict[str, str], file_format: str) -> Path | None:
    """Return the file that holds the voxels of a detached header, None where they follow the header.

    Raises:
        BadInput: it is not one regular file in the header's own folder.
    """
    if file_format == "NRRD":
        name = fields.get("datafile")
    else:
        name = fields.get("elementdatafile")
        if name is None:
            raise BadInput("The MetaImage header names no ElementDataFile; it is damaged. Export it again.")
        name = None if name.upper() == "LOCAL" else name
    if name is None:
        return None
    found = path.parent / name
    folder = path.parent.resolve()
    if name.split()[:1] == ["LIST"] or "%" in name or not name:
        raise BadInput(
            f"The {file_format} header spreads the voxels over several files, which is not supported. Export "
            "the image as one file."
        )
    if folder not in found.resolve().parents or not found.is_file():
        raise BadInput(
            f"The {file_format} header says that its voxels are in a file that is not there, or not in the "
            "header's own folder; only that folder is read. Put the two files together, or export the image "
            "as one file."
        )
    return found


def check_voxel_size(fields: dict[str, str], file_format: str) -> None:
    """Refuse a header that states no voxel size in millimetres; ITK would take 1 mm. Raises BadInput."""
    names = ("spacedirections", "spacings") if file_format == "NRRD" else ("elementspacing", "elementsize")
    if not any(fields.get(name) for name in names):
        raise BadInput(
            f"The {file_format} header states no voxel size, so no volume can be measured. Export it again."
        )
    units = set(re.findall(r'"([^"]*)"', fields.get("spaceunits", ""))) - {"mm", ""}
    if units:
        raise BadInput(
            f"The voxel sizes of the {file_format} header are in units other than mm. Export it in mm."
        )


def check_as_stated(fields: dict[str, str], file_format: str, spacing: Sequence[float]) -> None:
    """Refuse a file whose voxel size ITK has read otherwise than the header states it. Raises BadInput."""
    if file_format == "NRRD" and "spacedirections" in fields:
        vectors = re.findall(r"\(([^)]*)\)", fields["spacedirections"])
        stated = [math.hypot(*map(float, vector.split(","))) for vector in vectors]
    else:
        names = ("spacings",) if file_format == "NRRD" else ("elementspacing", "elementsize")
        text = next(fields[name] for name in names if fields.get(name))
        stated = [abs(float(value)) for value in text.split()]
    same = all(math.isclose(one, other, rel_tol=1e-4) for one, other in zip(stated, spacing, strict=False))
    if not same or len(stated) < 3:
        raise BadInput(
            f"The {file_format} header is damaged: its voxel size cannot be read with certainty. Export it "
            "again."
        )


def check_length(path: Path, fields: dict[str, str], file_format: str, expected: int) -> None:
    """Refuse a file that cannot hold the `expected` bytes of voxels, before memory is taken for them.

    Raises:
        BadInput: the file of the voxels is too short, even if compressed as far as it can be.
    """
    held = (data_file(path, fields, file_format) or path).stat().st_size
    encoding = fields.get("encoding" if file_format == "NRRD" else "compresseddata", "").lower()
    if encoding not in _UNCOMPRESSED[file_format]:
        held *= _LARGEST_COMPRESSION
    if held < expected:
        raise BadInput(
            f"The {file_format} header announces more voxels than its file can hold: the file is damaged or "
            "cut short. Copy or export it again."
        )
