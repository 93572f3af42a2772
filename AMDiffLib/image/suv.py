"""From the header of a DICOM PET series to SUVbw, by the vendor-neutral procedure of QIBA.

Source: QIBA Profile "FDG-PET/CT as an Imaging Biomarker Measuring Response to Cancer Therapy", SUV
vendor-neutral pseudo-code of 2018-06-26, and DICOM PS3.3 C.8.9 (PET Series, PET Isotope, PET Image modules).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from AMDiffLib.errors import BadInput
from AMDiffLib.image.decay import LONGEST_UPTAKE, decay_reference, decayed_by_frame
from AMDiffLib.image.dicom_files import values_of
from AMDiffLib.image.dicom_times import uptake_seconds
from AMDiffLib.image.identity import code_string
from AMDiffLib.image.private_attributes import (
    PHILIPS_ACTIVITY_FACTOR,
    PHILIPS_SUV_FACTOR,
    philips_factor,
)
from AMDiffLib.image.radionuclides import identify, positive_number, tracer_warnings

_PLAUSIBLE_WEIGHT_KG = (0.4, 500.0)
_PLAUSIBLE_DOSE_BQ = (1e6, 2e10)
# Outside of these, the SUV is computable but not comparable with the usual one, at 60 min.
_USUAL_UPTAKE_MINUTES = (30.0, 240.0)


@dataclass(frozen=True, kw_only=True)
class SuvConversion:
    """How a series becomes SUVbw.

    Attributes:
        factors: (slices,) float64, g/mL per rescaled unit: SUV = (stored * slope + intercept) * factor.
        units: the header's Units: BQML, CNTS or GML.
        radionuclide, injected_dose_bq, weight_kg, uptake_minutes: None where neither present nor needed.
        decay_reference: what the values are decay-corrected to.
    """

    factors: np.ndarray
    units: str
    radionuclide: str | None
    injected_dose_bq: float | None
    weight_kg: float | None
    uptake_minutes: float | None
    decay_reference: str
    warnings: tuple[str, ...]


def corrections(header: Dataset) -> set[str]:
    """Return the values of Corrected Image (0028,0051)."""
    return set(values_of(header, "CorrectedImage"))


def suv_conversion(headers: Sequence[Dataset]) -> SuvConversion:
    """Derive the SUVbw factors of a PET series from its headers, one per slice, in any order.

    Raises:
        BadInput: an attribute that SUVbw rests on is missing, contradictory, or of a kind not handled.
    """
    units = _same(headers, lambda header: str(header.get("Units") or "").strip().upper(), "Units")
    decay = _same(
        headers, lambda header: str(header.get("DecayCorrection") or "").strip().upper(), "Decay Correction"
    )
    if not all("ATTN" in corrections(header) for header in headers):
        raise BadInput(
            "The series is not attenuation-corrected (its Corrected Image does not list ATTN), so it holds "
            "no SUV. Choose the attenuation-corrected series of this study."
        )
    item = _radiopharmaceutical(headers)
    nuclide, half_life, warnings = identify(item)
    warnings += tracer_warnings(item, nuclide)
    facts: dict[str, Any] = {
        "units": units,
        "radionuclide": nuclide.name if nuclide else None,
        "injected_dose_bq": positive_number(item, "RadionuclideTotalDose"),
        "weight_kg": _same(
            headers, lambda header: positive_number(header, "PatientWeight"), "Patient's Weight"
        ),
    }
    if units == "GML":
        _check_suv_type(headers)
        facts |= {"uptake_minutes": None, "decay_reference": "already SUVbw"}
        return SuvConversion(factors=np.ones(len(headers)), warnings=tuple(warnings), **facts)
    if units not in ("BQML", "CNTS"):
        raise BadInput(
            f"The series is in units of {code_string(units)}; expected BQML, GML or, from Philips, CNTS."
        )
    warnings += _check_decay_correction(headers, decay)

    scale = 1.0
    if units == "CNTS":
        suv_factor = _same(
            headers, lambda header: philips_factor(header, PHILIPS_SUV_FACTOR), "SUV Scale Factor (7053,1000)"
        )
        activity_factor = _same(
            headers,
            lambda header: philips_factor(header, PHILIPS_ACTIVITY_FACTOR),
            "activity factor (7053,1009)",
        )
        if suv_factor is not None and decay == "START":
            facts |= {"uptake_minutes": None, "decay_reference": "Philips SUV scale factor"}
            return SuvConversion(factors=np.full(len(headers), suv_factor), warnings=tuple(warnings), **facts)
        if activity_factor is None:
            raise BadInput(
                "The series holds counts (Units CNTS) without the Philips scale factors (7053,1000) or "
                "(7053,1009) that turn them into SUV. Export it again with its private attributes, or in "
                "Bq/mL."
            )
        scale = activity_factor

    dose, weight = _checked_dose(item), _checked_weight(headers)
    if half_life is None:
        raise BadInput("The header gives neither radionuclide nor half-life, so the SUV cannot be computed.")
    # Every F-18 scan is within 12 h; zirconium-89 is imaged days after its injection.
    longest = max(LONGEST_UPTAKE, timedelta(seconds=6.5 * half_life))
    if decay == "ADMIN":
        decayed, uptake, reference = np.ones(len(headers)), None, "administration"
    elif decay == "START":
        scan, reference, more = decay_reference(headers, half_life)
        uptake, late = uptake_seconds(headers[0], item, scan, longest)
        warnings += more + late
        decayed = np.full(len(headers), 2.0 ** (-uptake / half_life))
    else:
        decayed, uptake, late = decayed_by_frame(headers, item, half_life, longest)
        warnings += late
        reference = "each frame's own time"
    if uptake is not None and not _USUAL_UPTAKE_MINUTES[0] <= uptake / 60 <= _USUAL_UPTAKE_MINUTES[1]:
        warnings.append(
            f"The scan began {uptake / 60:.0f} min after the injection; 18F-FDG is usually imaged at 60 min."
        )
    facts |= {
        "injected_dose_bq": dose,
        "weight_kg": weight,
        "uptake_minutes": None if uptake is None else uptake / 60,
        "decay_reference": reference,
    }
    return SuvConversion(
        factors=scale * weight * 1000.0 / (dose * decayed), warnings=tuple(warnings), **facts
    )


def _radiopharmaceutical(headers: Sequence[Dataset]) -> Dataset:
    count = _same(
        headers,
        lambda header: len(header.get("RadiopharmaceuticalInformationSequence") or []),
        "The number of injections",
    )
    if count == 0:
        return Dataset()
    if count > 1:
        raise BadInput(f"The header describes {count} injections; expected one, as SUVbw is defined for one.")
    items = [header.RadiopharmaceuticalInformationSequence[0] for header in headers]
    for keyword in (
        "RadionuclideTotalDose",
        "RadionuclideHalfLife",
        "RadiopharmaceuticalStartTime",
        "RadiopharmaceuticalStartDateTime",
    ):
        _same(items, lambda item, keyword=keyword: str(item.get(keyword)), keyword)
    return items[0]


def _check_suv_type(headers: Sequence[Dataset]) -> None:
    suv_type = _same(headers, lambda header: str(header.get("SUVType") or "").strip().upper(), "SUV Type")
    if suv_type not in ("", "BW"):
        raise BadInput(
            f"The series holds SUV of type {code_string(suv_type)}; expected BW (by body weight). Export it "
            "in Bq/mL or as SUVbw."
        )


def _check_decay_correction(headers: Sequence[Dataset], decay: str) -> list[str]:
    if decay not in ("START", "ADMIN", "NONE"):
        raise BadInput(f"Decay Correction is {code_string(decay)}; expected START, ADMIN or NONE.")
    listed = [bool(corrections(header) & {"DECY", "DECAY"}) for header in headers]
    if decay == "NONE" and any(listed):
        raise BadInput(
            "The header contradicts itself: Decay Correction is NONE, but Corrected Image lists DECY. Export "
            "or reconstruct the series again."
        )
    if decay != "NONE" and not all(listed):
        # Decay Correction is a mandatory attribute and names the reference; the list may lawfully be
        # incomplete.
        return [
            f"Corrected Image does not list DECY; the values were taken as Decay Correction says: {decay}."
        ]
    return []


def _checked_dose(item: Dataset) -> float:
    dose = positive_number(item, "RadionuclideTotalDose")
    if dose is None:
        raise BadInput(
            "The header has no injected dose (Radionuclide Total Dose is missing, empty or 0), so the SUV "
            "cannot be computed. Have it entered at the scanner and the series exported again."
        )
    if not _PLAUSIBLE_DOSE_BQ[0] <= dose <= _PLAUSIBLE_DOSE_BQ[1]:
        hint = " It looks like MBq or kBq." if dose < _PLAUSIBLE_DOSE_BQ[0] else ""
        raise BadInput(
            f"The injected dose (Radionuclide Total Dose) is {dose:g}; expected Bq, for example "
            f"370000000.{hint} Correct the entry at the scanner and export the series again."
        )
    return dose


def _checked_weight(headers: Sequence[Dataset]) -> float:
    weight = positive_number(headers[0], "PatientWeight")
    if weight is None:
        raise BadInput(
            "The header has no patient weight (Patient's Weight is missing, empty or 0), so the SUV cannot "
            "be computed. Have it entered at the scanner and the series exported again."
        )
    if not _PLAUSIBLE_WEIGHT_KG[0] <= weight <= _PLAUSIBLE_WEIGHT_KG[1]:
        raise BadInput(
            f"The patient weight is {weight:g}; expected kg, between 0.4 and 500. Correct the entry."
        )
    return weight


def _same(headers: Sequence[Dataset], read: Callable[[Dataset], Any], name: str) -> Any:
    values = {read(header) for header in headers}
    if len(values) > 1:
        raise BadInput(
            f"{name} differs between the slices of one series, so they do not belong to one image. Export "
            "the series again."
        )
    return values.pop()
