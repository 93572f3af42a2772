"""Training all methods of a comparison on one cohort in memory, each in a folder of its own; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from AMDiffLib.errors import BadInput
from AMDiffLib.inference.weights import WEIGHTS, model_folder
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.progress import Cancellation
from AMDiffLib.training.comparators import Budget, methods_of
from AMDiffLib.training.dataset import Subject
from AMDiffLib.training.export import export_run, part_of, saved_weights
from AMDiffLib.training.run_settings import RunSettings
from AMDiffLib.training.trainer import Trainer

MODEL_FOLDER = "model"
CHECKPOINT_MINUTES = 2.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method with one seed."""

    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-seed{self.seed}"


def planned_runs(budget: Budget, methods: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """Return the runs in the order of their training: all methods with one seed before the next seed, so that
    a comparison that is stopped early is one of whole seeds.

    Raises BadInput for a method that is not known.
    """
    known = methods_of(budget)
    if unknown := sorted(set(methods) - set(known)):
        raise BadInput(f"--methods names {', '.join(unknown)}; known are {', '.join(known)}.")
    return [Run(method=name, seed=seed) for seed in seeds for name in known if name in methods]


def model_of(folder: Path, run: Run) -> Path | None:
    """Return the folder of a run's finished model, None while it is not finished."""
    model = folder / run.name / MODEL_FOLDER
    return model if (model / WEIGHTS).is_file() else None


def train_run(
    folder: Path,
    run: Run,
    budget: Budget,
    subjects: Sequence[Subject],
    *,
    steps: int,
    device: str,
    cancellation: Cancellation,
    say: Callable[[str], None] = print,
) -> Path:
    """Train one method, or go on with it, and return the folder of its model; a finished one is left alone.

    Raises BadInput where the run in the folder took other steps, or the run whose denoiser it needs is
    missing; and what `Trainer.run` does.
    """
    output = folder / run.name
    if (finished := model_of(folder, run)) is not None:
        _refuse_other_steps(output, steps)
        return finished
    method = methods_of(budget)[run.method]
    model, training = method.configure(budget.model, budget.training)
    trainer = Trainer(
        model,
        training,
        RunSettings(
            output=output,
            steps=steps,
            seed=run.seed,
            device=device,
            checkpoint_minutes=CHECKPOINT_MINUTES,
            validation_minutes=None,
            say=say,
        ),
        subjects,
        initial=initial_weights(folder, run, budget, model),
        cancellation=cancellation,
    )
    trainer.run(resume=True)
    return export_run(output, output / MODEL_FOLDER)


def initial_weights(folder: Path, run: Run, budget: Budget, model: AMDiffConfig) -> dict[str, Tensor] | None:
    """The weights that a run starts from: those of the budget, and for a segmenter the finished denoiser that
    it stands on; None where everything starts from nothing."""
    on_denoiser_of = methods_of(budget)[run.method].on_denoiser_of
    if budget.initial is None and on_denoiser_of is None:
        return None
    denoiser = {}
    if on_denoiser_of is not None:
        other = Run(method=on_denoiser_of, seed=run.seed)
        finished = model_of(folder, other)
        if finished is None:
            raise BadInput(
                f"{run.method} stands on the denoiser of {other.name}, which is not in {folder}. Name "
                f"{other.method} in --methods too."
            )
        denoiser = part_of(saved_weights(finished)[0], "denoiser")
    torch.manual_seed(run.seed)
    weights = AMDiff(model).state_dict()
    if budget.initial is not None:
        shipped = saved_weights(model_folder(budget.initial))[0]
        weights = {name: shipped[name] for name in weights}
    return weights | denoiser


def _refuse_other_steps(output: Path, steps: int) -> None:
    took = json.loads((output / "config.json").read_text(encoding="utf-8"))["run"]["steps"]
    if took != steps:
        raise BadInput(
            f"{output} was trained for {took} steps, now {steps} are asked for. Compare runs of one budget: "
            "choose another folder, or the same number of steps."
        )
