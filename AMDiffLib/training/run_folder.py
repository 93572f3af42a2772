"""The folder of a training run: its configuration, its checkpoint, and the weights worth keeping."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from AMDiffLib.errors import BadInput
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.training.checkpoint import (
    Progress,
    load_checkpoint,
    load_tensors,
    save_checkpoint,
    save_tensors,
)
from AMDiffLib.training.config import TrainingConfig
from AMDiffLib.training.ema import MovingAverage
from AMDiffLib.training.run_settings import BEST_NAME, CHECKPOINT_NAME, LAST_NAME, RunSettings

_SAME_WHEN_RESUMED = ("steps", "seed", "subjects", "training")


class RunFolder:
    """Reads and writes what a run keeps; `facts` are its settings, JSON-able, by which it is recognised."""

    def __init__(
        self, settings: RunSettings, model: AMDiffConfig, training: TrainingConfig, **facts: Any
    ) -> None:
        self.path = settings.output
        self._model = model.to_dict()
        own = {name: value for name, value in vars(settings).items() if name not in ("say", "output")}
        # As they are after JSON, to be compared with what a checkpoint says.
        self._training = json.loads(json.dumps(training.to_dict()))
        self._facts = {**own, **facts, "training": self._training, "torch": torch.__version__}

    def restore(
        self, model: nn.Module, average: MovingAverage, optimiser: torch.optim.Optimizer, *, resume: bool
    ) -> Progress:
        """Load the checkpoint, if there is one, and return where the run stands.

        Raises BadInput if there is one and `resume` is off, or if it is another run's; BadCheckpoint if it
        cannot be read.
        """
        path = self.path / CHECKPOINT_NAME
        if not path.is_file():
            return Progress()
        if not resume:
            raise BadInput(
                f"{self.path} holds a run already. Add --resume to continue it, or choose another folder."
            )
        progress, facts = load_checkpoint(path, model, average, optimiser)
        for key in _SAME_WHEN_RESUMED:
            if facts.get(key) != self._facts[key]:
                raise BadInput(
                    f"{self.path} was trained with {key} {facts.get(key)}, now {self._facts[key]} is asked "
                    "for. Resume with the same settings, or choose another folder."
                )
        best = self.path / BEST_NAME
        if best.is_file():
            # They may be newer than the checkpoint of a killed run, and a worse score must not replace them.
            _, content = load_tensors(best)
            progress = replace(progress, best_score=content["figures"]["score"], best_step=content["step"])
        return progress

    def write_config(self) -> None:
        """Write config.json: model, training, and the facts of the run."""
        run = {name: value for name, value in self._facts.items() if name != "training"}
        content = {"model": self._model, "training": self._training, "run": run}
        (self.path / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def save(
        self,
        model: nn.Module,
        average: MovingAverage,
        optimiser: torch.optim.Optimizer,
        progress: Progress,
    ) -> None:
        """Write the checkpoint and the averaged weights of now."""
        save_checkpoint(self.path / CHECKPOINT_NAME, model, average, optimiser, progress, self._facts)
        self._save_weights(LAST_NAME, average, progress.step, {})

    def save_best(self, average: MovingAverage, step: int, figures: dict[str, float]) -> None:
        """Write the averaged weights of now as the best validated ones, with their figures."""
        self._save_weights(BEST_NAME, average, step, figures)

    def _save_weights(self, name: str, average: MovingAverage, step: int, figures: dict[str, float]) -> None:
        content = {"model": self._model, "figures": figures, "step": step}
        save_tensors(self.path / name, average.state, content)
