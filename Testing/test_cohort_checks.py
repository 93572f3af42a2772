"""What the checks of a cohort say of a wrong case, and that they are silent on a right one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cohort_cases import SPACING, a_person
from scipy import ndimage

from AMDiffLib.cohorts.checks import CheckLimits, SubjectImages, noise, problems_of


@pytest.fixture(scope="module")
def a_right_case() -> dict:
    person = a_person()
    organs = np.where(person["liver"] > 0, 2, 8 * person["aorta"]).astype(np.uint8)
    low_count = {10.0: person["low_10"], 25.0: person["low_25"]}
    return {
        "high_count": person["high"],
        "low_count": low_count,
        "organs": organs,
        "lesions": ndimage.label(person["lesions"])[0],
    }


def problems(case: dict, *, limits: CheckLimits | None = None, **changes) -> list[str]:
    return problems_of(
        SubjectImages(subject="p7", spacing=SPACING, **(case | changes)), limits or CheckLimits()
    )


def with_level(case: dict, level: float, image: np.ndarray) -> dict:
    return {"low_count": case["low_count"] | {level: image}}


def test_a_right_case_has_no_problem(a_right_case):
    assert problems(a_right_case) == []


def test_the_noise_is_that_of_white_noise_whatever_the_anatomy():
    image = np.random.default_rng(0).normal(3.0, 0.25, (30, 30, 30))
    image[:, 10:20] += 100.0
    assert noise(image, np.ones(image.shape, bool)) == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(
    ("factor", "why"),
    [
        (0.2, "normalised, or converted with another dose"),
        (1.15, r"differs by \+15\.\d % from the high-count mean; .* 10 % are allowed"),
        (0.1, "not divided by their share"),
    ],
)
def test_a_low_count_image_of_another_scale_is_named(a_right_case, factor, why):
    (text,) = problems(
        a_right_case, **with_level(a_right_case, 10.0, a_right_case["low_count"][10.0] * factor)
    )
    assert text.startswith("subject 'p7' at 10 % counts: ")
    assert re.search(why, text)


def test_becquerels_are_named(a_right_case):
    (text,) = problems(a_right_case, **with_level(a_right_case, 10.0, a_right_case["low_count"][10.0] * 5000))
    assert "p7' at 10 % counts: the highest value is" in text
    assert "Bq/mL?" in text


def test_a_normalised_cohort_is_named_though_its_levels_agree(a_right_case):
    scale = 1 / a_right_case["high_count"].max()
    low_count = {level: image * scale * 0.5 for level, image in a_right_case["low_count"].items()}
    found = problems(a_right_case, high_count=a_right_case["high_count"] * scale, low_count=low_count)
    assert any("the image was normalised" in text for text in found)


def test_copied_and_exchanged_images_are_named(a_right_case):
    high, low = a_right_case["high_count"], a_right_case["low_count"]
    (text,) = problems(a_right_case, **with_level(a_right_case, 25.0, high))
    assert text == "subject 'p7' at 25 % counts: the low-count image is identical to the high-count image."
    (text,) = problems(a_right_case, low_count={10.0: low[10.0], 25.0: low[10.0]})
    assert text.endswith("the low-count image is identical to the image at 25 % counts.")
    (text,) = problems(a_right_case, low_count={10.0: low[25.0], 25.0: low[10.0]})
    assert "less noisy than the image at 25 % counts" in text
    smooth = ndimage.gaussian_filter(high, 1.0)
    (text,) = problems(a_right_case, low_count={10.0: smooth})
    assert "its noise is 0." in text


def test_values_that_are_no_suv_are_named(a_right_case):
    high = a_right_case["high_count"].copy()
    high[0, 0, 0] = np.nan
    assert problems(a_right_case, high_count=high) == [
        "subject 'p7': 1 voxels are not finite; expected SUV everywhere."
    ]
    (text,) = problems(a_right_case, high_count=a_right_case["high_count"] - 1.0)
    assert "of the activity is negative, down to -1" in text
    (text,) = problems(a_right_case, high_count=np.zeros_like(high))
    assert "the image is empty" in text


def test_an_image_of_air_has_an_empty_body(a_right_case):
    air = np.zeros_like(a_right_case["high_count"])
    air[5, 5, 5] = 2.0
    (text,) = problems(a_right_case, high_count=air)
    assert "the body is empty" in text


def test_unknown_labels_are_named(a_right_case):
    found = problems(a_right_case, organs=a_right_case["organs"] + 1, lesions=a_right_case["lesions"] * 0.5)
    assert found[0] == "subject 'p7': organ labels 1, 9 are unknown; 0 and 2..8 are expected."
    assert found[1].startswith("subject 'p7': lesion labels 0.5 are no numbers of lesions")


def test_thousands_of_lesions_are_named_numbered_or_not(a_right_case):
    speckle = np.zeros(a_right_case["lesions"].shape, int)
    speckle[::2, ::3, ::3] = 1
    (text,) = problems(a_right_case, lesions=speckle)
    assert f"fall apart into {16 * 16 * 16} pieces" in text
    (text,) = problems(a_right_case, lesions=np.arange(speckle.size).reshape(speckle.shape))
    assert "probability map" in text


def test_a_lesion_in_the_air_is_named(a_right_case):
    lesions = a_right_case["lesions"].copy()
    lesions[10:12, 0:2, 0:2] = 3
    (text,) = problems(a_right_case, lesions=lesions)
    assert text == (
        "subject 'p7': lesion 3 lies outside of the body. Is the mask flipped, or of another scan?"
    )


def test_the_limit_of_the_mean_can_be_set(a_right_case):
    change = with_level(a_right_case, 10.0, a_right_case["low_count"][10.0] * 1.15)
    assert problems(a_right_case, limits=CheckLimits(mean_difference_percent=20.0), **change) == []
