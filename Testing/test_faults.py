"""A job that meets a fault leaves its input as it was, whole results or none, no process, and says why.

The quick part of `faults.py`, which puts every fault into every stage.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import fault_cases
import numpy as np
import pytest
import SimpleITK as sitk
from fault_bench import Bench
from job_processes import REPOSITORY
from model_damage import damage_model
from small_cases import a_patient, saved_tiny_model, written_patient


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("faults"))
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("stage", "end"),
    [
        ("reading the scan", "stdin closed"),
        ("denoising", "SIGKILL"),
        ("segmenting", "SIGTERM"),
        ("writing the images", "SIGKILL"),
        ("measuring", "stdin closed"),
        ("renaming into place", "SIGTERM"),
        ("renamed, not yet said", "SIGKILL"),
        ("moving older results aside", "SIGKILL"),
        ("putting new ones in their place", "SIGKILL"),
        ("putting new ones in their place", "SIGTERM"),
    ],
)
def test_a_job_that_is_ended_in_any_stage_leaves_nothing_or_all(bench, stage, end):
    assert fault_cases.ended_in_stage(bench, stage, end).wrong == ()


def test_a_job_stops_by_itself_when_stdin_closes(bench):
    verdict = fault_cases.ended_in_stage(bench, "denoising", "stdin closed")
    assert verdict.wrong == ()
    assert "Nothing was written" in verdict.seen
    assert verdict.remains == "nothing"


def test_ctrl_c_cancels_the_job(bench):
    folder = bench.new_folder()
    job = bench.start(folder, fault={**fault_cases.STAGES["denoising"], "do": "stop"})
    job.wait_until_stopped()
    job.send(signal.SIGINT)
    job.send(signal.SIGCONT)
    verdict = bench.judge("SIGINT", folder, [(job, job.finish())], kinds=["cancelled"], left="nothing")
    assert verdict.wrong == ()


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


def test_a_job_without_enough_memory_says_so(bench):
    verdict = fault_cases.memory_limit(bench, 25)
    assert verdict.wrong == ()
    assert verdict.seen.startswith("out_of_memory: ")


def test_a_full_gpu_means_smaller_tiles_and_the_same_result_as_of_these(bench):
    verdict = fault_cases.gpu_full_for_large_tiles(bench)
    assert verdict.wrong == ()
    assert "1 tile(s) of 32 voxels" in verdict.seen


def test_a_gpu_that_stays_full_is_named_with_what_was_tried(bench):
    verdict = fault_cases.gpu_full(bench)
    assert verdict.wrong == ()
    assert "needed in one piece 512 MB" in verdict.seen
    assert "1 x 32" in verdict.seen


@pytest.mark.parametrize("file", ["denoised.nrrd", "report.json"])
def test_a_full_disk_is_named_and_nothing_is_left_on_it(bench, file):
    verdict = fault_cases.disk_full(bench, file)
    if verdict.seen.startswith("not tried"):
        pytest.skip(verdict.seen)
    assert verdict.wrong == ()


def test_a_limit_on_the_size_of_files_is_named(bench):
    assert fault_cases.file_limit(bench, 16).wrong == ()


def test_an_output_folder_that_cannot_be_written_is_named(bench):
    verdict = fault_cases.read_only(bench)
    if verdict.seen.startswith("not tried"):
        pytest.skip(verdict.seen)
    assert verdict.wrong == ()


def test_of_two_jobs_for_one_folder_one_is_refused(bench):
    assert fault_cases.two_jobs(bench).wrong == ()


def test_two_jobs_that_replace_older_results_do_so_one_after_the_other(bench):
    assert fault_cases.two_jobs_that_replace(bench).wrong == ()


def test_a_clock_that_jumps_changes_nothing(bench):
    assert fault_cases.clock_jump(bench, -10).wrong == ()


def test_a_log_on_a_full_disk_stops_the_job(bench):
    assert fault_cases.nobody_listens(bench).wrong == ()


@pytest.mark.parametrize("damage", fault_cases.MODEL_DAMAGES)
def test_a_damaged_model_is_refused_by_name(bench, damage):
    verdict = fault_cases.damaged_model(bench, damage)
    assert verdict.wrong == ()
    assert "model" in verdict.seen


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_no_damage_of_a_models_files_becomes_a_setting_or_a_weight(tmp_path, name):
    found = damage_model(saved_tiny_model(tmp_path / "tiny"), name, count=200, seed=1)
    assert found["passed"] == 0
    assert found["refused"] > 150


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
def test_a_bad_scan_is_refused_and_nothing_is_written(bench, tmp_path, case):
    make, options = BAD_SCANS[case]
    arguments = [make(tmp_path), "--model", bench.model, "--output-dir", bench.new_folder() / "out"]
    end = bench.server.run(*arguments, "--progress", "json", *options)
    assert end.code == 2, end.log
    kind, text = end.error()
    assert kind == "bad_input"
    assert len(text) > 30
    assert list(arguments[-1].parent.iterdir()) == []


def test_a_folder_that_holds_files_is_not_overwritten_unasked(bench):
    folder = bench.new_folder()
    (folder / "out").mkdir()
    (folder / "out" / "denoised.nrrd").write_text("of another patient")
    end = bench.start(folder).finish()
    assert end.code == 2
    assert "--overwrite" in end.error()[1]
    assert (folder / "out" / "denoised.nrrd").read_text() == "of another patient"
