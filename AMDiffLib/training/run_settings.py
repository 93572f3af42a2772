"""How one training run goes, apart from what is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PRECISIONS = ("auto", "float32", "bfloat16")
TENSORBOARD = ("auto", "on", "off")

CHECKPOINT_NAME = "checkpoint.safetensors"
BEST_NAME = "best.safetensors"
LAST_NAME = "last.safetensors"
LOSSES_NAME = "losses.csv"
VALIDATION_NAME = "validation.csv"
CURVES_NAME = "losses.png"
PICTURE_NAME = "validation.png"
TENSORBOARD_NAME = "tensorboard"


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Lengths, seed, precision, and intervals in minutes or steps.

    Which runs can be repeated: the same configuration, seed, cohort, steps and precision give bitwise the
    same weights on one kind of processor with the same number of threads and the same torch, whether the run
    was interrupted or not; another number of processes or threads changes the rounding, and a GPU rounds
    anew in every run. `hours` ends a run early, and its learning rate and Eq. (11) follow the clock: such a
    run cannot be repeated. `validation_minutes` changes no weights, yet decides which of them are validated
    and so which are the best; `validation_steps`, if given, replaces it and can be repeated.
    """

    output: Path
    steps: int
    hours: float | None = None
    seed: int = 0
    device: str = "cpu"
    precision: str = "auto"
    log_every: int = 20
    checkpoint_minutes: float = 5.0
    validation_minutes: float | None = 15.0
    validation_steps: int | None = None
    tensorboard: str = "off"
    say: Callable[[str], None] = field(default=print)
