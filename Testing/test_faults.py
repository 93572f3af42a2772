"""A job that is killed, cancelled, starved of memory or given bad weights or input leaves nothing behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from small_cases import a_patient, saved_tiny_model, written_patient

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(scan, folder, *options):
    return [
        *(sys.executable, "-m", "AMDiffLib.denoise_segment", str(scan), "--output-dir", str(folder / "out")),
        *("--device", "cpu", "--threads", "1", "--progress", "json", *map(str, options)),
    ]


def run(scan, folder, *options, **arguments):
    process = subprocess.run(
        command(scan, folder, *options),
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **arguments,
    )
    return process.returncode, [json.loads(line) for line in process.stdout.splitlines()], process.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return written_patient(tmp_path_factory.mktemp("scans") / "scan.nrrd")


@pytest.fixture
def a_long_job(scan, model, tmp_path):
    """A job of 150 steps that has begun to denoise, with the folder it was to write into."""
    folder = tmp_path / "results"
    folder.mkdir()
    process = subprocess.Popen(
        command(
            scan, folder, "--units", "SUVbw", "--model", model, "--steps", "150", "--stop-when-stdin-closes"
        ),
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        for line in process.stdout:
            if json.loads(line).get("name") == "denoise":
                break
        assert process.poll() is None
        yield process, folder
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def error_of(lines):
    (error,) = [line for line in lines if line["type"] == "error"]
    assert not any(line["type"] == "done" for line in lines)
    return error["kind"], error["text"]


def test_a_killed_job_leaves_no_result_and_the_next_one_clears_up(a_long_job, scan, model):
    process, folder = a_long_job
    assert [path.name for path in folder.iterdir()] == [f".amdiff-out-{process.pid}"]
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert '"done"' not in process.stdout.read()
    assert not (folder / "out").exists()
    code, _, stderr = run(scan, folder, "--units", "SUVbw", "--model", model, "--steps", "1")
    assert code == 0, stderr
    assert [path.name for path in folder.iterdir()] == ["out"]


def test_a_job_stops_by_itself_when_stdin_closes(a_long_job):
    process, folder = a_long_job
    process.stdin.close()
    began = time.monotonic()
    lines = [json.loads(line) for line in process.stdout]
    assert process.wait(20) == 7
    assert time.monotonic() - began < 15
    kind, text = error_of(lines)
    assert kind == "cancelled"
    assert "Nothing was written" in text
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_job(a_long_job, number):
    process, folder = a_long_job
    process.send_signal(number)
    lines = [json.loads(line) for line in process.stdout]
    assert process.wait(20) == 7
    assert error_of(lines)[0] == "cancelled"
    assert list(folder.iterdir()) == []


def test_work_that_cannot_be_interrupted_is_ended_after_the_grace_time(tmp_path):
    program = (
        "import sys, time; from AMDiffLib import cancellation; from AMDiffLib.progress import Cancellation\n"
        "stop = Cancellation(); cancellation.stop_when_stdin_closes(stop)\n"
        "cancellation.end_process_if_not_stopped(\n"
        "    stop, lambda: print('last words', flush=True), 7, grace=0.3)\n"
        "time.sleep(60)"
    )
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert process.returncode == 7
    assert process.stdout == "last words\n"
    assert time.monotonic() - began < 20


def test_a_job_without_enough_memory_says_so(model, tmp_path):
    """The address space is limited to what the imports take and 150 MB for a scan that needs more."""
    scan = written_patient(tmp_path / "large.nrrd", a_patient((64, 96, 96)))
    out = tmp_path / "results"
    out.mkdir()
    imported = "import torch, monai.networks.nets, scipy.ndimage, SimpleITK, AMDiffLib.inference.pipeline"
    measure = f"{imported}; print(open('/proc/self/statm').read().split()[0])"
    pages = subprocess.run(
        [sys.executable, "-c", measure],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    limit = int(pages.stdout) * resource.getpagesize() + 150 * 2**20
    code, lines, stderr = run(
        *(scan, out, "--units", "SUVbw", "--model", model, "--tile", "128", "--steps", "1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert code == 3, stderr
    kind, text = error_of(lines)
    assert kind == "out_of_memory"
    assert "memory" in text
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_bad_weights_are_refused_by_name(scan, tmp_path, damage):
    model = saved_tiny_model(tmp_path / "model")
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "one bit":
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    out = tmp_path / "results"
    out.mkdir()
    code, lines, _ = run(scan, out, "--units", "SUVbw", "--model", model)
    assert code == 6
    kind, text = error_of(lines)
    assert kind == "bad_checkpoint"
    assert "model.safetensors" in text
    assert list(out.iterdir()) == []


def with_a_nan(suv):
    suv[3, 3, 3] = np.nan
    return suv


BAD_SCANS = {
    "no units": (lambda path: written_patient(path / "scan.nii.gz"), ()),
    "other units": (lambda path: written_patient(path / "scan.nrrd"), ("--units", "BQML")),
    "NaN": (lambda path: changed(path, with_a_nan), ("--units", "SUVbw")),
    "all zeros": (lambda path: changed(path, np.zeros_like), ("--units", "SUVbw")),
    "4-D": (lambda path: four_dimensional(path), ("--units", "SUVbw")),
    "absent": (lambda path: path / "absent.nrrd", ("--units", "SUVbw")),
    "not an image": (lambda path: a_text_file(path), ("--units", "SUVbw")),
    "empty folder": (lambda path: path, ()),
}


def changed(path, change):
    volume = a_patient()
    image = volume.with_array(change(volume.suv.copy()))
    sitk.WriteImage(image, str(path / "scan.nrrd"))
    return path / "scan.nrrd"


def four_dimensional(path):
    volume = a_patient((16, 16, 16))
    frame = volume.with_array(volume.suv)
    sitk.WriteImage(sitk.JoinSeries([frame, frame]), str(path / "scan.nrrd"))
    return path / "scan.nrrd"


def a_text_file(path):
    (path / "scan.nrrd").write_text("This is not a scan.")
    return path / "scan.nrrd"


@pytest.mark.parametrize("case", BAD_SCANS)
def test_a_bad_scan_is_refused_and_nothing_is_written(tmp_path, model, case):
    make, options = BAD_SCANS[case]
    (tmp_path / "input").mkdir()
    (tmp_path / "results").mkdir()
    code, lines, stderr = run(make(tmp_path / "input"), tmp_path / "results", "--model", model, *options)
    assert code == 2, stderr
    kind, text = error_of(lines)
    assert kind == "bad_input"
    assert len(text) > 30
    assert list((tmp_path / "results").iterdir()) == []


def test_a_folder_that_holds_files_is_not_overwritten_unasked(scan, model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "denoised.nrrd").write_text("of another patient")
    code, lines, _ = run(scan, tmp_path, "--units", "SUVbw", "--model", model)
    assert code == 2
    assert "--overwrite" in error_of(lines)[1]
    assert (tmp_path / "out" / "denoised.nrrd").read_text() == "of another patient"
