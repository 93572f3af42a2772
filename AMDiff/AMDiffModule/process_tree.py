"""A process together with everything it starts, so that all of it can be ended.

PythonSlicer is a launcher: ending it alone leaves the real Python, and the GPU memory it holds, behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def start_process(
    command: Sequence[str], *, environment: Mapping[str, str], working_directory: Path
) -> subprocess.Popen:
    """Start `command` as the head of its own process group, with pipes for stdin, stdout and stderr."""
    options: dict = {"start_new_session": True}
    if os.name == "nt":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        list(command),
        env=dict(environment),
        cwd=str(working_directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        **options,
    )


def kill_tree(process: subprocess.Popen) -> None:
    """End the process and its descendants at once; does nothing to those that have already ended."""
    if os.name == "nt":
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)],
            capture_output=True,
            check=False,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
