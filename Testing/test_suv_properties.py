"""The laws of SUVbw = activity / (dose left / weight), over doses, weights, times and ways to write them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from dicom_builder import F18_HALF_LIFE_S, pet_header
from hypothesis import given
from hypothesis import strategies as st

from AMDiffLib.errors import BadInput
from AMDiffLib.image.suv import suv_conversion

# pydicom warns of values that are no DICOM, which these tests write on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom.valuerep")

DOSES_BQ = st.floats(2e6, 9e9)
WEIGHTS_KG = st.floats(1.0, 240.0)
UPTAKES_S = st.integers(0, 12 * 3600)
# Any second of two years, leap day and year's end included.
STARTS = st.integers(0, 2 * 366 * 86400).map(lambda s: datetime(2023, 1, 1) + timedelta(seconds=s))


def factor(**changes) -> float:
    return float(suv_conversion([pet_header(**changes)]).factors[0])


def at(moment: datetime, kind: str) -> dict[str, str]:
    return {f"{kind}Date": moment.strftime("%Y%m%d"), f"{kind}Time": moment.strftime("%H%M%S")}


def scanned_at(moment: datetime) -> dict[str, str]:
    return at(moment, "Series") | at(moment, "Acquisition") | {"StudyDate": moment.strftime("%Y%m%d")}


@given(DOSES_BQ)
def test_twice_the_dose_is_half_the_suv(dose):
    once, twice = factor(RadionuclideTotalDose=repr(dose)), factor(RadionuclideTotalDose=repr(2 * dose))
    assert twice == pytest.approx(once / 2, rel=1e-12)


@given(WEIGHTS_KG, st.floats(0.5, 2.0))
def test_suv_is_proportional_to_weight(weight, times):
    light, heavy = factor(PatientWeight=repr(weight)), factor(PatientWeight=repr(weight * times))
    assert heavy == pytest.approx(light * times, rel=1e-12)


@given(STARTS, UPTAKES_S)
def test_the_dose_decays_over_any_interval_and_over_midnight(scan, uptake_s):
    """Only the time of day of the injection is given: it is the last such time before the scan."""
    injection = scan - timedelta(seconds=uptake_s)
    found = factor(RadiopharmaceuticalStartTime=injection.strftime("%H%M%S"), **scanned_at(scan))
    at_injection = factor(DecayCorrection="ADMIN")
    assert found == pytest.approx(at_injection * 2 ** (uptake_s / F18_HALF_LIFE_S), rel=1e-9)


@given(STARTS, UPTAKES_S)
def test_a_dated_injection_gives_the_same_as_one_by_its_time_of_day(scan, uptake_s):
    injection = scan - timedelta(seconds=uptake_s)
    dated = {
        "RadiopharmaceuticalStartTime": None,
        "RadiopharmaceuticalStartDateTime": injection.strftime("%Y%m%d%H%M%S"),
    }
    by_date = factor(**dated, **scanned_at(scan))
    by_time = factor(RadiopharmaceuticalStartTime=injection.strftime("%H%M%S"), **scanned_at(scan))
    assert by_date == pytest.approx(by_time, rel=1e-12)


@given(STARTS, UPTAKES_S, st.integers(-12, 12), st.integers(-12, 12))
def test_the_same_moment_in_other_time_zones_is_the_same_suv(scan, uptake_s, header_zone, injection_zone):
    injection = scan - timedelta(seconds=uptake_s) + timedelta(hours=injection_zone - header_zone)
    zoned = factor(
        TimezoneOffsetFromUTC=f"{header_zone:+03d}00",
        RadiopharmaceuticalStartTime=None,
        RadiopharmaceuticalStartDateTime=f"{injection:%Y%m%d%H%M%S}{injection_zone:+03d}00",
        **scanned_at(scan),
    )
    assert zoned == pytest.approx(factor(DecayCorrection="ADMIN") * 2 ** (uptake_s / F18_HALF_LIFE_S))


@given(STARTS, st.integers(60, 3 * 3600), st.integers(1000, 600_000), st.integers(0, 20 * 60))
def test_an_uncorrected_frame_counts_as_its_average_decay(scan, uptake_s, duration_ms, bed_s):
    """Without decay correction a frame's activity is the mean of A 2^(-t/T) over it, here by its integral."""
    injection, frame = scan - timedelta(seconds=uptake_s), scan + timedelta(seconds=bed_s)
    found = factor(
        DecayCorrection="NONE",
        CorrectedImage=["NORM", "ATTN"],
        ActualFrameDuration=str(duration_ms),
        RadiopharmaceuticalStartTime=injection.strftime("%H%M%S"),
        **(scanned_at(scan) | at(frame, "Acquisition")),
    )
    begin, length, steps = uptake_s + bed_s, duration_ms / 1000, 4000
    moments = [begin + length * (i + 0.5) / steps for i in range(steps)]
    mean_left = sum(2 ** (-t / F18_HALF_LIFE_S) for t in moments) / steps
    assert found == pytest.approx(factor(DecayCorrection="ADMIN") / mean_left, rel=1e-6)


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["RadionuclideTotalDose", "PatientWeight"]),
)
def test_any_number_as_dose_or_weight_is_used_exactly_or_refused(number, keyword):
    plain = {"RadionuclideTotalDose": 350e6, "PatientWeight": 70.0}
    try:
        found = factor(**{keyword: repr(number)})
    except BadInput:
        return
    power = -1 if keyword == "RadionuclideTotalDose" else 1
    assert found == pytest.approx(factor() * (number / plain[keyword]) ** power, rel=1e-9)


@given(st.text(max_size=16))
def test_no_text_in_place_of_a_time_is_ever_a_silent_number(text):
    """Only the valid forms of a DICOM time are read; everything else is refused by name."""
    try:
        header = pet_header()
        header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = text
    except (ValueError, TypeError):
        return  # pydicom itself does not store it
    try:
        conversion = suv_conversion([header])
    except BadInput:
        return
    digits = text.strip(" \0").replace(":", "").split(".")[0]
    assert len(digits) in (2, 4, 6)
    assert conversion.uptake_minutes is not None
    clock = digits.ljust(6, "0")
    injected_min = int(clock[:2]) * 60 + int(clock[2:4]) + min(int(clock[4:6]), 59) / 60
    assert conversion.uptake_minutes == pytest.approx((11 * 60 - injected_min) % (24 * 60), abs=0.02)
