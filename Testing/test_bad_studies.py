"""Every study that cannot be quantified ends the command with exit code 2, a reason, and nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_builder import code, write_series
from pydicom.uid import CTImageStorage

REPOSITORY = Path(__file__).resolve().parents[1]


def counts() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 3000, (12, 16, 16))


def ct_series(folder):
    write_series(folder, counts(), Modality="CT", SOPClassUID=CTImageStorage)


def missing_slices(folder):
    write_series(folder, counts(), positions=[3.0 * n for n in (*range(6), *range(8, 14))])


def two_corrected_series(folder):
    write_series(folder / "a", counts(), SeriesDescription="PET AC")
    write_series(folder / "b", counts(), SeriesDescription="PET AC long")


def unreadable_file(folder):
    write_series(folder, counts())
    path = sorted(folder.iterdir())[3]
    path.write_bytes(path.read_bytes()[:400])


def series(**changes):
    return lambda folder: write_series(folder, counts(), **changes)


BAD_STUDIES = {
    "CT series": (ct_series, "CT"),
    "no patient weight": (series(PatientWeight=None), "weight"),
    "weight 0": (series(PatientWeight="0"), "weight"),
    "CNTS without a factor": (series(Units="CNTS"), "Philips"),
    "no injected dose": (series(RadionuclideTotalDose=None), "dose"),
    "missing slices": (missing_slices, "slice"),
    "several corrected series": (two_corrected_series, "--series-uid"),
    "an unreadable file": (unreadable_file, "file"),
    "Lu-177 marked PT": (
        series(RadionuclideCodeSequence=code("447553000", "SCT", "^177^Lutetium")),
        "Lu-177",
    ),
    "not attenuation-corrected": (series(CorrectedImage=["NORM", "DTIM"]), "ATTN"),
    "lean body mass SUV": (series(Units="GML", SUVType="LBM"), "LBM"),
}


@pytest.mark.parametrize("study", BAD_STUDIES)
def test_a_bad_study_is_refused_with_its_reason(tmp_path, study):
    make, reason = BAD_STUDIES[study]
    make(tmp_path / "study")
    before = sorted(tmp_path.rglob("*"))
    process = subprocess.run(
        [
            *(sys.executable, "-m", "AMDiffLib.denoise_segment", str(tmp_path / "study")),
            *("--output-dir", str(tmp_path / "out"), "--progress", "json"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 2, process.stderr
    last = json.loads(process.stdout.splitlines()[-1])
    assert (last["type"], last["kind"]) == ("error", "bad_input")
    assert reason in last["text"]
    assert sorted(tmp_path.rglob("*")) == before
