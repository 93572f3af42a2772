"""Cohorts on disk: resumed after a kill, read by the trainer, with CT and uncorrected images."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.evaluation.cases import choose_cases, load_case
from AMDiffLib.simulate import main
from AMDiffLib.training.dataset import load_cohort, read_manifest

REPOSITORY = Path(__file__).resolve().parents[1]
# Wide voxels keep the tests short.
ARGUMENTS = ["--voxel-mm", "8", "--levels", "10,100", "--seed", "5", "--device", "cpu", "--threads", "1"]


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """A cohort of one, killed while it was made, and made again by the same command."""
    folder = tmp_path_factory.mktemp("cohort")
    arguments = [*ARGUMENTS, "--ct", "--nac", "--output", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "AMDiffLib.simulate", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (folder / "manifest.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    # What a kill while a subject is written leaves behind.
    (folder / "sim-5-0000").mkdir(exist_ok=True)
    (folder / "sim-5-0000" / "truth.nrrd").write_bytes(b"half a file")
    assert main(arguments) == 0
    return folder


def test_a_killed_cohort_is_continued_and_what_is_done_is_kept(cohort):
    entry = cohort / "sim-5-0000" / "cases.json"
    written = entry.stat().st_mtime_ns
    assert main([*ARGUMENTS, "--ct", "--nac", "--output", str(cohort)]) == 0
    assert entry.stat().st_mtime_ns == written
    cases = read_manifest(cohort / "manifest.json")
    assert [(case.subject, case.counts_percent) for case in cases] == [
        ("sim-5-0000", 10.0),
        ("sim-5-0000", 100.0),
    ]


def test_the_trainer_and_the_evaluator_read_the_cohort(cohort):
    (subject,) = load_cohort(read_manifest(cohort / "manifest.json"), voxel_size_mm=8.0)
    assert sorted(subject.low_count) == [10.0, 100.0]
    case = load_case(*choose_cases(cohort / "manifest.json", counts_percent=10)[0])
    assert set(case.references) == {"high_count", "truth"}
    assert case.low_count.suv.shape == case.references["truth"].shape


def test_the_manifest_states_the_scan(cohort):
    low, full = json.loads((cohort / "manifest.json").read_text())["cases"][:2]
    assert (low["minutes_per_bed"], full["minutes_per_bed"]) == (0.5, 5.0)
    assert low["prompts"] / full["prompts"] == pytest.approx(0.1, rel=0.01)
    assert low["effective_counts"] / low["prompts"] == pytest.approx(2.37, abs=0.01)
    assert low["uptake_minutes"] == 60
    assert 30 < low["weight_kg"] < 160


def test_activity_is_conserved(cohort):
    subject = cohort / "sim-5-0000"
    truth, full, low = (read(subject / f"{name}.nrrd") for name in ("truth", "low_count_100", "low_count_10"))
    # Scatter and randoms estimates err by some percent of the trues.
    assert full.sum() == pytest.approx(truth.sum(), rel=0.06)
    assert low.sum() == pytest.approx(full.sum(), rel=0.01)


def test_ct_and_uncorrected_images_lie_on_the_same_grid(cohort):
    entry = json.loads((cohort / "manifest.json").read_text())["cases"][0]
    images = [sitk.ReadImage(str(cohort / entry[key])) for key in ("low_count", "ct", "nac")]
    assert len({(image.GetSize(), image.GetSpacing(), image.GetOrigin()) for image in images}) == 1
    origin, size = images[0].GetOrigin(), images[0].GetSize()
    assert origin[:2] == (-8.0 * (size[0] - 1) / 2, -8.0 * (size[1] - 1) / 2)
    low, ct, nac = (sitk.GetArrayFromImage(image) for image in images)
    assert ct[0, 0, 0] == -1000
    muscle = read(cohort / entry["organs"]) == 5
    assert -100 < np.median(ct[muscle]) < 100
    assert nac[muscle].mean() < 0.5 * low[muscle].mean()


def test_a_cohort_is_not_continued_with_other_settings(cohort, capsys):
    assert (
        main([*ARGUMENTS[:-4], "--subjects", "3", "--nac", "--output", str(cohort), "--device", "cpu"]) == 2
    )
    assert "ct True there, False now" in capsys.readouterr().err


def test_settings_are_checked_before_any_work(tmp_path, capsys):
    for arguments, words in (
        (["--scanner", "pet2000"], "Unknown scanner pet2000"),
        (["--levels", "10,x"], "not a list of numbers"),
        (["--levels", "500"], "outside 0 to 400 %, the most of mct"),
        (["--voxel-mm", "0.2"], "from 1 to 8 mm, or native"),
        (["--healthy-share", "2"], "from 0 to 1"),
        (["--label-map-ct", "ct.nii"], "need --label-map"),
    ):
        assert main([*arguments, "--output", str(tmp_path / "cohort")]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "cohort").exists()


def test_help_says_what_levels_stand_for(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "shorter scan, not for a lower dose" in " ".join(text.split())
    assert "trained on this simulator's data must say so" in " ".join(text.split())
