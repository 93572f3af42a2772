"""When the tracer was injected and when the scan began, across midnights, time zones and later
reconstructions."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta

import pytest
from dicom_builder import DEFAULT_FACTOR, F18_HALF_LIFE_S, pet_header

from AMDiffLib.image.dicom_times import parse_date, parse_date_time, parse_time
from AMDiffLib.image.suv import suv_conversion


def factor(**changes) -> float:
    return float(suv_conversion([pet_header(**changes)]).factors[0])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("112011.00", time(11, 20, 11)),
        ("104830.351370", time(10, 48, 30, 351370)),
        ("1120", time(11, 20)),
        ("11", time(11)),
        ("11:20:11", time(11, 20, 11)),
        ("235960", time(23, 59, 59)),
        ("256100", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_in_every_form_dicom_has_had(written: str | None, meant: time | None):
    assert parse_time(written) == meant


def test_dates_and_date_times_are_read():
    assert parse_date("20240229") == parse_date("2024.02.29") == date(2024, 2, 29)
    assert parse_date("20230229") is None
    assert parse_date_time(b"20240311110000.5-0530 ") == (
        datetime(2024, 3, 11, 11, 0, 0, 500000),
        -timedelta(hours=5, minutes=30),
    )
    assert parse_date_time("20240311") is None


def test_an_injection_before_midnight_counts_as_the_day_before():
    times = {"SeriesTime": "003000", "AcquisitionTime": "003000", "RadiopharmaceuticalStartTime": "233000"}
    assert factor(**times) == pytest.approx(DEFAULT_FACTOR, rel=1e-12)


def test_beds_after_midnight_do_not_move_the_reference():
    headers = [
        pet_header(SeriesTime="235500", AcquisitionTime="235500", RadiopharmaceuticalStartTime="225500"),
        pet_header(
            SeriesTime="235500",
            AcquisitionDate="20240312",
            AcquisitionTime="000500",
            RadiopharmaceuticalStartTime="225500",
        ),
    ]
    assert suv_conversion(headers).factors == pytest.approx([DEFAULT_FACTOR] * 2, rel=1e-12)


@pytest.mark.parametrize("start", ["20240311100000", "20240311100000.000000", "20240311100000.00 "])
def test_the_start_date_time_serves_where_the_start_time_is_missing(start: str):
    given = factor(RadiopharmaceuticalStartTime=None, RadiopharmaceuticalStartDateTime=start)
    assert given == pytest.approx(DEFAULT_FACTOR, rel=1e-12)


def test_a_start_date_time_in_another_time_zone_is_brought_to_that_of_the_scan():
    given = factor(
        RadiopharmaceuticalStartTime=None,
        RadiopharmaceuticalStartDateTime="20240311050000-0500",
        TimezoneOffsetFromUTC="+0000",
    )
    assert given == pytest.approx(DEFAULT_FACTOR, rel=1e-12)


def test_a_start_date_time_whose_zone_cannot_be_compared_gives_way_to_the_start_time():
    assert factor(RadiopharmaceuticalStartDateTime="20240311090000+0000") == pytest.approx(
        DEFAULT_FACTOR, rel=1e-12
    )


def test_a_shifted_date_in_the_start_date_time_gives_way_to_the_start_time_with_a_warning():
    conversion = suv_conversion([pet_header(RadiopharmaceuticalStartDateTime="20190101100000")])
    assert conversion.factors[0] == pytest.approx(DEFAULT_FACTOR, rel=1e-12)
    assert "contradict" in conversion.warnings[0]


def test_headers_stripped_of_their_dates_still_convert_and_say_so():
    conversion = suv_conversion([pet_header(SeriesDate=None, AcquisitionDate=None, StudyDate=None)])
    assert conversion.factors[0] == pytest.approx(DEFAULT_FACTOR, rel=1e-12)
    assert "no date" in conversion.warnings[0]


def test_a_series_made_later_refers_to_its_earliest_acquisition():
    headers = [
        pet_header(SeriesTime="150000", AcquisitionTime=start) for start in ("110400", "110000", "110200")
    ]
    conversion = suv_conversion(headers)
    assert conversion.factors == pytest.approx([DEFAULT_FACTOR] * 3, rel=1e-12)
    assert conversion.decay_reference == "earliest acquisition time"
    assert "earliest acquisition time" in conversion.warnings[0]


def test_a_series_made_later_by_ge_refers_to_its_private_scan_date_time():
    header = pet_header(SeriesTime="150000", AcquisitionTime="110800", Manufacturer="GE MEDICAL SYSTEMS")
    header.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "UN", b"20240311110000.00 ")
    conversion = suv_conversion([header])
    assert conversion.factors[0] == pytest.approx(DEFAULT_FACTOR, rel=1e-12)
    assert conversion.decay_reference == "GE scan date-time"


def test_a_series_made_later_by_siemens_refers_to_where_its_frame_reference_times_lead():
    # Beds of 2 min, starting 4 and 8 min into the scan; the first bed is not in the series.
    # In a frame of length T the mean rate is reached at T/2 - k T^2 / 24 to second order.
    constant = math.log(2) / F18_HALF_LIFE_S
    average = 60 - constant * 120**2 / 24
    headers = [
        pet_header(
            Manufacturer="SIEMENS",
            SeriesTime="150000",
            AcquisitionTime=start,
            FrameReferenceTime=f"{1000 * (offset + average):.3f}",
        )
        for start, offset in (("110400", 240), ("110800", 480))
    ]
    conversion = suv_conversion(headers)
    assert conversion.factors == pytest.approx([DEFAULT_FACTOR] * 2, rel=1e-6)
    assert conversion.decay_reference == "frame reference time"
