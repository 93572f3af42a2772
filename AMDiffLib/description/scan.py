"""Facts about a scan that its reader should know beforehand; none of them identifies the patient."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from AMDiffLib.description.measures import ScanMeasures
from AMDiffLib.description.noise import estimate_noise
from AMDiffLib.errors import BadInput
from AMDiffLib.image.dicom_series import read_series_facts
from AMDiffLib.image.reading import read_pet
from AMDiffLib.inference.envelope import Envelope, outside, refuse_meaningless

_FACTS = (
    "format", "manufacturer", "model", "tracer", "radionuclide", "matrix", "spacing", "units", "suv_factor",
    "decay_reference", "injected_dose_bq", "uptake_minutes", "minutes_per_bed", "corrections",
    "reconstruction", "height_m", "weight_kg", "sex", "suv_cross_check",
)  # fmt: skip


def describe_scan(
    path: str | Path,
    *,
    units: str | None = None,
    series_uid: str | None = None,
    envelope: Envelope | None = None,
) -> dict[str, Any]:
    """Read a scan as `read_pet` does and return what is known of it, JSON-able, None where unknown.

    Beside the facts of `PetVolume.source`: suv_max; noise (the `NoiseEstimate`'s fields, None without a
    liver-like region); warnings, with an `envelope` also of what is outside it; problem ("kind" and "text")
    where the scan cannot be used. Then the facts that its DICOM headers give nevertheless are there.
    """
    facts: dict[str, Any] = dict.fromkeys(_FACTS)
    facts |= {"suv_max": None, "noise": None, "warnings": [], "problem": None}
    try:
        volume = read_pet(path, units=units, series_uid=series_uid)
    except BadInput as error:
        facts["problem"] = {"kind": error.kind, "text": str(error)}
        found = _from_headers_alone(Path(path), series_uid)
        return facts | {name: found[name] for name in _FACTS if name in found}
    noise = estimate_noise(volume)
    warnings = list(volume.warnings)
    try:
        measures = ScanMeasures.of(volume)
        refuse_meaningless(measures)
        if envelope is not None:
            warnings += outside(measures, envelope)
    except BadInput as error:
        facts["problem"] = {"kind": error.kind, "text": str(error)}
    facts |= {name: volume.source.get(name) for name in _FACTS}
    return facts | {
        "suv_max": float(volume.suv.max()),
        "noise": None if noise is None else asdict(noise),
        "warnings": warnings,
    }


def _from_headers_alone(path: Path, series_uid: str | None) -> dict[str, Any]:
    try:
        return {"format": "DICOM", **read_series_facts(path, series_uid)}
    except (BadInput, OSError):
        return {}  # the problem has been said; there is nothing to add to it
