"""What the headers of a PET series say beside the SUV: tracer, matrix, timing, corrections, body measures."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from pydicom.dataset import Dataset

from AMDiffLib.image.dicom_files import values_of
from AMDiffLib.image.identity import without_identity
from AMDiffLib.image.radionuclides import positive_number

# Patient's Size is in metres; centimetres are a common mistake, and nothing is guessed.
_PLAUSIBLE_HEIGHT_M = (0.3, 2.5)
_CORRECTIONS = {
    "ATTN": "attenuation",
    "SCAT": "scatter",
    "RAN": "randoms",
    "DECY": "decay",
    "DTIM": "dead time",
    "NORM": "normalisation",
    "RADL": "radial non-uniformity",
    "DCAL": "dose calibration",
    "SLSENS": "slice sensitivity",
    "MOTN": "motion",
    "PVC": "partial volume",
}


def series_facts(headers: Sequence[Dataset]) -> dict[str, Any]:
    """Return JSON-able facts that do not identify the patient; None where the header does not say.

    tracer (text), manufacturer, model, series_description, matrix (columns, rows, slices), minutes_per_bed
    (Actual Frame Duration, the median of the slices), corrections (words), reconstruction (text),
    height_m, weight_kg, sex ("M", "F", "O").
    """
    first = headers[0]
    durations = [
        duration for header in headers if (duration := positive_number(header, "ActualFrameDuration"))
    ]
    sex = str(first.get("PatientSex") or "").strip().upper()
    return {
        "manufacturer": str(first.get("Manufacturer") or "").strip() or None,
        "model": str(first.get("ManufacturerModelName") or "").strip() or None,
        "tracer": _tracer(first),
        "matrix": [int(first.get("Columns") or 0), int(first.get("Rows") or 0), len(headers)],
        "minutes_per_bed": round(median(durations) / 60_000, 3) if durations else None,
        "corrections": list(
            dict.fromkeys(_CORRECTIONS.get(code, code) for code in values_of(first, "CorrectedImage"))
        ),
        "reconstruction": _text(first, "ReconstructionMethod"),
        "height_m": _height(first),
        "weight_kg": positive_number(first, "PatientWeight"),
        "sex": sex if sex in ("M", "F", "O") else None,
    }


def _tracer(header: Dataset) -> str | None:
    """The radiopharmaceutical's name, or else the meaning of its code."""
    for item in header.get("RadiopharmaceuticalInformationSequence") or []:
        texts = [str(item.get("Radiopharmaceutical") or "")]
        texts += [
            str(code.get("CodeMeaning") or "") for code in item.get("RadiopharmaceuticalCodeSequence") or []
        ]
        for text in texts:
            if text.strip():
                return without_identity(text.strip(), header)
    return None


def _height(header: Dataset) -> float | None:
    height = positive_number(header, "PatientSize")
    return height if height and _PLAUSIBLE_HEIGHT_M[0] <= height <= _PLAUSIBLE_HEIGHT_M[1] else None


def _text(header: Dataset, keyword: str) -> str | None:
    text = str(header.get(keyword) or "").strip()
    return without_identity(text, header) if text else None
