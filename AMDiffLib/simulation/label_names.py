"""What the labels of a label map are called: from the file itself, or from a list the user gives."""

from __future__ import annotations

import gzip
import json
import re
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import SimpleITK as sitk

from AMDiffLib.errors import BadInput

# Per NIfTI version, by the header's length: where the offset of the voxels is stored, and how.
_VOXEL_OFFSET = {348: (108, "f"), 540: (168, "q")}


def names_in_file(path: Path, image: sitk.Image) -> dict[int, str]:
    """Return the class name of each label value that a NIfTI or NRRD file states; empty where it states none.

    TotalSegmentator writes them to a NIfTI extension (XML), 3D Slicer to the header of a .seg.nrrd.
    """
    if path.name.endswith((".nii", ".nii.gz")):
        return _names_in_nifti(path)
    return _names_in_segmentation(image)


def names_from_json(path: Path) -> dict[int, str]:
    """Return the class names of a JSON file {"label value": "class name"}.

    Raises:
        BadInput: not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {int(value): _plain(name) for value, name in content.items()}
    except FileNotFoundError:
        raise BadInput(f"there is no file {path} with label names; give the path of one") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise BadInput(
            f"{path} does not list label names ({error}); expected JSON such as "
            '{"1": "liver", "2": "spleen"}'
        ) from None


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip())


def _names_in_nifti(path: Path) -> dict[int, str]:
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as file:
        head = file.read(544)
        order = "<" if struct.unpack("<i", head[:4])[0] in _VOXEL_OFFSET else ">"
        length = struct.unpack(order + "i", head[:4])[0]
        where, kind = _VOXEL_OFFSET[length]
        (end,) = struct.unpack_from(order + kind, head, where)
        file.seek(length)
        extensions = file.read(max(int(end) - length, 0))
    names: dict[int, str] = {}
    position = 4
    while position + 8 <= len(extensions) and extensions[0]:
        (size, _) = struct.unpack_from(order + "ii", extensions, position)
        if size < 8:
            break
        names |= _names_in_xml(extensions[position + 8 : position + size])
        position += size
    return names


def _names_in_xml(content: bytes) -> dict[int, str]:
    if b"<LabelTable" not in content:
        return {}
    try:
        root = ElementTree.fromstring(content.strip(b"\0 \r\n\t"))
    except ElementTree.ParseError:
        return {}
    return {int(label.get("Key", "")): _plain(label.text or "") for label in root.iter("Label")}


def _names_in_segmentation(image: sitk.Image) -> dict[int, str]:
    """Return the segments' names of a .seg.nrrd, or their IDs where those say more: they outlast renaming."""
    names = {}
    for key in image.GetMetaDataKeys():
        if match := re.fullmatch(r"(Segment\d+)_LabelValue", key):
            stem = match.group(1)
            identity = _plain(_entry(image, f"{stem}_ID"))
            generic = re.fullmatch(r"Segment(_\d+)?", identity)
            name = _plain(_entry(image, f"{stem}_Name")) if generic or not identity else identity
            names[int(image.GetMetaData(key))] = name
    return names


def _entry(image: sitk.Image, key: str) -> str:
    return image.GetMetaData(key) if image.HasMetaDataKey(key) else ""
