"""A background job: starts it, listens to it, cancels it, and says how it ended.

The job writes one JSON object per line on stdout (`stage`, `progress`, `warning`, `error`, `done`); the rest
is log.
It has succeeded only when it said `done` *and* its exit code is 0.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from .job_folder import JobFolder
from .process_tree import kill_tree, start_process
from .translation import _


class JobState(Enum):
    """Where a job stands; the last three are final."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """One thing the job said: `type` is stage, progress, warning or log; `value` is the progress in 0..1."""

    type: str
    text: str = ""
    value: float | None = None
    remaining_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """How the job ended: for a failure, the error's `kind` and a sentence that says what to do.

    `facts`: what a job that has succeeded said with its `done`.
    """

    state: JobState
    exit_code: int
    kind: str | None = None
    text: str = ""
    facts: dict = field(default_factory=dict)


class Job:
    """One run of a command in the background.

    Threads read the pipes; `poll` hands over what they read, in the thread that owns the scene.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, grace_s: float = 8.0
    ) -> None:
        """Start `command` in `folder`; after `cancel` it has `grace_s` seconds to end by itself.

        The worker's own watchdog gives up after 5 s; with less here, it could not clean up.
        """
        self.state = JobState.RUNNING
        self.outcome: JobOutcome | None = None
        self._grace_s = grace_s
        self._queue: queue.Queue[tuple[str, object]] = queue.Queue()
        self._done: dict | None = None
        self._error: tuple[str, str] | None = None
        self._last_log = ""
        self._process = start_process(command, environment=environment, working_directory=folder)
        self._readers = [
            self._thread(self._read, "line", self._process.stdout),
            self._thread(self._read, "log", self._process.stderr),
        ]
        self._waiter = self._thread(self._wait_for_exit)

    @property
    def process_id(self) -> int:
        """Identity of the process that was started."""
        return self._process.pid

    def poll(self) -> list[JobEvent]:
        """Return what the job said since the last call, oldest first; sets `outcome` after its last line."""
        events = []
        with contextlib.suppress(queue.Empty):
            while True:
                source, content = self._queue.get_nowait()
                if source == "exit":
                    self._conclude(int(content))
                elif source == "line":
                    events.extend(self._interpret(str(content)))
                else:
                    events.append(self._log(str(content)))
        return events

    def cancel(self) -> None:
        """Ask the job to stop, by closing its stdin; it is ended by force when the grace time is over."""
        if self.state is not JobState.RUNNING:
            return
        self.state = JobState.CANCELLING
        self._close_stdin()
        self._thread(self._kill_after_grace)

    def close(self) -> None:
        """End the job now and wait until nothing of it is left; for when the application quits."""
        self.cancel()
        self._waiter.join(timeout=min(1.0, self._grace_s))
        if self._waiter.is_alive():
            kill_tree(self._process)
            self._waiter.join(timeout=10.0)
        self.poll()

    def wait(self, *, timeout_s: float | None = None, interval_s: float = 0.05):
        """Yield the job's events until it has ended; for programs without an event loop.

        Raises TimeoutError after `timeout_s`; the job goes on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self.outcome is None:
            yield from self.poll()
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"the job has not ended within {timeout_s} s")
            time.sleep(interval_s)

    # What follows runs in the caller's thread.

    def _interpret(self, line: str) -> list[JobEvent]:
        message = _message(line)
        if message is None:
            return [self._log(line)]
        text = str(message.get("text") or "")
        if message["type"] == "stage":
            return [JobEvent(type="stage", text=text or str(message.get("name", "")))]
        if message["type"] == "progress":
            value, remaining = message.get("value"), message.get("remaining_s")
            if not isinstance(value, (int, float)):
                return [self._log(line)]
            remaining = float(remaining) if isinstance(remaining, (int, float)) else None
            return [JobEvent(type="progress", value=min(max(float(value), 0.0), 1.0), remaining_s=remaining)]
        if message["type"] == "warning":
            return [JobEvent(type="warning", text=text)]
        if message["type"] == "error":
            self._error = (str(message.get("kind") or "internal"), text)
            return [JobEvent(type="log", text=f"{self._error[0]}: {text}")]
        self._done = {key: value for key, value in message.items() if key != "type"}
        return []

    def _log(self, text: str) -> JobEvent:
        self._last_log = text or self._last_log
        return JobEvent(type="log", text=text)

    def _conclude(self, exit_code: int) -> None:
        if self.state is JobState.CANCELLING or (self._error and self._error[0] == "cancelled"):
            self.outcome = JobOutcome(state=JobState.CANCELLED, exit_code=exit_code, kind="cancelled")
        elif self._error:
            self.outcome = JobOutcome(
                state=JobState.FAILED, exit_code=exit_code, kind=self._error[0], text=self._error[1]
            )
        elif exit_code != 0:
            self.outcome = JobOutcome(
                state=JobState.FAILED, exit_code=exit_code, kind="crashed", text=self._crash_text(exit_code)
            )
        elif self._done is None:
            text = _("The background process ended without saying that it was done; nothing was loaded.")
            self.outcome = JobOutcome(state=JobState.FAILED, exit_code=0, kind="incomplete", text=text)
        else:
            self.outcome = JobOutcome(state=JobState.DONE, exit_code=0, facts=self._done)
        self.state = self.outcome.state

    def _crash_text(self, exit_code: int) -> str:
        if exit_code in (-9, 137):
            text = _(
                "The operating system ended the background process, most often because memory ran out. "
                "Close other programs and try again."
            )
        else:
            text = _(
                "The background process ended unexpectedly (exit code {code}). "
                "Nothing was changed in the scene. The log has the details."
            ).format(code=exit_code)
        return f"{text} {self._last_log}".strip()

    # What follows runs in threads of its own and touches only the process and the queue.

    def _thread(self, target, *arguments) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread

    def _read(self, source: str, pipe) -> None:
        # The pipe may be closed under the reader when the tree is ended by force.
        with contextlib.suppress(ValueError, OSError):
            for line in pipe:
                self._queue.put((source, line.rstrip("\r\n")))

    def _wait_for_exit(self) -> None:
        exit_code = self._process.wait()
        for reader in self._readers:
            reader.join(timeout=2.0)
        kill_tree(self._process)  # a grandchild that outlived its parent would keep the pipes and the GPU
        for reader in self._readers:
            reader.join(timeout=2.0)
        self._close_stdin()
        self._queue.put(("exit", exit_code))  # after the last line, so that no line of the log is lost

    def _kill_after_grace(self) -> None:
        self._waiter.join(timeout=self._grace_s)
        if self._waiter.is_alive():
            kill_tree(self._process)

    def _close_stdin(self) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()


def _message(line: str) -> dict | None:
    """Return the job's message on this line, or None when the line is log."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    known = ("stage", "progress", "warning", "error", "done")
    return message if isinstance(message, dict) and message.get("type") in known else None


class JobWithFolder:
    """A job that is running or has ended, with its private folder; `close` removes both."""

    job: Job
    folder: JobFolder

    @property
    def state(self) -> JobState:
        """Where the job stands."""
        return self.job.state

    @property
    def outcome(self) -> JobOutcome | None:
        """How the job ended; None while it runs."""
        return self.job.outcome

    def poll(self) -> list[JobEvent]:
        """Return what the job said since the last call."""
        return self.job.poll()

    def cancel(self) -> None:
        """Ask the job to stop."""
        self.job.cancel()

    def close(self) -> None:
        """End the job if it still runs, and remove its folder."""
        self.job.close()
        self.folder.remove()
