"""Commands of the library as real processes, with their JSON lines: what tests of whole jobs share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
DENOISE_SEGMENT = "AMDiffLib.denoise_segment"
ON_ONE_CORE = ("--device", "cpu", "--threads", "1", "--progress", "json")
_LONGEST_S = 300.0


class Finished(NamedTuple):
    """How a command ended: its exit code (negative: the signal), its JSON lines, its log."""

    code: int
    lines: list[dict]
    log: str

    def error(self) -> tuple[str, str]:
        """Kind and text of its one error; it must not also have said that it is done."""
        (error,) = [line for line in self.lines if line["type"] == "error"]
        assert not any(line["type"] == "done" for line in self.lines)
        return error["kind"], error["text"]


def command_line(*arguments: object, module: str = DENOISE_SEGMENT) -> list[str]:
    """Return the command line of a module of the library."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def run_command(*arguments: object, module: str = DENOISE_SEGMENT, **options) -> Finished:
    """Run a command to its end; stdout lines are JSON. `options` go to `subprocess.run`."""
    options = {"env": ENVIRONMENT, "stdin": subprocess.DEVNULL} | options
    process = subprocess.run(
        command_line(*arguments, module=module),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
        **options,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    return Finished(process.returncode, lines, process.stderr)


@contextlib.contextmanager
def started_command(*arguments: object, until: str, item: str = "") -> Iterator[subprocess.Popen]:
    """A command that has reached the stage `until` (of `item`, such as "2/3"); killed at the end."""
    process = subprocess.Popen(
        command_line(*arguments),
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            for line in process.stdout:
                if json.loads(line).get("name") == until and item in line:
                    break
            assert process.poll() is None, "the command ended before the stage"
            yield process
        finally:
            process.kill()


class StartedJob:
    """A job at the head of its own process group, with what it prints in files of `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        os.mkfifo(folder / "stdin")
        self.process_id = 0
        self._folder = folder
        # Opened for both directions, it does not wait for the job; the job sees its end when it is closed.
        self._stdin: int | None = os.open(folder / "stdin", os.O_RDWR)
        self._exit_code: Callable[[], int] = lambda: 0

    @classmethod
    def cold(cls, folder: Path, *arguments: object, fault: dict) -> StartedJob:
        """Start a command in a process that loads everything itself, with a fault of `fault_hooks`."""
        job = cls(folder)
        path = os.pathsep.join([str(REPOSITORY / "Testing" / "fault_hooks"), str(REPOSITORY)])
        with (folder / "stdin").open("rb", buffering=0) as stdin, (folder / "stdout").open("wb") as stdout:
            process = subprocess.Popen(
                command_line(*arguments),
                cwd=REPOSITORY,
                env={**ENVIRONMENT, "PYTHONPATH": path, "AMDIFF_FAULT": json.dumps(fault)},
                stdin=stdin,
                stdout=stdout,
                stderr=(folder / "stderr").open("wb"),
                start_new_session=True,
            )
        job.process_id, job._exit_code = process.pid, process.wait
        return job

    @classmethod
    def forked(cls, server: JobServer, folder: Path, request: dict) -> StartedJob:
        """Start a command in a process forked from one that has loaded the packages."""
        job = cls(folder)
        pipes = {name: str(folder / name) for name in ("stdin", "stdout", "stderr")}
        job.process_id = server.ask(pipes | request)
        job._exit_code = lambda: server.ask({"wait": job.process_id})
        return job

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself at the point of its fault."""
        assert wait_until(lambda: state_of(self.process_id) in "TZ"), "the point was never reached"
        assert state_of(self.process_id) == "T", f"it ended before the point: {self.finish()}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.process_id, number)

    def close_stdin(self) -> None:
        """Do what happens when the program that started it closes the pipe or ends."""
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def finish(self) -> Finished:
        """Wait for its end."""
        ended = wait_until(lambda: state_of(self.process_id) == "Z")
        if not ended:
            self.send(signal.SIGKILL)
        code = self._exit_code()
        self.close_stdin()
        assert ended, "the job hung"
        stdout = self._folder / "stdout"
        text = stdout.read_text(encoding="utf-8") if stdout.is_file() else ""
        lines = [json.loads(line) for line in text.splitlines()]
        return Finished(code, lines, (self._folder / "stderr").read_text(encoding="utf-8"))


class JobServer:
    """Starts jobs by fork from one process that has the packages loaded already; see `job_server`."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes what the jobs print."""
        self.folder = folder
        self._count = 0
        path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "Testing")])
        self._process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "Testing" / "job_server.py")],
            cwd=REPOSITORY,
            env={**ENVIRONMENT, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def start(self, *arguments: object, module: str = DENOISE_SEGMENT, **request) -> StartedJob:
        """Start a command; `request`: fault, memory_mb, file_kb, stdout as `job_server` takes them."""
        self._count += 1
        request |= {"run": module, "arguments": [str(argument) for argument in arguments]}
        return StartedJob.forked(self, self.folder / f"job {self._count}", request)

    def run(self, *arguments: object, **request) -> Finished:
        """Run a command to its end."""
        return self.start(*arguments, **request).finish()

    def ask(self, request: dict) -> int:
        """Send a request and return the answer."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the server."""
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _answer(self):
        return json.loads(self._process.stdout.readline())


def state_of(process_id: int) -> str:
    """The process's state as Linux names it (R, S, D, T stopped, Z ended but not waited for); "" if gone."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def processes_of_group(group: int) -> list[int]:
    """The processes that still run in a process group, those that have ended aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state != "Z":
                found.append(int(path.parent.name))
    return found


def wait_until(condition, timeout_s: float = _LONGEST_S) -> bool:
    """Wait until `condition()` holds; returns whether it does."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
