"""Mutations of NRRD, NIfTI and MetaImage headers, and what each then says by an independent reading.

Beside every image lie things that no header may reach: a file in the folder above, a pipe that never ends, a
link out of the folder. Their content is SECRET_VALUE; a volume that holds it has been read through.
"""

from __future__ import annotations

import os
import random
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

KINDS = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
SHAPE = (9, 10, 11)
SPACING = (4.0, 5.0, 3.0)
SECRET_VALUE = 77.0
SECRET = "secret.raw"
_SECRET_CONTENT = np.full(SHAPE, SECRET_VALUE, np.float32).tobytes() * 4
OUTSIDE = (
    "../" + SECRET, "../../etc/passwd", "/etc/passwd", "/dev/zero", "pipe.raw", "link.raw",
    "inner/../../" + SECRET,
    "LIST", "LIST 3", "%s.raw 1 3 1", "../secret%d.raw 1 9 1", ".", "..", "", "scan.nhdr", "missing.raw",
    "inner/deep.raw", "~/" + SECRET, "$HOME/x", "`id`", "file://" + "/etc/passwd", "C:\\secret.raw",
)  # fmt: skip
VALUES = (
    "0", "-1", "1", "1e30", "1e400", "NaN", "-nan", "inf", "abc", "", " ", "0 0 0", "-4 -5 -3", "nan nan nan",
    "1e30 1e30 1e30", "99999 99999 99999", "4294967296 4294967296 4294967296", "2147483648 1 1", "9 10 11 1",
    "9 10", "9 10 11 2", "3", "4", "2", "7", "float", "double", "int", "uint8", "short", "MET_UCHAR", "block",
    "MET_DOUBLE", "MET_FLOAT_ARRAY", "raw", "gzip", "ascii", "hex", "bzip2", "txt", "big", "little", "True",
    "False", "(1,0,0) (0,1,0) (0,0,1)", "(0,0,0) (0,0,0) (0,0,0)", "(nan,0,0) (0,nan,0) (0,0,nan)", "none",
    "(1e30,0,0) (0,1e30,0) (0,0,1e30)", "(4,0,0) (4,0,0) (4,0,0)", '"m" "m" "m"', "1 0 0 1 0 0 1 0 0",
    "left-posterior-superior", "right-anterior-superior", "scanner-xyz", "x" * 5000, "\x00", "é",
)  # fmt: skip


def write_base(folder: Path, kind: str) -> tuple[Path, np.ndarray]:
    """Write an image of a kind among its temptations; return its path and its values (z, y, x)."""
    (folder / "data" / "inner").mkdir(parents=True)
    values = np.random.default_rng(1).uniform(0.5, 9.0, SHAPE).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(SPACING)
    path = folder / "data" / f"scan{kind}"
    sitk.WriteImage(image, str(path))
    (folder / SECRET).write_bytes(_SECRET_CONTENT)
    (folder / "data" / "inner" / "deep.raw").write_bytes(values.tobytes())
    os.mkfifo(folder / "data" / "pipe.raw")
    (folder / "data" / "link.raw").symlink_to(folder / SECRET)
    return path, values


def mutate(path: Path, rng: random.Random) -> str:
    """Change the header in one or two ways; return what was done, in words."""
    change = _nifti if path.name.endswith((".nii", ".nii.gz")) else _text
    return "; ".join(change(path, rng) for _ in range(rng.choice((1, 1, 1, 2))))


def _text(path: Path, rng: random.Random) -> str:
    content = path.read_bytes()
    end = content.find(b"\n\n") + 1 if path.suffix in (".nrrd", ".nhdr") else content.find(b"ElementDataFile")
    if path.suffix in (".mha", ".mhd") and end >= 0:
        end = content.find(b"\n", end) + 1
    end = end if end > 0 else len(content)
    lines, rest = content[:end].split(b"\n"), content[end:]
    separator = b": " if path.suffix in (".nrrd", ".nhdr") else b" = "
    data = b"data file" if separator == b": " else b"ElementDataFile"
    kind = rng.choice(
        ("value", "value", "value", "value", "data", "data", "drop", "repeat", "flip", "cut", "swap")
    )
    number = rng.randrange(len(lines))
    if kind == "value":
        value = rng.choice(VALUES).encode()
        lines[number] = lines[number].partition(separator)[0] + separator + value
    elif kind == "data":
        value = rng.choice(OUTSIDE).encode()
        where = [n for n, line in enumerate(lines) if line.startswith(data)]
        line = data + separator + value
        if where:
            lines[where[0]] = line
        else:
            lines.insert(max(1, len(lines) - 1), line)
    elif kind == "drop":
        del lines[number]
    elif kind == "repeat":
        lines.insert(number, lines[number])
    elif kind == "swap":
        other = rng.randrange(len(lines))
        lines[number], lines[other] = lines[other], lines[number]
    header = b"\n".join(lines)
    if kind == "flip" and header:
        flipped = bytearray(header)
        for _ in range(rng.choice((1, 2, 8))):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        header = bytes(flipped)
    content = header + rest
    if kind == "cut":
        content = content[: rng.randrange(len(content) + 1)]
    path.write_bytes(content)
    return f"{kind} {lines[min(number, len(lines) - 1)][:60]!r}" if kind != "data" else f"data {value!r}"


