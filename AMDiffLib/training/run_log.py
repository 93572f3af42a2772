"""What a training tells of its course: console lines, tables, loss curves, TensorBoard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from AMDiffLib.training.csv_log import append_row, drop_rows_after
from AMDiffLib.training.loss_curves import write_loss_curves
from AMDiffLib.training.run_settings import LOSSES_NAME, VALIDATION_NAME, RunSettings
from AMDiffLib.training.tensorboard_log import TensorBoardLog, tensorboard_missing

TERMS = ("total", "diffusion", "lesion_organ", "revision", "segmentation", "uncertainty")
_RECENT_LINES = 20


class RunLog:
    """Means over `log_every` steps to the console, losses.csv and TensorBoard; validations beside them."""

    def __init__(self, settings: RunSettings, *, first_step: int) -> None:
        """Continue the logs of the run's folder at `first_step`.

        Raises MissingPackage where TensorBoard is asked for and not installed.
        """
        self._settings = settings
        for name in (LOSSES_NAME, VALIDATION_NAME):
            drop_rows_after(settings.output / name, first_step)
        self._tensorboard = None
        if settings.tensorboard == "on" or (settings.tensorboard == "auto" and not tensorboard_missing()):
            self._tensorboard = TensorBoardLog(settings.output, first_step=first_step + 1)
        elif settings.tensorboard == "auto":
            settings.say(str(tensorboard_missing()))
        self._sums: dict[str, float] = {}
        # The speed of late, validations included: the first epochs of Eq. (11) are faster than the others.
        self._times = deque([(first_step, time.monotonic())], maxlen=_RECENT_LINES)

    def add(self, figures: Mapping[str, float]) -> None:
        """Take the figures of one step into the means of the next row."""
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def write_step(self, step: int, *, epoch: int, seconds: float, rates: Mapping[str, float]) -> None:
        """Write the means since the last row; `seconds` is how long the run has taken, `rates` by group."""
        steps = step - self._times[-1][0]
        means = {name: value / steps for name, value in self._sums.items()}
        self._sums = {}
        self._times.append((step, time.monotonic()))
        row = {"step": step, "epoch": epoch, "seconds": round(seconds, 1)}
        append_row(self._settings.output / LOSSES_NAME, row | {name: f"{v:.6g}" for name, v in means.items()})
        if self._tensorboard is not None:
            groups = {name: f"loss/{name}" for name in TERMS} | {"warm": "schedule/warm_up"}
            groups |= {name: f"gradient_norm/{name[:-5]}" for name in means if name.endswith("_norm")}
            figures = {groups[name]: value for name, value in means.items() if name in groups}
            figures |= {f"learning_rate/{name}": rate for name, rate in rates.items()}
            self._tensorboard.scalars(step, figures)
        self._settings.say(self._line(step, epoch, seconds, means))

    def write_validation(self, step: int, figures: Mapping[str, float], picture: Path) -> None:
        """Write the figures of a validation, and show its picture in TensorBoard."""
        row = {"step": step} | {name: f"{value:.5g}" for name, value in figures.items()}
        append_row(self._settings.output / VALIDATION_NAME, row)
        if self._tensorboard is not None:
            self._tensorboard.scalars(step, {f"validation/{name}": v for name, v in figures.items()})
            self._tensorboard.picture(step, "validation/scan", picture)

    def draw(self) -> None:
        """Bring losses.png and what TensorBoard can read up to date."""
        write_loss_curves(self._settings.output)
        if self._tensorboard is not None:
            self._tensorboard.flush()

    def close(self) -> None:
        """End the TensorBoard log."""
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _line(self, step: int, epoch: int, seconds: float, means: Mapping[str, float]) -> str:
        (first, since), (_, now) = self._times[0], self._times[-1]
        speed = (now - since) / max(step - first, 1)
        left = (self._settings.steps - step) * speed
        if self._settings.hours is not None:
            left = min(left, max(3600.0 * self._settings.hours - seconds, 0.0))
        # A loss is exactly 0 while its part is not run.
        terms = "  ".join(f"{name} {means[name]:.4f}" for name in TERMS if means[name] != 0.0)
        return (
            f"step {step}/{self._settings.steps}  epoch {epoch}  {terms}  warm-up {means['warm']:.3f}  "
            f"{speed:.2f} s/step  {_clock(left)} left"
        )


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
