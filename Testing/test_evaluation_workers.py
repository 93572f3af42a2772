"""Worker processes of an evaluation, on Linux, which lists them in /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from evaluation_cases import a_cohort, command
from small_cases import saved_tiny_model
from training_cases import environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")


def parent_and_command(process: Path) -> tuple[int, str] | None:
    """The parent's id and the command line of a folder of /proc; None for a process that has ended."""
    try:
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
        return None if state == "Z" else (int(parent), (process / "cmdline").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def workers_of(parent: int) -> list[Path]:
    found = {process: parent_and_command(process) for process in Path("/proc").glob("[0-9]*")}
    return [process for process, of in found.items() if of and of[0] == parent and "spawn_main" in of[1]]


def becomes_true(condition: Callable[[], bool], *, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    pytest.importorskip("torch")
    model = saved_tiny_model(tmp_path / "tiny", uncertainty=True)
    arguments = command(a_cohort(tmp_path, 1, 2), model, tmp_path / "out", "--threads", "1")
    parent = subprocess.Popen(
        [sys.executable, "-m", "AMDiffLib.evaluate", *arguments, "--workers", "2"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert becomes_true(lambda: len(workers_of(parent.pid)) == 2, within_s=60)
        workers = workers_of(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    try:
        assert becomes_true(lambda: not any(map(parent_and_command, workers)), within_s=20)
    finally:
        for worker in filter(parent_and_command, workers):
            os.kill(int(worker.name), signal.SIGKILL)
