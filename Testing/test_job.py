"""The background job, on real processes: it ends well, badly, by force, and leaves nothing behind."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import pytest
from AMDiffModule.job import Job, JobState
from AMDiffModule.job_folder import JobFolder
from AMDiffModule.worker import (
    WorkerNotFound,
    WorkerOptions,
    find_python,
    installed_models,
    library_root,
    worker_command,
    worker_environment,
)

REPOSITORY = Path(__file__).resolve().parents[1]
SPEAK = "import json, sys, time, os, subprocess\ndef say(**m): print(json.dumps(m), flush=True)\n"


def start(folder: Path, script: str, *, grace_s: float = 5.0) -> Job:
    command = [sys.executable, "-c", SPEAK + script]
    return Job(command, environment=worker_environment(REPOSITORY), folder=folder, grace_s=grace_s)


def run(folder: Path, script: str, **options):
    job = start(folder, script, **options)
    events = list(job.wait(timeout_s=20))
    return job, events


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_a_job_that_says_done_and_exits_with_0_has_succeeded(tmp_path):
    job, events = run(
        tmp_path,
        "say(type='stage', name='read', text='Reading the scan')\n"
        "say(type='progress', value=0.25, remaining_s=3)\n"
        "say(type='warning', text='uneven slices')\n"
        "print('a line of log')\n"
        "say(type='done', output_dir='x', files=[])",
    )
    assert job.outcome.state is JobState.DONE
    assert [event.type for event in events] == ["stage", "progress", "warning", "log"]
    assert events[0].text == "Reading the scan"
    assert (events[1].value, events[1].remaining_s) == (0.25, 3.0)
    assert events[2].text == "uneven slices"


def test_an_error_keeps_its_kind_and_its_sentence(tmp_path):
    job, _ = run(tmp_path, "say(type='error', kind='bad_input', text='The weight is 0.'); sys.exit(2)")
    assert (job.outcome.state, job.outcome.kind) == (JobState.FAILED, "bad_input")
    assert job.outcome.text == "The weight is 0."
    assert job.outcome.exit_code == 2


def test_done_with_another_exit_code_is_a_failure(tmp_path):
    job, _ = run(tmp_path, "say(type='done', output_dir='x'); sys.exit(3)")
    assert (job.outcome.state, job.outcome.kind) == (JobState.FAILED, "crashed")
    assert "exit code 3" in job.outcome.text


def test_exit_code_0_without_done_is_a_failure(tmp_path):
    job, _ = run(tmp_path, "say(type='progress', value=1.0)")
    assert (job.outcome.state, job.outcome.kind) == (JobState.FAILED, "incomplete")


def test_a_process_killed_by_the_system_is_said_to_have_run_out_of_memory(tmp_path):
    job, _ = run(tmp_path, "os.kill(os.getpid(), 9)")
    assert (job.outcome.state, job.outcome.kind) == (JobState.FAILED, "crashed")
    assert "memory" in job.outcome.text


def test_the_last_line_of_the_log_arrives_before_the_end(tmp_path):
    job, events = run(tmp_path, "[print('line', i, file=sys.stderr) for i in range(5000)]; sys.exit(1)")
    assert [event.text for event in events if event.type == "log"] == [f"line {i}" for i in range(5000)]
    assert job.outcome.text.endswith("line 4999")


@pytest.mark.parametrize(
    "garbage",
    [
        '{"type": "progress"}',
        '{"type": "progress", "value": "half"}',
        '{"type": "unheard of"}',
        "[1, 2",
        "42",
        "null",
        '{"type": ["done"]}',
        "\\x1b[31mred\\x1b[0m",
    ],
)
def test_garbage_on_stdout_is_log(tmp_path, garbage):
    job, events = run(tmp_path, f"print('''{garbage}''')\nsay(type='done')")
    assert job.outcome.state is JobState.DONE
    assert [event.type for event in events] == ["log"]


def test_bytes_that_are_not_utf8_do_not_stop_the_job(tmp_path):
    script = "sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush(); say(type='done')"
    job, events = run(tmp_path, script)
    assert job.outcome.state is JobState.DONE
    assert [event.type for event in events] == ["log"]


def test_cancelling_closes_stdin_and_the_job_ends_by_itself(tmp_path):
    script = "sys.stdin.read(); say(type='error', kind='cancelled', text='stopped'); sys.exit(7)"
    job = start(tmp_path, script)
    job.cancel()
    assert job.state is JobState.CANCELLING
    list(job.wait(timeout_s=20))
    assert (job.outcome.state, job.outcome.exit_code) == (JobState.CANCELLED, 7)


def test_a_result_that_comes_after_cancel_is_not_a_success(tmp_path):
    job = start(tmp_path, "sys.stdin.read(); say(type='done')")
    job.cancel()
    list(job.wait(timeout_s=20))
    assert job.outcome.state is JobState.CANCELLED


def test_a_job_that_ignores_cancel_is_killed_with_its_grandchild(tmp_path):
    script = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    job = start(tmp_path, script, grace_s=0.3)
    seen = []
    assert wait_until(lambda: seen.extend(job.poll()) or seen)
    grandchild = int(seen[0].text)
    assert is_alive(grandchild)
    job.cancel()
    list(job.wait(timeout_s=20))
    assert job.outcome.state is JobState.CANCELLED
    assert wait_until(lambda: not is_alive(grandchild))
    assert not is_alive(job.process_id)


def test_a_grandchild_that_outlives_a_crash_is_ended(tmp_path):
    script = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "os._exit(1)"
    )
    job, events = run(tmp_path, script)
    assert job.outcome.state is JobState.FAILED
    assert wait_until(lambda: not is_alive(int(events[0].text)))


def test_closing_a_job_ends_it_at_once(tmp_path):
    job = start(tmp_path, "time.sleep(60)", grace_s=0.2)
    job.close()
    assert job.outcome.state is JobState.CANCELLED
    assert not is_alive(job.process_id)


def test_a_worker_whose_parent_dies_sees_its_stdin_close(tmp_path):
    """The parent is killed outright; nobody closes anything by hand."""
    parent = (
        f"import sys; sys.path[:0] = [{str(REPOSITORY / 'AMDiff')!r}]\n"
        "from pathlib import Path\n"
        "from AMDiffModule.job import Job\n"
        "command = [sys.executable, '-c', 'import sys; sys.stdin.read()']\n"
        f"job = Job(command, environment={{}}, folder=Path({str(tmp_path)!r}))\n"
        "print(job.process_id, flush=True)\n"
        "import os; os._exit(9)"
    )
    job = start(tmp_path, f"subprocess.run([sys.executable, '-c', {parent!r}], start_new_session=True)")
    events = list(job.wait(timeout_s=20))
    orphan = int(next(event.text for event in events if event.text.isdigit()))
    assert wait_until(lambda: not is_alive(orphan))


def test_a_folder_with_spaces_and_umlauts_is_a_folder(tmp_path):
    folder = tmp_path / "Jürgen Müller 脳"
    folder.mkdir()
    job, events = run(folder, "print(os.getcwd()); say(type='done')")
    assert events[0].text == str(folder)
    assert job.outcome.state is JobState.DONE


def test_the_job_folder_is_private_and_goes_away(tmp_path):
    folder = JobFolder(tmp_path)
    (folder.input / "low_count.nrrd").write_bytes(b"patient")
    if os.name == "posix":
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_folders_that_a_crash_left_behind_are_removed_after_a_day(tmp_path):
    stale, recent = JobFolder(tmp_path), JobFolder(tmp_path)
    two_days_ago = time.time() - 2 * 86400
    os.utime(stale.path, (two_days_ago, two_days_ago))
    new = JobFolder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([recent.path, new.path])


def test_the_library_is_found_in_the_sources_and_beside_an_installed_module(tmp_path):
    assert library_root() == REPOSITORY
    installed = tmp_path / "qt-scripted-modules"
    for name in ("AMDiffModule/worker.py", "AMDiffLib/__init__.py", "Resources/Models/small/config.json"):
        path = installed / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    root = library_root(installed / "AMDiffModule" / "worker.py")
    assert root == installed
    assert installed_models(root) == ["small"]
    with pytest.raises(WorkerNotFound, match="AMDiffLib"):
        library_root(tmp_path / "elsewhere" / "AMDiffModule" / "worker.py")


def test_slicer_itself_is_never_taken_for_a_python_interpreter(tmp_path, monkeypatch):
    home = tmp_path / "Slicer"
    (home / "bin").mkdir(parents=True)
    for name in ("SlicerApp-real", "PythonSlicer"):
        (home / "bin" / name).write_text("")
    monkeypatch.setattr(sys, "executable", str(home / "bin" / "SlicerApp-real"))
    assert find_python(str(home)).name == "PythonSlicer"
    monkeypatch.setattr(sys, "executable", "")
    assert find_python().name.startswith("python")


def test_the_command_says_what_the_panel_says():
    options = WorkerOptions(model="amdiff-compact", device="cpu", steps=4, seed=0, threads=2)
    command = worker_command(Path("py"), Path("in.nrrd"), Path("out"), options, ("--units", "SUVbw"))
    assert " ".join(command) == (
        "py -m AMDiffLib.denoise_segment in.nrrd --units SUVbw --output-dir out --model amdiff-compact "
        "--device cpu --seed 0 --progress json --stop-when-stdin-closes --steps 4 --threads 2"
    )


def test_the_worker_finds_the_library_first():
    environment = worker_environment(REPOSITORY)
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(REPOSITORY)
