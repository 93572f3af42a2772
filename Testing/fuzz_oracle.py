"""What a mutated DICOM series says by the letter of the standard, for the fuzzer to hold the reading against.

Shares no code with AMDiffLib: pydicom finds the values; they are parsed by the grammar of DICOM PS3.5, and
SUVbw = A W / (D 2^(-t/T)) is applied to what is valid in every slice alike.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_HALF_LIFE_F18_S = 6586.2
# Words of the reading's own warnings that admit to another reading of the times or the half-life.
_ADMITTED = ("time", "injection", "half-life", "decay-corrected", "Decay", "DECY", "date", "real world value")


def judge_series(folder: Path, volume, base_warnings: tuple[str, ...]) -> str | None:
    """Return what is wrong with a volume read from `folder`; None where it follows the headers or admits it
    does not.

    Every voxel must be stored * slope + intercept of the slice at its place, times the factor the headers
    state. Where the standard gives no factor, or fewer slices than announced were read, a warning is owed.
    """
    news = [text for text in volume.warnings if text not in base_warnings]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headers = _headers(folder)
        found = _matching(headers, volume)
        if isinstance(found, str):
            return found
        factor = _factor(found)
    own = float(volume.source["suv_factor"])
    if factor is None and not news:
        return f"the header states no SUV, but the factor {own:g} was used without a word"
    differs = factor is not None and not math.isclose(own, factor, rel_tol=1e-6)
    if differs and not any(word in text for text in news for word in _ADMITTED):
        return f"the factor is {own:g}; the header states {factor:g}; warnings {news}"
    wrong = _voxels_differ(found, volume, own)
    if wrong:
        return wrong
    announced = {int(h.NumberOfSlices) for h in found if isinstance(h.get("NumberOfSlices"), int)}
    if len(announced) == 1 and announced.pop() > len(found) and not any("slices" in text for text in news):
        return f"only {len(found)} slices were read without a word"
    return None


def _headers(folder: Path) -> list[Dataset]:
    headers = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                header = pydicom.dcmread(path, force=True)
                float(header.ImagePositionPatient[2])
                headers.append(header)
            except Exception:
                continue
    return headers


def _matching(headers: list[Dataset], volume) -> list[Dataset] | str:
    """The headers of the volume's slices, in its order, by their positions; or what is wrong."""
    normal = np.reshape(volume.direction, (3, 3))[:, 2]
    found = []
    for k in range(len(volume.suv)):
        place = np.array(volume.origin) + k * volume.spacing[2] * normal
        distance = [
            abs((np.array(h.ImagePositionPatient, float) - place) @ normal)
            if str(h.get("SeriesInstanceUID")) == volume.source["series_uid"]
            else math.inf
            for h in headers
        ]
        nearest = int(np.argmin(distance))
        if not distance[nearest] <= 0.11 * volume.spacing[2] * len(volume.suv):
            return f"slice {k} lies where no header says"
        found.append(headers[nearest])
    orientation = np.array(found[0].ImageOrientationPatient, float)
    columns = np.reshape(volume.direction, (3, 3))[:, :2].T.ravel()
    if np.abs(orientation - columns).max() > 2e-3:
        return "the direction is not that of the header"
    spacing = [float(value) for value in found[0].PixelSpacing]
    if not np.allclose(volume.spacing[:2], spacing[::-1], rtol=1e-6):
        return "the pixel spacing is not that of the header"
    return found


def _voxels_differ(found: list[Dataset], volume, factor: float) -> str | None:
    for k, header in enumerate(found):
        try:
            stored = np.frombuffer(header.PixelData, "<i2" if header.PixelRepresentation else "<u2")
            stored = stored[: header.Rows * header.Columns].reshape(header.Rows, header.Columns)
            slope, intercept = float(header.RescaleSlope), float(header.get("RescaleIntercept") or 0)
        except Exception as error:
            return f"slice {k} has no valid pixels by its header ({type(error).__name__}), but was read"
        if header.BitsAllocated != 16 or not np.allclose(
            volume.suv[k], (stored * slope + intercept) * factor, rtol=1e-4, atol=1e-6
        ):
            return f"the voxels of slice {k} are not what its header says"
    return None


def _factor(headers: list[Dataset]) -> float | None:
    """SUVbw per rescaled unit by the letter of the standard; None where the headers do not give it."""
    units = _agreed(headers, lambda h: str(h.get("Units") or "").strip().upper())
    decay = _agreed(headers, lambda h: str(h.get("DecayCorrection") or "").strip().upper())
    # Codes are in upper case; one in lower case is out of the standard, and can mean nothing else.
    if any("ATTN" not in [str(v).strip().upper() for v in _list(h.get("CorrectedImage"))] for h in headers):
        return None
    if units == "GML":
        return 1.0
    item = _agreed_item(headers)
    weight = _agreed(headers, lambda h: _decimal(h.get("PatientWeight")))
    if units != "BQML" or item is None or weight is None:
        return None
    dose = _decimal(item.get("RadionuclideTotalDose"))
    half_life = _decimal(item.get("RadionuclideHalfLife"))
    if dose is None or half_life is None or abs(half_life / _HALF_LIFE_F18_S - 1) > 0.02:
        return None
    if decay == "ADMIN":
        return weight * 1000 / dose
    # A slice without a valid date of its own lies in the same series as the others.
    dated = [moment for h in headers if (moment := _moment(h.get("SeriesDate"), h.get("SeriesTime")))]
    scan = dated[0] if len(set(dated)) == 1 else None
    injection = _moment("20000101", item.get("RadiopharmaceuticalStartTime"))
    if decay != "START" or scan is None or injection is None or item.get("RadiopharmaceuticalStartDateTime"):
        return None
    seconds = (scan - injection).total_seconds() % timedelta(days=1).total_seconds()
    return weight * 1000 / (dose * 2 ** (-seconds / half_life))


def _agreed(headers: list[Dataset], value: Callable):
    """The value that all headers share; None where they differ."""
    values = {value(header) for header in headers}
    return values.pop() if len(values) == 1 else None


def _agreed_item(headers: list[Dataset]) -> Dataset | None:
    sequences = [header.get("RadiopharmaceuticalInformationSequence") or [] for header in headers]
    if any(len(sequence) != 1 for sequence in sequences):
        return None
    keywords = ("RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime")
    for keyword in keywords:
        if len({str(sequence[0].get(keyword)) for sequence in sequences}) > 1:
            return None
    return sequences[0][0]


def _list(value) -> list:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _decimal(value) -> float | None:
    """A positive decimal by the grammar of DS and IS."""
    text = str(value).strip()
    if value is None or not _DECIMAL.fullmatch(text):
        return None
    number = float(text)
    return number if 0 < number < math.inf else None


def _moment(day, clock) -> datetime | None:
    """Date and time by the grammar of DA and TM."""
    text = str(clock or "").strip()
    if not re.fullmatch(r"\d{6}(\.\d{1,6})?", text) or not re.fullmatch(r"\d{8}", str(day or "").strip()):
        return None
    try:
        moment = datetime.strptime(str(day).strip() + text[:6], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment + timedelta(seconds=float("0" + text[6:]) if text[6:] else 0.0)
