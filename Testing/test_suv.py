"""SUVbw factors from headers, against the definition of SUVbw and against four real scanners."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from dicom_builder import DEFAULT_FACTOR, DOSE_BQ, F18_HALF_LIFE_S, ITEM_KEYWORDS, WEIGHT_KG, code, pet_header
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from AMDiffLib.errors import BadInput
from AMDiffLib.image.suv import suv_conversion


def factor(**changes) -> float:
    return float(suv_conversion([pet_header(**changes)]).factors[0])


def factor_after(seconds: float, half_life: float = F18_HALF_LIFE_S) -> float:
    return WEIGHT_KG * 1000 / (DOSE_BQ * 2 ** (-seconds / half_life))


def with_philips_factors(header: Dataset, suv: str | None = None, activity: str | None = None) -> Dataset:
    block = header.private_block(0x7053, "Philips PET Private Group", create=True)
    if suv is not None:
        block.add_new(0x00, "DS", suv)
    if activity is not None:
        block.add_new(0x09, "DS", activity)
    return header


def header_of_instance(facts: dict) -> Dataset:
    """A header from one instance of the published JSON files."""
    header, item = Dataset(), Dataset()
    facts = dict(facts)
    philips = facts.pop("PhilipsPETPrivateGroup")
    for keyword, value in facts.items():
        value = value.strip() if isinstance(value, str) else value
        setattr(item if keyword in ITEM_KEYWORDS else header, keyword, value)
    header.RadiopharmaceuticalInformationSequence = Sequence([item])
    return with_philips_factors(
        header, philips.get("SUVScaleFactor"), philips.get("ActivityConcentrationScaleFactor")
    )


@pytest.mark.parametrize(
    ("scanner", "published"),
    [
        ("SIEMENS", 4.27483e-4),
        ("GE_MEDICAL_AND_BQML", 5.36739e-4),
        ("PHILIPS_BQML", 7.46375e-4),
        ("PHILIPS_CNTS_AND_SUV", 7.28e-4),
    ],
)
def test_real_headers_give_their_published_factors(pet_data: Path, scanner: str, published: float):
    instances = json.loads((pet_data / "suv-headers" / f"{scanner}-instances.json").read_text())
    factors = suv_conversion([header_of_instance(facts) for facts in instances]).factors
    assert factors == pytest.approx([published] * 3, rel=2e-6)


def test_activity_corrected_to_the_start_of_the_series_follows_the_definition():
    conversion = suv_conversion([pet_header()])
    assert conversion.factors[0] == pytest.approx(DEFAULT_FACTOR, rel=1e-12)
    assert conversion.uptake_minutes == 60
    assert conversion.radionuclide == "F-18"
    assert conversion.decay_reference == "series time"
    assert conversion.warnings == ()


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_codes_in_lower_case_are_the_same_codes():
    damaged = pet_header(Units="Bqml", DecayCorrection="start", CorrectedImage=["DECY", "ATTn"])
    assert suv_conversion([pet_header(), damaged]).factors == pytest.approx([DEFAULT_FACTOR] * 2, rel=1e-12)


def test_one_slice_without_attenuation_correction_is_enough_to_refuse():
    with pytest.raises(BadInput, match="not attenuation-corrected"):
        suv_conversion([pet_header(), pet_header(CorrectedImage=["DECY", "AUTN"])])


def test_activity_corrected_to_the_injection_is_not_decayed():
    assert factor(DecayCorrection="ADMIN") == pytest.approx(WEIGHT_KG * 1000 / DOSE_BQ, rel=1e-12)


def test_activity_without_decay_correction_is_corrected_frame_by_frame():
    headers = [
        pet_header(
            DecayCorrection="NONE",
            CorrectedImage=["ATTN", "SCAT"],
            AcquisitionTime=start,
            ActualFrameDuration=ms,
        )
        for start, ms in (("110000", "120000"), ("112000", "600000"))
    ]
    constant = math.log(2) / F18_HALF_LIFE_S
    # A frame measures the mean of A exp(-k t) over its duration: integrate it numerically.
    expected = []
    for start, duration in ((3600, 120), (4800, 600)):
        steps = 20000
        mean = sum(math.exp(-constant * (start + (i + 0.5) * duration / steps)) for i in range(steps)) / steps
        expected.append(WEIGHT_KG * 1000 / (DOSE_BQ * mean))
    assert suv_conversion(headers).factors == pytest.approx(expected, rel=1e-9)


def test_one_acquisition_time_for_beds_at_different_reference_times_is_refused_without_decay_correction():
    headers = [
        pet_header(DecayCorrection="NONE", CorrectedImage=["ATTN"], FrameReferenceTime=ms)
        for ms in ("60000", "900000")
    ]
    with pytest.raises(BadInput, match="frame reference"):
        suv_conversion(headers)


@pytest.mark.parametrize("missing", ["AcquisitionTime", "ActualFrameDuration"])
def test_frames_without_their_time_are_refused_without_decay_correction(missing: str):
    with pytest.raises(BadInput, match="Reconstruct it with decay correction"):
        factor(DecayCorrection="NONE", CorrectedImage=["ATTN"], **{missing: None})


@pytest.mark.parametrize("suv_type", ["BW", None])
def test_grams_per_millilitre_are_suv_already(suv_type: str | None):
    changes = {} if suv_type is None else {"SUVType": suv_type}
    assert factor(Units="GML", **changes) == 1.0


@pytest.mark.parametrize("suv_type", ["LBM", "LBMJAMES128", "IBW", "BSA"])
def test_suv_by_other_than_body_weight_is_refused(suv_type: str):
    with pytest.raises(BadInput, match=f"SUV of type {suv_type}; expected BW"):
        factor(Units="GML", SUVType=suv_type)


def test_philips_counts_take_the_private_suv_factor_first():
    header = with_philips_factors(pet_header(Units="CNTS"), suv="0.000728", activity="2.5")
    assert suv_conversion([header]).factors[0] == pytest.approx(7.28e-4, rel=1e-12)


@pytest.mark.parametrize("absent", [None, "0"])
def test_philips_counts_without_suv_factor_go_through_activity(absent: str | None):
    header = with_philips_factors(pet_header(Units="CNTS"), suv=absent, activity="2.5")
    assert suv_conversion([header]).factors[0] == pytest.approx(2.5 * DEFAULT_FACTOR, rel=1e-12)


def test_private_factors_of_unknown_type_are_read():
    header = pet_header(Units="CNTS")
    header.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "UN", b"0.000728")
    assert suv_conversion([header]).factors[0] == pytest.approx(7.28e-4, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Units": "CNTS"}, "counts .* without the Philips scale factors"),
        ({"Units": "PROPCPS"}, "units of PROPCPS; expected BQML"),
        ({"Units": None}, r"units of \(none given\)"),
        ({"CorrectedImage": ["DECY", "SCAT"]}, "not attenuation-corrected"),
        ({"CorrectedImage": None}, "not attenuation-corrected"),
        ({"DecayCorrection": "NONE"}, "lists DECY"),
        ({"DecayCorrection": None}, "Decay Correction is .none given."),
        ({"PatientWeight": None}, "no patient weight"),
        ({"PatientWeight": "0"}, "no patient weight"),
        ({"PatientWeight": ""}, "no patient weight"),
        ({"PatientWeight": "70000"}, "70000; expected kg"),
        ({"RadionuclideTotalDose": None}, "no injected dose"),
        ({"RadionuclideTotalDose": "0"}, "no injected dose"),
        ({"RadiopharmaceuticalInformationSequence": None}, "no injected dose"),
        ({"RadionuclideTotalDose": "350"}, "350; expected Bq.*looks like MBq"),
        ({"RadiopharmaceuticalStartTime": None}, "no injection time"),
        ({"RadiopharmaceuticalStartTime": "110500"}, "injected 23.9 h before the scan"),
        (
            {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20240311110500"},
            "injected 5 min after the scan started",
        ),
        (
            {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20240310220000"},
            "injected 13.0 h before the scan",
        ),
        ({"SeriesTime": None, "AcquisitionTime": None}, "neither series time nor acquisition time"),
        ({"RadionuclideHalfLife": "109.77"}, "half-life of 109.77 s; expected 6586.2"),
        (
            {"RadionuclideHalfLife": "574300", "RadionuclideCodeSequence": None, "Radiopharmaceutical": None},
            "574300 s",
        ),
        (
            {"RadionuclideCodeSequence": code("447553000", "SCT", "^177^Lutetium")},
            "Lu-177, which is not a PET",
        ),
        ({"Radiopharmaceutical": "177Lu-DOTATATE"}, "Lu-177, which is not a PET"),
        ({"Radiopharmaceutical": "Ga-68 DOTATOC"}, "contradicts itself"),
    ],
)
def test_a_header_that_suv_cannot_rest_on_is_refused(changes: dict, message: str):
    with pytest.raises(BadInput, match=message):
        factor(**changes)


def test_several_injections_are_refused():
    header = pet_header()
    item = header.RadiopharmaceuticalInformationSequence[0]
    header.RadiopharmaceuticalInformationSequence = Sequence([item, item])
    with pytest.raises(BadInput, match="2 injections; expected one"):
        suv_conversion([header])


def test_decay_correction_counts_more_than_the_list_of_corrections_but_a_gap_there_is_said():
    conversion = suv_conversion([pet_header(CorrectedImage=["ATTN", "SCAT"])])
    assert conversion.factors[0] == pytest.approx(DEFAULT_FACTOR, rel=1e-12)
    assert "does not list DECY" in conversion.warnings[0]


def test_slices_that_disagree_about_the_patient_are_refused():
    with pytest.raises(BadInput, match="Patient's Weight differs"):
        suv_conversion([pet_header(), pet_header(PatientWeight="80")])


def test_another_pet_tracer_is_converted_with_its_half_life_and_a_warning():
    conversion = suv_conversion(
        [
            pet_header(
                RadionuclideCodeSequence=code("35337001", "SCT", "^68^Gallium"),
                RadionuclideHalfLife="4070",
                Radiopharmaceutical="PSMA-11",
            )
        ]
    )
    assert conversion.factors[0] == pytest.approx(factor_after(3600, 4070), rel=1e-12)
    assert conversion.radionuclide == "Ga-68"
    assert "Ga-68; the models are made for 18F-FDG" in conversion.warnings[0]


@pytest.mark.parametrize(
    "name", ["FDG", "18F-FDG", "Fluorodeoxyglucose F^18^", "[18F]Fludeoxyglucose", "F-18"]
)
def test_the_many_names_of_fdg_pass_without_a_warning(name: str):
    assert suv_conversion([pet_header(Radiopharmaceutical=name)]).warnings == ()


def test_another_f18_tracer_is_warned_of():
    assert (
        "other than 18F-FDG" in suv_conversion([pet_header(Radiopharmaceutical="18F-PSMA-1007")]).warnings[0]
    )


def test_a_missing_half_life_is_that_of_the_coded_nuclide():
    conversion = suv_conversion([pet_header(RadionuclideHalfLife=None)])
    assert conversion.factors[0] == pytest.approx(DEFAULT_FACTOR, rel=1e-12)
    assert "no half-life" in conversion.warnings[0]


def test_an_unusual_uptake_time_is_warned_of():
    assert (
        "began 5 min after" in suv_conversion([pet_header(RadiopharmaceuticalStartTime="105500")]).warnings[0]
    )
