"""Validation in training: whole held-out scans through the real sampler, and the score that keeps weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_cases import a_patient, a_tiny_model

from AMDiffLib.errors import Cancelled
from AMDiffLib.inference.pipeline import Result, denoise_and_segment
from AMDiffLib.progress import Cancellation, SilentReporter
from AMDiffLib.training import validation
from AMDiffLib.training.dataset import Subject
from AMDiffLib.training.validation import choose_scans, validate

LIVER = 2


def a_subject(name: str, scanner: str = "mct", *, lesion: bool = True) -> Subject:
    """A patient whose scans at 5, 10 and 20 % lie 0.4, 0.2 and 0.1 above the high-count image."""
    high = a_patient().suv.astype(np.float16)
    organs = np.zeros(high.shape, np.uint8)
    organs[16:24, 10:20, 14:22] = LIVER
    lesions = np.zeros(high.shape, np.uint8)
    if lesion:
        lesions[10:14, 14:18, 24:28] = 1
    return Subject(
        name=name,
        scanner=scanner,
        low_count={level: (high + 2.0 / level).astype(np.float16) for level in (5.0, 10.0, 20.0)},
        high_count=high,
        organs=organs,
        lesions=lesions,
        body=np.zeros(0, np.int64),
        lesion_voxels=(),
        spacing=(4.0, 4.0, 4.0),
    )


def with_results(monkeypatch, *results: Result) -> None:
    answers = iter(results)
    monkeypatch.setattr(validation, "denoise_and_segment", lambda *_, **__: next(answers))


def perfect(subject: Subject) -> Result:
    return Result(
        denoised=subject.high_count.astype(np.float32), lesions=subject.lesions > 0, organs=subject.organs
    )


def test_scanners_and_levels_come_in_turn_and_no_scan_twice():
    subjects = [a_subject("a"), a_subject("b"), a_subject("c", "vision")]
    assert [scan.name for scan in choose_scans(subjects)] == ["a 5 %", "c 10 %", "b 20 %"]
    assert [scan.name for scan in choose_scans(subjects, count=4)] == ["a 5 %", "c 10 %", "b 20 %", "a 10 %"]
    everything = [scan.name for scan in choose_scans(subjects, count=99)]
    assert len(everything) == len(set(everything)) == 9
    assert [scan.name for scan in choose_scans(subjects, levels=[20.0])] == ["a 20 %", "c 20 %", "b 20 %"]
    assert choose_scans([]) == []


def test_the_figures_are_those_of_the_code_that_patients_scans_go_through():
    subject, model = a_subject("a"), a_tiny_model()
    scans = choose_scans([subject])
    figures = validate(model, scans, seed=3, tile=32)
    result = denoise_and_segment(
        scans[0].low_count,
        model,
        steps=None,
        seed=3,
        device="cpu",
        tile=32,
        reporter=SilentReporter(),
    )
    body = scans[0].body
    high = subject.high_count.astype(float)
    low = subject.low_count[5.0].astype(float)
    expected = math.sqrt(((result.denoised - high)[body] ** 2).sum() / ((low - high)[body] ** 2).sum())
    assert figures["body_error"] == pytest.approx(expected, rel=1e-5)
    liver = result.organs == LIVER
    overlap = 2 * (liver & (subject.organs == LIVER)).sum() / (liver.sum() + (subject.organs == LIVER).sum())
    assert figures["dice_liver"] == pytest.approx(overlap)


def test_a_perfect_model_scores_zero(monkeypatch):
    subject = a_subject("a")
    with_results(monkeypatch, perfect(subject))
    figures = validate(None, choose_scans([subject]), seed=0)
    assert figures["score"] == pytest.approx(0.0, abs=1e-6)


def test_a_model_that_does_nothing_scores_four_and_a_false_lesion_of_three_ml_is_half_a_point(monkeypatch):
    subject = a_subject("a")
    idle = Result(
        denoised=subject.low_count[5.0].astype(np.float32),
        lesions=np.zeros(subject.lesions.shape, bool),
        organs=np.zeros_like(subject.organs),
    )
    with_results(monkeypatch, idle)
    assert validate(None, choose_scans([subject]), seed=0)["score"] == pytest.approx(4.0)
    false = perfect(subject)
    false.lesions.reshape(-1)[-47:] = True  # 47 voxels of 0.064 mL: 3.0 mL in three of the rows
    with_results(monkeypatch, false)
    figures = validate(None, choose_scans([subject]), seed=0)
    assert figures["false_positive_share"] == pytest.approx(0.5, abs=0.01)
    # Dice sees them too: 64 voxels of lesion, 47 false ones.
    assert figures["score"] == pytest.approx(0.5 + 1 - 128 / (128 + 47), abs=0.01)


def test_healthy_subjects_count_for_false_lesions_and_not_for_dice(monkeypatch):
    ill, healthy = a_subject("a"), a_subject("b", lesion=False)
    false = perfect(healthy)
    false.lesions.reshape(-1)[-94:] = True  # 6 mL, 3 mL a scan
    with_results(monkeypatch, perfect(ill), false)
    figures = validate(None, choose_scans([ill, healthy]), seed=0)
    assert figures["dice_lesion"] == 1.0
    assert figures["false_positive_share"] == pytest.approx(0.5, abs=0.01)


def test_only_what_is_trained_decides(monkeypatch):
    subject = a_subject("a")
    for trained, expected in ((("denoiser", "revision"), 2.0), (("segmenter", "uncertainty"), 2.0)):
        idle = Result(
            denoised=subject.low_count[5.0].astype(np.float32),
            lesions=np.zeros(subject.lesions.shape, bool),
            organs=np.zeros_like(subject.organs),
        )
        with_results(monkeypatch, idle)
        figures = validate(None, choose_scans([subject]), seed=0, trained=trained)
        assert figures["score"] == pytest.approx(expected)


def test_a_validation_can_be_stopped():
    cancellation = Cancellation()
    cancellation.request("the user asked")
    with pytest.raises(Cancelled):
        validate(
            a_tiny_model(),
            choose_scans([a_subject("a")]),
            seed=0,
            tile=32,
            reporter=SilentReporter(cancellation),
        )
