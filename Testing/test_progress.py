"""A job's news: JSON lines, an honest progress, errors with a kind and an exit code."""

from __future__ import annotations

import io
import json

import pytest

from AMDiffLib import command, progress
from AMDiffLib.errors import BadCheckpoint, BadInput, Cancelled, NoKernelImage, OutOfMemory
from AMDiffLib.progress import Cancellation, ConsoleReporter, JsonLinesReporter, PartOfJob


def lines_of(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_each_line_is_one_json_object_of_the_agreed_form():
    stream = io.StringIO()
    reporter = JsonLinesReporter(stream)
    reporter.stage("denoise")
    reporter.warning("The slices are\nuneven.")
    reporter.error("bad_input", "Not a PET.")
    reporter.done(output_dir="/somewhere", files=["a", "b"])
    assert lines_of(stream) == [
        {"type": "stage", "name": "denoise", "text": "Denoising"},
        {"type": "warning", "text": "The slices are\nuneven."},
        {"type": "error", "kind": "bad_input", "text": "Not a PET."},
        {"type": "done", "output_dir": "/somewhere", "files": ["a", "b"]},
    ]


def test_the_remaining_time_follows_from_the_speed_so_far(clock):
    stream = io.StringIO()
    reporter = JsonLinesReporter(stream, interval=0.25)
    for fraction in (0.0, 0.25, 0.5):
        reporter.progress(fraction)
        clock[0] += 10.0
    assert [(line["value"], line["remaining_s"]) for line in lines_of(stream)] == [
        (0.0, None),
        (0.25, 30.0),
        (0.5, 20.0),
    ]


def test_reading_a_file_says_nothing_about_the_speed_of_the_networks(clock):
    stream = io.StringIO()
    reporter = JsonLinesReporter(stream)
    reporter.stage("read")
    clock[0] += 60.0
    reporter.progress(0.02)
    reporter.stage("denoise")
    clock[0] += 10.0
    reporter.progress(0.51)
    told = [line["remaining_s"] for line in lines_of(stream) if line["type"] == "progress"]
    assert told == [None, 10.0]


def test_progress_never_falls_and_is_not_told_too_often(clock):
    stream = io.StringIO()
    reporter = JsonLinesReporter(stream, interval=0.25)
    reporter.progress(0.5)
    clock[0] += 0.1
    reporter.progress(0.6)
    clock[0] += 0.2
    reporter.progress(0.4)
    reporter.progress(1.0)
    assert [line["value"] for line in lines_of(stream)] == [0.5, 0.5, 1.0]


def test_a_part_of_a_job_fills_its_share_of_the_progress():
    stream = io.StringIO()
    part = PartOfJob(JsonLinesReporter(stream, interval=0.0), 0.2, 0.8)
    for fraction in (0.0, 0.5, 1.0):
        part.progress(fraction)
    assert [line["value"] for line in lines_of(stream)] == [0.2, 0.5, 0.8]


def test_a_part_of_a_job_is_cancelled_with_the_whole():
    cancellation = Cancellation()
    part = PartOfJob(JsonLinesReporter(io.StringIO(), cancellation=cancellation), 0.0, 1.0)
    part.check_cancelled()
    cancellation.request("the user pressed Cancel")
    cancellation.request("something later")
    with pytest.raises(Cancelled, match="the user pressed Cancel"):
        part.check_cancelled()


def test_a_parent_that_no_longer_listens_cancels_the_job():
    class Broken(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    reporter = JsonLinesReporter(Broken())
    reporter.stage("read")
    with pytest.raises(Cancelled):
        reporter.check_cancelled()


def test_on_a_terminal_the_bar_shows_the_stage_and_warnings_go_to_stderr(capsys):
    reporter = ConsoleReporter()
    reporter.stage("segment")
    reporter.progress(0.5)
    reporter.warning("The GPU is old.")
    reporter.done(output_dir="out", files=["denoised.nrrd", "report.json"])
    captured = capsys.readouterr()
    assert "Finding lesions and organs:  50%" in captured.err
    assert "Warning: The GPU is old." in captured.err
    assert captured.out == "output_dir: out\nfiles: denoised.nrrd, report.json\n"
    assert reporter.warnings == ["The GPU is old."]


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        (BadInput("no patient weight"), "bad_input", 2),
        (OutOfMemory("needed 3 GB"), "out_of_memory", 3),
        (MemoryError(), "out_of_memory", 3),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"),
            "out_of_memory",
            3,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory", 3),
        (ImportError("libtorch_cpu.so: cannot allocate memory in static TLS block"), "out_of_memory", 3),
        (NoKernelImage("sm_61"), "no_kernel_image", 4),
        (
            ModuleNotFoundError("No module named 'monai.networks'", name="monai.networks"),
            "missing_package",
            5,
        ),
        (BadCheckpoint("sha256"), "bad_checkpoint", 6),
        (Cancelled("stopped"), "cancelled", 7),
        (KeyboardInterrupt(), "cancelled", 7),
        (ZeroDivisionError("division by zero"), "internal", 1),
    ],
)
def test_a_failure_is_told_by_kind_and_exit_code(error, kind, exit_code, capsys):
    def work():
        raise error

    stream = io.StringIO()
    assert command.run(work, JsonLinesReporter(stream)) == exit_code
    (line,) = lines_of(stream)
    assert (line["type"], line["kind"]) == ("error", kind)
    assert line["text"]
    assert capsys.readouterr().out == ""


def test_a_missing_package_is_named_before_any_work():
    stream = io.StringIO()
    code = command.run(
        lambda: command.require_packages("numpy", "no_such_package_1"), JsonLinesReporter(stream)
    )
    assert code == 5
    assert "no_such_package_1" in lines_of(stream)[0]["text"]


def test_an_unforeseen_failure_leaves_its_traceback_on_stderr(capsys):
    command.run(lambda: 1 / 0, JsonLinesReporter(io.StringIO()))
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_work_that_ends_well_has_exit_code_0():
    assert command.run(lambda: None, JsonLinesReporter(io.StringIO())) == 0
