"""What the command says of scans and of this computer, on real files and processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_builder import DEFAULT_FACTOR, write_series
from small_cases import written_patient

REPOSITORY = Path(__file__).resolve().parents[1]


def describe(*arguments, environment=None):
    process = subprocess.run(
        [sys.executable, "-m", "AMDiffLib.describe", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


def description_of(*arguments, **options):
    code, output, errors = describe(*arguments, "--json", **options)
    assert code == 0, errors
    last = json.loads(output.splitlines()[-1])
    assert last.pop("type") == "done"
    return last


def a_dicom_study(folder: Path, **changes) -> Path:
    counts = np.random.default_rng(0).integers(1, 3000, (30, 32, 36))
    write_series(folder, counts, PatientSize="1.80", PatientSex="F", **changes)
    return folder


def test_a_dicom_scan_is_described_by_its_headers(tmp_path):
    scan = description_of(a_dicom_study(tmp_path / "Jürgen Müller"))["scan"]
    assert scan["tracer"] == "FDG -- fluorodeoxyglucose"
    assert (scan["manufacturer"], scan["model"]) == ("ACME", "Tomograph")
    assert scan["matrix"] == [36, 32, 30]
    assert scan["spacing"] == pytest.approx([5.0, 4.0, 3.0])
    assert scan["injected_dose_bq"] == 350e6
    assert scan["uptake_minutes"] == 60
    assert scan["minutes_per_bed"] == 2
    assert scan["suv_factor"] == pytest.approx(DEFAULT_FACTOR)
    assert {"attenuation", "scatter", "decay"} <= set(scan["corrections"])
    assert (scan["weight_kg"], scan["height_m"], scan["sex"]) == (70, 1.8, "F")
    assert scan["problem"] is None


def test_a_scan_that_cannot_be_used_is_described_with_its_problem(tmp_path):
    scan = description_of(a_dicom_study(tmp_path / "scan", RadionuclideTotalDose="0"))["scan"]
    assert scan["problem"]["kind"] == "bad_input"
    assert "dose" in scan["problem"]["text"]
    assert (scan["model"], scan["minutes_per_bed"]) == ("Tomograph", 2)
    assert scan["suv_factor"] is None


def test_a_height_in_centimetres_is_not_taken_for_metres(tmp_path):
    counts = np.random.default_rng(0).integers(1, 3000, (12, 16, 16))
    write_series(tmp_path / "scan", counts, PatientSize="180", PatientSex="F")
    assert description_of(tmp_path / "scan")["scan"]["height_m"] is None


def test_nothing_of_the_patients_identity_is_said(tmp_path):
    study = a_dicom_study(tmp_path / "FAMILY_GIVEN", Radiopharmaceutical="FDG for FAMILY MRN4711")
    code, output, errors = describe(study, "--json")
    assert code == 0
    for word in ("FAMILY", "GIVEN", "MRN4711"):
        assert word not in output + errors


def test_a_file_without_units_has_that_as_its_problem(tmp_path):
    path = written_patient(tmp_path / "scan.nii.gz")
    assert "--units" in description_of(path)["scan"]["problem"]["text"]
    scan = description_of(path, "--units", "SUVbw")["scan"]
    assert scan["problem"] is None
    assert scan["suv_max"] == pytest.approx(40.0)
    assert scan["height_m"] is scan["weight_kg"] is None


def test_the_text_for_people_says_the_same(tmp_path):
    code, output, _ = describe(a_dicom_study(tmp_path / "scan"), "--devices")
    assert code == 0
    assert "tracer: FDG" in output
    assert "kind: cpu" in output


def test_the_processor_is_always_there_and_usable():
    processor = description_of("--devices")["devices"][0]
    assert (processor["kind"], processor["usable"]) == ("cpu", True)
    assert processor["threads"] == 1
    assert processor["name"]
    assert processor["free_mb"] > 0


def test_a_graphics_card_that_this_torch_cannot_use_is_named_with_the_reason(tmp_path):
    """The driver's program lists a card; torch here was built for the CPU, or finds none."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771, 143000, 9.0'\n")
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    card = description_of("--devices", environment={"PATH": path})["devices"][1]
    assert (card["kind"], card["name"], card["usable"]) == ("cuda", "NVIDIA H200", False)
    assert (card["memory_mb"], card["compute_capability"]) == (143771, "9.0")
    assert "torch" in card["problem"]


def test_without_anything_to_describe_the_arguments_are_wrong():
    code, _, errors = describe()
    assert code == 2
    assert "--devices" in errors


def test_it_ends_when_the_program_that_started_it_closes_stdin(tmp_path):
    code, output, _ = describe(tmp_path, "--devices", "--json", "--stop-when-stdin-closes")
    assert code == 7
    assert json.loads(output.splitlines()[-1])["kind"] == "cancelled"
