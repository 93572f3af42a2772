"""What ITK takes from the header of a NIfTI file without a word, checked before it does.

ITK reads on where the file ends, starts one voxel early where the offset of the data is not valid, and takes
1 mm for a voxel size of 0. Layouts: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AMDiffLib.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Place and type of the fields of a header of `size` bytes."""

    size: int
    magic: tuple[int, bytes]
    pixdim: tuple[int, str]
    vox_offset: tuple[int, str]
    scaling: tuple[int, str]
    codes: tuple[int, str]  # of qform and sform
    rows: tuple[int, str]


_LAYOUTS = (
    _Layout(
        size=348, magic=(344, b"n+1\0"), pixdim=(76, "8f"), vox_offset=(108, "f"), scaling=(112, "2f"),
        codes=(252, "2h"), rows=(280, "12f"),
    ),
    _Layout(
        size=540, magic=(4, b"n+2\0"), pixdim=(104, "8d"), vox_offset=(168, "q"), scaling=(176, "2d"),
        codes=(344, "2i"), rows=(400, "12d"),
    ),
)  # fmt: skip


def check_nifti_header(path: Path) -> None:
    """Refuse a NIfTI file whose header does not say where its voxels begin, how large they are, or their
    scale.

    Raises:
        BadInput: it is damaged, of another kind (two files), or contradicts itself.
    """
    header = _start(path)
    layout, order = _layout(header)

    def values(field: tuple[int, str]) -> tuple[float, ...]:
        return struct.unpack_from(order + field[1], header, field[0])

    place, magic = layout.magic
    if header[place : place + 4] != magic:
        raise BadInput(
            "The NIfTI file is not a single file with header and voxels (its magic is not n+1 or n+2). "
            "Export the image as one .nii or .nii.gz file."
        )
    (offset,) = values(layout.vox_offset)
    if not math.isfinite(offset) or offset != int(offset) or not layout.size + 4 <= offset < 2**31:
        raise BadInput(
            "The NIfTI header does not say where the voxels begin; it is damaged. Export it again."
        )
    sizes = np.abs(values(layout.pixdim)[1:4])
    if not np.isfinite(sizes).all() or not sizes.all():
        raise BadInput(
            "The NIfTI header states no valid voxel size, so no volume can be measured. Export it again."
        )
    qform, sform = values(layout.codes)
    columns = np.reshape(values(layout.rows), (3, 4))[:, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        by_rows = np.linalg.norm(columns, axis=0)
    if sform > 0 and qform <= 0 and not np.allclose(by_rows, sizes, rtol=1e-3):
        raise BadInput(
            "The NIfTI header states two voxel sizes that differ (pixdim and the sform matrix). Export it "
            "again."
        )
    if not np.isfinite(values(layout.scaling)).all():
        raise BadInput("The NIfTI header states a scale of the values that is no number. Export it again.")


def check_nifti_length(path: Path, *, offset: int, voxels: int, bytes_per_voxel: int) -> None:
    """Refuse a NIfTI file with fewer bytes than its header announces. Raises BadInput."""
    expected = offset + voxels * bytes_per_voxel
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        length = _decompressed_length(path, expected) if compressed else path.stat().st_size
    except (EOFError, gzip.BadGzipFile, zlib.error):
        length = 0
    if length < expected:
        raise _damaged()


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            return file.read(max(layout.size for layout in _LAYOUTS))
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise _damaged() from None


def _layout(header: bytes) -> tuple[_Layout, str]:
    """The layout and byte order in which the header's first number is its own size."""
    for layout in _LAYOUTS:
        for order in "<>":
            if len(header) >= layout.size and struct.unpack_from(order + "i", header)[0] == layout.size:
                return layout, order
    raise _damaged()


def _decompressed_length(path: Path, enough: int) -> int:
    """Count the bytes in a gzip file, but not beyond `enough`: a small file can hold a great many."""
    length = 0
    with gzip.open(path) as file:
        while length < enough and (chunk := file.read(1 << 20)):
            length += len(chunk)
    return length


def _damaged() -> BadInput:
    return BadInput("The NIfTI file is damaged or cut short. Copy or export it again.")
