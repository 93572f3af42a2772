"""What a long job tells its user or its parent process: stages, progress, warnings, and how it ended."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, Protocol, TextIO

from AMDiffLib.errors import Cancelled

STAGE_TEXTS = {
    "read": "Reading the scan",
    "load": "Loading the model",
    "prepare": "Finding the patient",
    "denoise": "Denoising",
    "revise": "Restoring detail",
    "uncertainty": "Estimating the uncertainty",
    "segment": "Finding lesions and organs",
    "restore": "Bringing the result back to the scan's own grid",
    "write": "Measuring and writing the results",
}


class Cancellation:
    """A request to stop, made by any thread and honoured by the working one at its next check."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._reason = ""

    def request(self, reason: str) -> None:
        """Ask the job to stop; the first `reason` given is the one reported."""
        if not self._requested.is_set():
            self._reason = reason
            self._requested.set()

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    @property
    def reason(self) -> str:
        return self._reason

    def check(self) -> None:
        """Raise `Cancelled` if a stop was requested."""
        if self._requested.is_set():
            raise Cancelled(
                f"The job was stopped: {self._reason}. Nothing was written; start it again if needed."
            )


class Reporter(Protocol):
    """Where a job sends its news; `check_cancelled` is how it learns that nobody wants the result any
    more."""

    def stage(self, name: str, text: str | None = None) -> None: ...

    def progress(self, fraction: float) -> None: ...

    def warning(self, text: str) -> None: ...

    def done(self, **facts: Any) -> None: ...

    def error(self, kind: str, message: str) -> None: ...

    def check_cancelled(self) -> None: ...


class SilentReporter:
    """Says nothing, and remembers the warnings; the base of the reporters that speak."""

    def __init__(self, cancellation: Cancellation | None = None) -> None:
        self.cancellation = cancellation or Cancellation()
        self.warnings: list[str] = []

    def stage(self, name: str, text: str | None = None) -> None:
        """The job begins the stage `name`; `text` is for people (default: from STAGE_TEXTS)."""

    def progress(self, fraction: float) -> None:
        """The share of the whole job that is done, in [0, 1], never falling."""

    def warning(self, text: str) -> None:
        """Something the user should know, with which the job goes on."""
        self.warnings.append(text)

    def done(self, **facts: Any) -> None:
        """The results are in their place; `facts` name them."""

    def error(self, kind: str, message: str) -> None:
        """The job failed; `kind` is one of the named error kinds or "internal"."""

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if a stop was requested."""
        self.cancellation.check()


class RemainingTime:
    """Seconds to go, at the speed of the present stage, or of the last long one; None before that."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None
        self._fraction = 0.0
        self._speed: float | None = None

    def new_stage(self) -> None:
        """Measure the speed anew: reading a file says nothing about the speed of the networks."""
        self._start = (time.monotonic(), self._fraction)

    def __call__(self, fraction: float) -> float | None:
        now = time.monotonic()
        self._fraction = fraction
        if self._start is None:
            self._start = (now, fraction)
        began, first = self._start
        if fraction - first >= 0.03 and now > began:
            self._speed = (fraction - first) / (now - began)
        return None if self._speed is None else (1.0 - fraction) / self._speed


class JsonLinesReporter(SilentReporter):
    """One JSON object per line on `stream`; progress at most every `interval` seconds."""

    def __init__(
        self, stream: TextIO, *, cancellation: Cancellation | None = None, interval: float = 0.25
    ) -> None:
        super().__init__(cancellation)
        self._stream = stream
        self._interval = interval
        self._last_value = -1.0
        self._last_time = -1e9
        self._remaining = RemainingTime()
        # The watcher of a closed stdin reports from its own thread: lines must not interleave.
        self._lock = threading.Lock()

    def _line(self, **content: Any) -> None:
        with self._lock:
            try:
                self._stream.write(json.dumps(content) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # The parent is gone, or the file that it writes to is full.
                self.cancellation.request("what it reports can no longer be written")
                if content["type"] == "error":
                    print(content["text"], file=sys.stderr)

    def stage(self, name: str, text: str | None = None) -> None:
        self._remaining.new_stage()
        self._line(type="stage", name=name, text=text or STAGE_TEXTS.get(name, name))

    def progress(self, fraction: float) -> None:
        fraction = min(max(fraction, self._last_value, 0.0), 1.0)
        remaining = self._remaining(fraction)
        now = time.monotonic()
        if now - self._last_time < self._interval and fraction < 1.0:
            return
        self._last_time, self._last_value = now, fraction
        self._line(
            type="progress",
            value=round(fraction, 4),
            remaining_s=None if remaining is None else round(remaining, 1),
        )

    def warning(self, text: str) -> None:
        super().warning(text)
        self._line(type="warning", text=text)

    def done(self, **facts: Any) -> None:
        self._line(type="done", **facts)

    def error(self, kind: str, message: str) -> None:
        self._line(type="error", kind=kind, text=message)


class ConsoleReporter(SilentReporter):
    """A tqdm bar and plain sentences on a terminal; errors and warnings on stderr, the result on stdout."""

    def __init__(self, *, cancellation: Cancellation | None = None) -> None:
        super().__init__(cancellation)
        self._bar: Any = None

    def stage(self, name: str, text: str | None = None) -> None:
        self._show().set_description_str(text or STAGE_TEXTS.get(name, name))

    def progress(self, fraction: float) -> None:
        bar = self._show()
        step = min(fraction, 1.0) * 100.0 - bar.n
        if step > 0:
            bar.update(step)

    def warning(self, text: str) -> None:
        super().warning(text)
        self._say(f"Warning: {text}")

    def done(self, **facts: Any) -> None:
        self._close()
        for name, value in facts.items():
            print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")

    def error(self, kind: str, message: str) -> None:
        self._close()
        print(f"Error ({kind}): {message}", file=sys.stderr)

    def _show(self) -> Any:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=100.0, unit="%", bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            )
        return self._bar

    def _say(self, text: str) -> None:
        if self._bar is None:
            print(text, file=sys.stderr)
        else:
            self._bar.write(text, file=sys.stderr)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class PartOfJob(SilentReporter):
    """Passes everything on to `whole`, with progress 0..1 becoming `start`..`end` of the whole job."""

    def __init__(self, whole: Reporter, start: float, end: float) -> None:
        self._whole = whole
        self._start = start
        self._end = end

    def stage(self, name: str, text: str | None = None) -> None:
        self._whole.stage(name, text)

    def progress(self, fraction: float) -> None:
        self._whole.progress(self._start + fraction * (self._end - self._start))

    def warning(self, text: str) -> None:
        self._whole.warning(text)

    def done(self, **facts: Any) -> None:
        self._whole.done(**facts)

    def error(self, kind: str, message: str) -> None:
        self._whole.error(kind, message)

    def check_cancelled(self) -> None:
        self._whole.check_cancelled()


class OneOfMany(PartOfJob):
    """The share of a job that is one of several items: stages carry its name, its own warnings are kept."""

    def __init__(
        self, whole: Reporter, name: str, *, number: int, count: int, heard: Iterable[str] = ()
    ) -> None:
        """`number` counts from 0 to `count` - 1; `heard` are earlier warnings that hold for this item too."""
        super().__init__(whole, number / count, (number + 1) / count)
        self._name = f"{number + 1}/{count} {name}"
        self.warnings = list(heard)

    def stage(self, name: str, text: str | None = None) -> None:
        super().stage(name, f"{self._name}: {text or STAGE_TEXTS.get(name, name)}")

    def warning(self, text: str) -> None:
        self.warnings.append(text)
        super().warning(f"{self._name}: {text}")
