"""Compressed NRRD files that are on the disk whole, or an error."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import SimpleITK as sitk

from AMDiffLib.errors import CannotWrite
from AMDiffLib.inference.memory import is_out_of_memory

_COMPRESSION_LEVEL = 1  # noise hardly compresses: higher levels cost seconds and save little
_TRAILER = struct.Struct("<II")  # of gzip, RFC 1952: CRC-32 and size of the uncompressed bytes


def write_nrrd(path: str | Path, image: sitk.Image) -> None:
    """Write a scalar image as gzip-compressed NRRD.

    Raises CannotWrite: the disk is full or broken, or the folder cannot be written.
    """
    try:
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=_COMPRESSION_LEVEL)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise _cannot_write(path, str(error).strip().splitlines()[-1]) from error
    # ITK does not say when the last block finds no room: the file then ends before gzip's own trailer.
    voxels = sitk.GetArrayViewFromImage(image)
    if _end_of(path) != _TRAILER.pack(zlib.crc32(voxels), voxels.nbytes & 0xFFFFFFFF):
        raise _cannot_write(path, "its end is missing")


def _end_of(path: str | Path) -> bytes:
    with Path(path).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TRAILER.size))
        return file.read()


def _cannot_write(path: str | Path, reason: str) -> CannotWrite:
    return CannotWrite(
        f"The file {Path(path).name} could not be written whole ({reason}); most often the disk is full. "
        "Free some space or choose another folder, and start again."
    )
