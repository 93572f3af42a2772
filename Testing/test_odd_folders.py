"""Everything lies in folders as on a Windows computer: spaces, brackets, umlauts, other scripts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk
from AMDiffModule.job import Job, JobState
from AMDiffModule.job_folder import JobFolder
from AMDiffModule.worker import (
    WorkerOptions,
    describe_command,
    find_python,
    library_root,
    worker_command,
    worker_environment,
)
from small_cases import a_patient, saved_tiny_model, written_patient

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAMS = "Programme (x86)/Slicer 5.12 für Jürgen"
USER = "Benutzer/Zoë Müller-Łuczak 山田/AppData/Local/Temp"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The module and the library where an installer would put them, and the user's temporary folder."""
    drive = tmp_path_factory.mktemp("C")
    modules = drive / PROGRAMS / "qt-scripted-modules"
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(REPOSITORY / "AMDiffLib", modules / "AMDiffLib", ignore=ignored)
    shutil.copytree(REPOSITORY / "AMDiff" / "AMDiffModule", modules / "AMDiffModule", ignore=ignored)
    saved_tiny_model(modules / "Resources" / "Models" / "tiny ü")
    temporary = drive / USER
    temporary.mkdir(parents=True)
    return modules, temporary


def run(command, root, folder, monkeypatch) -> Job:
    # A locale of ASCII alone, as a service may have it: paths must not depend on it.
    for name in ("LC_ALL", "LANG"):
        monkeypatch.setenv(name, "C")
    for name in ("PYTHONUTF8", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    job = Job(command, environment=worker_environment(root), folder=folder.path)
    log = [event.text for event in job.wait(timeout_s=120)]
    assert job.outcome.state is JobState.DONE, log
    return job


def test_the_job_runs_from_and_into_such_folders(installed, monkeypatch):
    modules, temporary = installed
    root = library_root(modules / "AMDiffModule" / "worker.py")
    assert root == modules
    folder = JobFolder(temporary)
    scan = written_patient(folder.input / "Läsion 1.nrrd", a_patient((32, 32, 32)))
    options = WorkerOptions(model="tiny ü", device="cpu", steps=1, threads=1)
    command = worker_command(find_python(), scan, folder.results, options, ("--units", "SUVbw"))
    job = run(command, root, folder, monkeypatch)
    assert job.outcome.facts["output_dir"] == str(folder.results)
    report = json.loads((folder.results / "report.json").read_text(encoding="utf-8"))
    assert report["model"]["name"] == "tiny ü"
    assert report["input"]["path"] == "Läsion 1.nrrd"
    assert all((folder.results / name).is_file() for name in report["files"])
    assert sitk.ReadImage(str(folder.results / "denoised.nrrd")).GetSize() == (32, 32, 32)
    folder.remove()
    assert list(temporary.iterdir()) == []


def test_a_scan_in_such_a_folder_is_described(installed, monkeypatch):
    modules, temporary = installed
    folder = JobFolder(temporary)
    scan = written_patient(folder.input / "Läsion 2.nii.gz", a_patient((32, 32, 32)))
    command = describe_command(find_python(), [str(scan), "--units", "SUVbw"])
    # The library that is found is the installed one.
    job = run(command, modules, folder, monkeypatch)
    assert job.outcome.facts["scan"]["matrix"] == [32, 32, 32]
    folder.remove()