# Offset and format of the fields of a NIfTI-1 header (nifti1.h).
_NIFTI = {
    "sizeof_hdr": (0, "i"), "dim": (40, "8h"), "datatype": (70, "h"), "bitpix": (72, "h"),
    "pixdim": (76, "8f"), "vox_offset": (108, "f"), "scl_slope": (112, "f"), "scl_inter": (116, "f"),
    "xyzt_units": (123, "B"),
    "qform_code": (252, "h"), "sform_code": (254, "h"), "quatern": (256, "6f"), "srow": (280, "12f"),
    "magic": (344, "4s"),
}  # fmt: skip
_FLOATS = (0.0, -1.0, 1.0, 2.0, 1e30, -1e30, 1e-30, float("nan"), float("inf"), 352.0, 4e9, 1000.0)
_INTEGERS = (0, 1, -1, 2, 3, 4, 7, 8, 16, 32, 64, 128, 512, 2304, 32767, -32768, 11, 10, 9)


def _nifti(path: Path, rng: random.Random) -> str:
    content = path.read_bytes()
    packed = path.suffix == ".gz"
    if packed:
        try:
            content = zlib.decompress(content, 31)
        except zlib.error:
            packed = False
    content = bytearray(content)
    kind = rng.choice(("field", "field", "field", "field", "flip", "cut"))
    name, (offset, form) = rng.choice(list(_NIFTI.items()))
    if len(content) < 352 or kind == "cut":
        content = content[: rng.randrange(len(content) + 1)]
    elif kind == "flip":
        for _ in range(rng.choice((1, 2, 8))):
            content[rng.randrange(352)] ^= 1 << rng.randrange(8)
    else:
        count, code = int(form[:-1] or 1), form[-1]
        if code == "s":
            content[offset : offset + 4] = rng.choice((b"n+1\0", b"ni1\0", b"n+2\0", b"\0\0\0\0", b"abcd"))
        else:
            value = rng.choice(_FLOATS) if code == "f" else rng.choice(_INTEGERS)
            value = value & 0xFF if code == "B" else value
            place = offset + rng.randrange(count) * struct.calcsize(code)
            struct.pack_into("<" + code, content, place, value)
    if packed:
        packer = zlib.compressobj(1, wbits=31)
        content = packer.compress(bytes(content)) + packer.flush()
        if kind == "cut" and rng.random() < 0.5:
            content = content[: rng.randrange(len(content) + 1)]
    path.write_bytes(content)
    return f"{kind} {name}"


def judge_image(path: Path, volume, values: np.ndarray, base_warnings: tuple[str, ...]) -> str | None:
    """Return what is wrong with a volume read from a mutated header; None where it follows it.

    Values are those of the file, or what the header's own type, scale and offset make of them; the voxel size
    is what the header states. Nothing may come from outside the folder.
    """
    if (volume.suv == SECRET_VALUE).mean() > 0.5:
        return "a file outside the header's folder was read"
    stated = _nifti_spacing(path) if ".nii" in path.name else _text_spacing(path)
    if stated is None:
        return "the header states no valid voxel size, but the volume was taken" + f" as {volume.spacing}"
    if not np.allclose(volume.spacing, stated, rtol=1e-4):
        return f"the voxel size is {volume.spacing}; the header states {stated}"
    same = volume.suv.shape == values.shape and np.array_equal(volume.suv, values)
    if not same and not set(volume.warnings) - set(base_warnings):
        expected = _nifti_values(path) if ".nii" in path.name else _text_values(path)
        if expected is None or not np.allclose(volume.suv, expected, rtol=1e-4, equal_nan=True):
            return "the values are neither those of the file nor what its header makes of them"
    return None


