"""A training's whole state in one safetensors file, written so that a crash never leaves half a file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from AMDiffLib.errors import BadCheckpoint
from AMDiffLib.training.ema import MovingAverage

CHECKPOINT_VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands: optimiser steps made, seconds spent, the best validation score and its step."""

    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int | None = None


def save_checkpoint(
    path: Path,
    model: nn.Module,
    average: MovingAverage,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    facts: dict[str, Any],
) -> None:
    """Write weights, their average, the optimiser's moments and `progress`; `facts` are JSON-able run
    settings.

    No random state is needed: batches, timesteps and noise are functions of the seed and the step.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()}
    save_tensors(path, tensors, {"version": CHECKPOINT_VERSION, "progress": vars(progress), "facts": facts})


def load_checkpoint(
    path: Path, model: nn.Module, average: MovingAverage, optimiser: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Any]]:
    """Restore what `save_checkpoint` wrote and return the progress and the facts.

    Raises BadCheckpoint when the file is damaged or belongs to another model.
    """
    tensors, content = load_tensors(path)
    if content.get("version") != CHECKPOINT_VERSION:
        raise BadCheckpoint(
            f"{path} has checkpoint version {content.get('version')}; {CHECKPOINT_VERSION} is expected."
        )
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimiser": {}}
    for name, value in tensors.items():
        group, _, key = name.partition(".")
        groups[group][key] = value
    try:
        model.load_state_dict(groups["model"])
    except RuntimeError as error:
        raise BadCheckpoint(
            f"{path} does not belong to this model configuration ({str(error).splitlines()[0]}). "
            "Resume with the configuration of the run, or choose another output folder."
        ) from error
    average.load(groups["average"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in groups["optimiser"].items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    state = optimiser.state_dict()
    optimiser.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
    return Progress(**content["progress"]), content["facts"]


def save_tensors(path: Path, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
    """Write tensors and JSON-able `content` to `path` in one go: a temporary file, flushed, then renamed."""
    temporary = path.with_name(f".{path.name}.partial")
    metadata = {key: json.dumps(value) for key, value in content.items()}
    # Cloned, since blocks that share a Mamba layer share its tensors and safetensors stores no memory twice.
    save_file(
        {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()},
        temporary,
        metadata,
    )
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the content of a file that `save_tensors` wrote; BadCheckpoint when it is
    damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            content = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            return {key: file.get_tensor(key) for key in file.keys()}, content  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise BadCheckpoint(
            f"The checkpoint {path} cannot be read ({error}). Delete it to start the run anew."
        ) from error
