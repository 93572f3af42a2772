"""Reading a label map and its CT, and checking that they belong together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.label_names import names_in_file

# Anything that is labelled, save lungs and gas in airways and gut, is denser.
_AIR_HOUNSFIELD = -400
_LEAST_OVERLAP = 0.9


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """A label map: `values` (k, j, i), its geometry in `image`, and the class name of each value it holds."""

    image: sitk.Image
    values: np.ndarray
    names: Mapping[int, str]


def read_label_map(path: Path, names: Mapping[int, str] | None = None) -> LabelMap:
    """Read a label map; `names` overrides what the file says, and values it leaves out are not labelled.

    Raises:
        BadInput: not one three-dimensional map of whole numbers, nothing labelled, or labels without names.
    """
    image = _read(path, "label map")
    values = sitk.GetArrayFromImage(image)
    if values.dtype.kind == "f":
        if not np.array_equal(values, np.round(values)):
            raise BadInput(f"{path} is not a label map: its values are not whole numbers")
        values = values.astype(np.int32)
    if values.min() < 0:
        raise BadInput(f"{path} is not a label map: it holds the value {values.min()}; labels start at 1")
    present = [int(v) for v in np.unique(values) if v]
    if not present:
        raise BadInput(f"the label map {path} is empty: every voxel is 0")
    known = dict(names) if names is not None else names_in_file(path, image)
    if not known:
        raise BadInput(
            f"{path} does not say what its labels {_listed(present)} are. Give --label-names: a JSON file "
            '{"1": "liver", ...}, or "total" or "total_v1" for a map of TotalSegmentator 2 or 1'
        )
    if nameless := [value for value in present if value not in known]:
        if names is None:
            raise BadInput(
                f"{path} does not name its labels {_listed(nameless)}; name them in a JSON file given as "
                "--label-names"
            )
        values = np.where(np.isin(values, nameless), 0, values)
        present = [value for value in present if value in known]
        if not present:
            raise BadInput(
                f"none of the labels in {path} ({_listed(nameless)}) is in the list of names given"
            )
    return LabelMap(image=image, values=values, names={value: known[value] for value in present})


def read_ct(path: Path, labels: LabelMap, airy: Collection[int]) -> sitk.Image:
    """Read the CT of a label map; `airy` are the label values of what may hold air.

    Raises:
        BadInput: not a volume in Hounsfield units, or not where the labels are.
    """
    image = _read(path, "CT")
    lowest = float(sitk.GetArrayViewFromImage(image).min())
    if lowest > -500:
        raise BadInput(
            f"the CT {path} is not in Hounsfield units: its lowest value is {lowest:g}, while air is -1000; "
            "give the CT as the scanner made it"
        )
    here = sitk.Resample(
        sitk.Cast(image, sitk.sitkFloat32), labels.image, sitk.Transform(), sitk.sitkLinear, np.nan
    )
    units = sitk.GetArrayViewFromImage(here)[labels.values > 0]
    covered = float(np.isfinite(units).mean())
    if covered < _LEAST_OVERLAP:
        part = f"only {covered:.0%}" if covered else "nothing"
        raise BadInput(
            f"{part} of what is labelled lies in the CT {path}: that {_reach(image)}, the label map "
            f"{_reach(labels.image)}. Give the CT that the labels were drawn on"
        )
    solid = ~np.isin(labels.values[labels.values > 0], list(airy)) & np.isfinite(units)
    in_air = float((units[solid] < _AIR_HOUNSFIELD).mean()) if solid.any() else 0.0
    if in_air > 0.2:
        raise BadInput(
            f"{in_air:.0%} of what is labelled as solid is air in the CT {path}: the two are not of the same "
            "scan, or one is flipped. Give the CT that the labels were drawn on"
        )
    return image


def _read(path: Path, what: str) -> sitk.Image:
    if not path.exists():
        raise BadInput(f"there is no {what} {path}; give the path of a NIfTI, NRRD or MetaImage file")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise BadInput(
            f"the {what} {path} cannot be read ({str(error).strip().splitlines()[-1]}); expected a NIfTI, "
            "NRRD or MetaImage file"
        ) from None
    size = image.GetSize()
    if image.GetDimension() == 4 and size[3] == 1:
        image, size = image[..., 0], size[:3]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise BadInput(
            f"the {what} {path} has {image.GetDimension()} dimensions {size} and "
            f"{image.GetNumberOfComponentsPerPixel()} values a voxel; expected one volume with one value. "
            "Export the segments as one label map, or take one time point"
        )
    return image


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:12])) + (", ..." if len(values) > 12 else "")


def _reach(image: sitk.Image) -> str:
    size = np.array(image.GetSize()) - 1
    ends = np.array([image.TransformIndexToPhysicalPoint([int(n) for n in size * bit]) for bit in (0, 1)])
    low, high = ends.min(axis=0), ends.max(axis=0)
    return "reaches from ({:.0f}, {:.0f}, {:.0f}) to ({:.0f}, {:.0f}, {:.0f}) mm".format(*low, *high)