def _fields(path: Path) -> tuple[dict[str, str], bytes]:
    content = path.read_bytes()
    if path.suffix in (".nrrd", ".nhdr"):
        header, _, rest = content.partition(b"\n\n")
        pairs = [line.partition(": ") for line in header.decode("latin-1").split("\n") if ": " in line]
        return {key.lower().replace(" ", ""): value.strip() for key, _, value in pairs}, rest
    place = content.find(b"ElementDataFile")
    end = content.find(b"\n", place) + 1 or len(content)
    pairs = [line.partition("=") for line in content[:end].decode("latin-1").split("\n") if "=" in line]
    return {key.strip().lower(): value.strip() for key, _, value in pairs}, content[end:]


def _text_spacing(path: Path) -> list[float] | None:
    fields, _ = _fields(path)
    try:
        if path.suffix in (".nrrd", ".nhdr"):
            if "spacedirections" in fields:
                vectors = re.findall(r"\(([^)]*)\)", fields["spacedirections"])
                return [float(np.linalg.norm([float(v) for v in text.split(",")])) for text in vectors][:3]
            return [float(v) for v in fields["spacings"].split()][:3]
        stated = fields.get("elementspacing") or fields["elementsize"]
        return [float(v) for v in stated.split()][:3]
    except (KeyError, ValueError):
        return None


def _text_values(path: Path) -> np.ndarray | None:
    """The values of a raw or zlib-packed data block by the header's size, type and byte order."""
    fields, rest = _fields(path)
    nrrd = path.suffix in (".nrrd", ".nhdr")
    types = {"float": "f4", "double": "f8", "int": "i4", "uint8": "u1", "short": "i2"}
    types |= {"MET_FLOAT": "f4", "MET_DOUBLE": "f8", "MET_UCHAR": "u1"}
    try:
        name = fields.get("datafile") if nrrd else fields["elementdatafile"]
        if name and name != "LOCAL":
            rest = (path.parent / name).read_bytes()
        size = [int(v) for v in fields["sizes" if nrrd else "dimsize"].split()]
        little = fields.get("endian", "little") == "little" if nrrd else _is_little(fields)
        own = np.dtype(types[fields["type" if nrrd else "elementtype"]]).newbyteorder("<" if little else ">")
        if (nrrd and fields["encoding"] in ("gzip", "gz")) or fields.get("compresseddata") == "True":
            rest = zlib.decompress(rest, 47)
        count = int(np.prod(size))
        return np.frombuffer(rest[: count * own.itemsize], own).reshape(size[::-1]).squeeze()
    except (KeyError, ValueError, OSError, zlib.error, TypeError):
        return None


def _is_little(fields: dict[str, str]) -> bool:
    stated = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "False"))
    return not stated.upper().startswith(("T", "1"))


def _nifti_header(path: Path) -> bytes:
    content = path.read_bytes()
    return zlib.decompress(content, 31) if content[:2] == b"\x1f\x8b" else content


def _nifti_spacing(path: Path) -> list[float] | None:
    content = _nifti_header(path)
    order = "<" if struct.unpack_from("<i", content)[0] == 348 else ">"
    sizes = [abs(v) for v in struct.unpack_from(order + "8f", content, 76)[1:4]]
    unit = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}.get(content[123] & 7, 1.0)
    sform, qform = (struct.unpack_from(order + "h", content, place)[0] for place in (254, 252))
    rows = np.reshape(struct.unpack_from(order + "12f", content, 280), (3, 4))[:, :3]
    by_rows = np.linalg.norm(rows, axis=0)
    if not np.isfinite(sizes).all() or min(sizes) <= 0:
        return None
    if sform > 0 and qform <= 0 and not np.allclose(by_rows, sizes, rtol=1e-3):
        return None  # two voxel sizes that contradict each other
    return [size * unit for size in sizes]


def _nifti_values(path: Path) -> np.ndarray | None:
    content = _nifti_header(path)
    order = "<" if struct.unpack_from("<i", content)[0] == 348 else ">"
    dim = struct.unpack_from(order + "8h", content, 40)
    types = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
    datatype = struct.unpack_from(order + "h", content, 70)[0]
    offset, slope, intercept = struct.unpack_from(order + "3f", content, 108)
    try:
        size = [max(1, n) for n in dim[1 : dim[0] + 1]]
        own = np.dtype(types[datatype]).newbyteorder(order)
        count = int(np.prod(size))
        stored = np.frombuffer(content, own, count, int(offset)).reshape(size[::-1]).astype(float)
        scaled = stored if slope == 0 or not np.isfinite(slope) else stored * slope + intercept
        return scaled.squeeze()
    except (KeyError, ValueError, OverflowError):
        return None
