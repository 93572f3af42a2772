"""The headless command from a file to a folder of results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from small_cases import saved_tiny_model, written_patient

from AMDiffLib.image.reading import read_pet
from AMDiffLib.inference.living_process import process_is_alive
from AMDiffLib.inference.output_folder import OutputFolder

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = [
    "count_consistency.nrrd",
    "denoised.nrrd",
    "measurements.csv",
    "measurements.json",
    "overview.png",
    "report.json",
    "segmentation.seg.nrrd",
]


def run_command(*arguments, cwd=REPOSITORY):
    return subprocess.run(
        [sys.executable, "-m", "AMDiffLib.denoise_segment", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished job with JSON lines: its process, its lines and its folder."""
    folder = tmp_path_factory.mktemp("job with a space and an ö")
    model = saved_tiny_model(folder / "tiny")
    scan = written_patient(folder / "scan.nrrd")
    (folder / "out").mkdir()
    (folder / "out" / "notes.txt").write_text("mine")
    (folder / "out" / "report.json").write_text("old")
    process = run_command(
        *(scan, "--units", "SUVbw", "--output-dir", folder / "out", "--overwrite", "--model", model),
        *("--device", "cpu", "--threads", "1", "--steps", "1", "--seed", "3", "--progress", "json"),
    )
    assert process.returncode == 0, process.stderr
    return process, [json.loads(line) for line in process.stdout.splitlines()], folder


def test_all_results_are_written_and_other_files_are_left_alone(finished):
    _, lines, folder = finished
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted([*FILES, "notes.txt"])
    assert (folder / "out" / "notes.txt").read_text() == "mine"
    assert lines[-1] == {"type": "done", "output_dir": str(folder / "out"), "files": FILES}


def test_stdout_holds_the_agreed_lines_and_nothing_else(finished):
    _, lines, _ = finished
    assert {line["type"] for line in lines} <= {"stage", "progress", "warning", "done"}
    assert [line["name"] for line in lines if line["type"] == "stage"] == [
        *("read", "load", "prepare", "denoise", "revise", "segment", "restore", "write")
    ]
    values = [line["value"] for line in lines if line["type"] == "progress"]
    assert values == sorted(values)
    assert values[-1] == 1.0


def test_the_denoised_volume_lies_exactly_on_the_scans_grid(finished):
    _, _, folder = finished
    scan, denoised = (sitk.ReadImage(str(folder / name)) for name in ("scan.nrrd", "out/denoised.nrrd"))
    assert denoised.GetSize() == scan.GetSize()
    assert denoised.GetSpacing() == scan.GetSpacing()
    assert denoised.GetOrigin() == scan.GetOrigin()
    assert denoised.GetDirection() == scan.GetDirection()
    assert sitk.GetArrayFromImage(denoised).min() >= 0


def test_the_report_says_where_the_result_comes_from(finished):
    _, _, folder = finished
    report = json.loads((folder / "out" / "report.json").read_text())
    weights = (folder / "tiny" / "model.safetensors").read_bytes()
    assert report["model"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert report["model"]["name"] == "tiny"
    assert report["input"]["path"] == "scan.nrrd"
    assert len(report["input"]["sha256"]) == 64
    assert report["run"]["seed"] == 3
    assert report["run"]["timesteps"] == [150]
    assert report["run"]["sampler"] == "few_step"
    assert set(report["run"]["seconds"]) >= {"read", "load", "denoise", "segment", "write"}
    assert report["software"]["packages"]["torch"]
    assert str(folder) not in json.dumps(report)


def test_help_names_every_option_and_exit_code():
    process = run_command("--help")
    assert process.returncode == 0
    for word in (
        "--output-dir",
        "--units",
        "--series-uid",
        "--model",
        "--steps",
        "--device",
        "--threads",
        "--seed",
    ):
        assert word in process.stdout
    for kind in (
        "bad_input",
        "out_of_memory",
        "no_kernel_image",
        "missing_package",
        "bad_checkpoint",
        "cancelled",
    ):
        assert kind in process.stdout


@pytest.mark.parametrize("option", [("--tile", "40"), ("--steps", "0"), ("--seed", "-1")])
def test_wrong_arguments_end_with_exit_code_2(tmp_path, option):
    process = run_command("scan.nrrd", "--output-dir", tmp_path / "out", *option)
    assert process.returncode == 2
    assert option[0] in process.stderr


def test_the_file_itself_can_be_started_from_any_folder(tmp_path):
    script = REPOSITORY / "AMDiffLib" / "denoise_segment.py"
    command = [sys.executable, str(script), str(tmp_path / "absent.nrrd"), "--output-dir", "out"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 2
    assert "Error (bad_input)" in process.stderr
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_dead_processes_are_removed_and_those_of_living_ones_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert not process_is_alive(dead.pid)
        assert process_is_alive(alive.pid)
        names = [
            f".amdiff-out-{dead.pid}",
            f".amdiff-out-{alive.pid}",
            f".amdiff-other-{dead.pid}",
            ".amdiff-out-x",
        ]
        for name in names:
            (tmp_path / name).mkdir()
        folder = OutputFolder(tmp_path / "out")
        folder.prepare()
        folder.discard()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
    finally:
        alive.communicate(b"\n")


def test_the_real_scan_is_read_and_processed(pet_data, tmp_path):
    """A GE whole-body scan, its central slices only, so that the test stays short."""
    volume = read_pet(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image")
    assert volume.source["suv_factor"] == pytest.approx(2.42903e-4, rel=1e-5)
    part = dataclasses.replace(volume, suv=np.ascontiguousarray(volume.suv[120:150, 24:104, 24:104]))
    scan = written_patient(tmp_path / "part.nii.gz", part)
    process = run_command(
        *(scan, "--units", "SUVbw", "--output-dir", tmp_path / "out", "--steps", "1", "--threads", "1"),
        *("--model", saved_tiny_model(tmp_path / "tiny"), "--device", "cpu"),
    )
    assert process.returncode == 0, process.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["run"]["resampled"] is True
    image = sitk.ReadImage(str(tmp_path / "out" / "denoised.nrrd"))
    assert image.GetSize() == (80, 80, 30)
    assert image.GetSpacing() == pytest.approx(volume.spacing)
