"""Damaged headers, a few hundred of the thousands that Testing/fuzz.py tries, the same in every run."""

from __future__ import annotations

import pytest
from fuzz import Tally, fuzz_images_of_all_kinds, fuzz_series


def test_no_damaged_dicom_header_ends_in_a_traceback_or_a_silent_number():
    tally = Tally()
    fuzz_series(60, 2024, tally)
    assert tally.failures == []
    assert tally.tried == 60
    assert tally.read.total() >= 8  # or the mutations would only ever destroy


@pytest.mark.usefixtures("capfd")
def test_no_damaged_image_header_ends_in_a_traceback_or_a_silent_number():
    tally = Tally()
    fuzz_images_of_all_kinds(240, 2024, tally)
    assert tally.failures == []
    assert tally.tried == 240
    assert tally.read.total() >= 30
