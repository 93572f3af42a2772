"""The training loop: one model, one cohort in memory, until the steps or the hours are spent."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from AMDiffLib.errors import AMDiffError, BadInput, Cancelled
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.progress import Cancellation
from AMDiffLib.training.checkpoint import Progress, load_checkpoint, save_checkpoint, save_tensors
from AMDiffLib.training.config import OptimiserConfig, TrainingConfig
from AMDiffLib.training.dataset import Subject
from AMDiffLib.training.ema import MovingAverage
from AMDiffLib.training.losses import WarmUp
from AMDiffLib.training.objective import joint_objective
from AMDiffLib.training.patch_sampling import PatchSampler, Prefetcher
from AMDiffLib.training.validation import HeldOutScan, validate

CHECKPOINT_NAME = "checkpoint.safetensors"
BEST_NAME = "best.safetensors"
LAST_NAME = "last.safetensors"
TERMS = ("total", "diffusion", "lesion_organ", "revision", "segmentation", "uncertainty")
_SKIPS_ALLOWED = 20


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How one run goes, apart from what is trained: lengths, seed, intervals in minutes and steps.

    `hours` ends the run early and the learning rate and Eq. (11) follow whichever of steps and hours is
    further on; a run limited by steps alone is reproducible.
    """

    output: Path
    steps: int
    hours: float | None = None
    seed: int = 0
    device: str = "cpu"
    log_every: int = 20
    checkpoint_minutes: float = 5.0
    validation_minutes: float | None = 15.0
    say: Callable[[str], None] = field(default=print)


def learning_rate_factor(config: OptimiserConfig, step: int, progress: float) -> float:
    """Return the factor on both learning rates at zero-based `step`, with `progress` in [0, 1) through the
    run.
    """
    ramp = min(1.0, (step + 1) / config.ramp_steps) if config.ramp_steps else 1.0
    if config.schedule == "half_time_step":
        return ramp * (1.0 if progress < 0.5 else 0.1)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return ramp * (config.final_fraction + (1.0 - config.final_fraction) * cosine)


class Trainer:
    """Trains an AMDiff model on a cohort in memory; checkpoint, logs and best weights go to a folder."""

    def __init__(
        self,
        model_config: AMDiffConfig,
        config: TrainingConfig,
        settings: RunSettings,
        subjects: Sequence[Subject],
        *,
        validation: Sequence[HeldOutScan] = (),
        initial: Mapping[str, torch.Tensor] | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        self.config = config
        self.settings = settings
        self.validation = list(validation)
        self.device = torch.device(settings.device)
        torch.manual_seed(settings.seed)
        # Channels last is a seventh faster on CPUs, with the group norm of this library.
        self.model = AMDiff(model_config).to(self.device, memory_format=torch.channels_last_3d)
        if initial is not None:
            self.model.load_state_dict(initial)
        for name, part in self.model.named_children():
            part.requires_grad_(name in config.trained)
        self.average = MovingAverage(self.model, config.optimiser.average_decay)
        self.warm_up = WarmUp(first_epoch=config.warm_up_first_epoch, last_epoch=config.warm_up_last_epoch)
        self.sampler = PatchSampler(
            subjects,
            patch_size=config.patch_size,
            batch_size=config.batch_size,
            seed=settings.seed,
            config=config.patches,
        )
        # Clipped apart, so that none of them is held back by another's gradient.
        self._parts = [
            list(self.model.denoiser.parameters()),
            [*self.model.revision.parameters(), *self.model.segmenter.parameters()],
        ]
        rates = [config.optimiser.denoiser_rate, config.optimiser.segmenter_rate]
        if self.model.uncertainty is not None:
            self._parts.append(list(self.model.uncertainty.parameters()))
            rates.append(config.optimiser.segmenter_rate)
        self.optimiser = torch.optim.AdamW(
            [
                {"params": part, "lr": rate, "rate": rate}
                for part, rate in zip(self._parts, rates, strict=True)
            ],
            weight_decay=config.optimiser.weight_decay,
        )
        self.progress = Progress()
        self._skipped_in_a_row = 0
        self._cancellation = cancellation or Cancellation()

    def run(self, *, resume: bool = False) -> Progress:
        """Train to the end, writing to the output folder, and return where the run stands.

        Raises BadInput if the folder holds another run and `resume` is off, BadCheckpoint if it cannot be
        resumed, AMDiffError if the loss stays non-finite, Cancelled when asked to stop, after the current
        step and a checkpoint.
        """
        output = self.settings.output
        checkpoint = output / CHECKPOINT_NAME
        output.mkdir(parents=True, exist_ok=True)
        if resume and checkpoint.is_file():
            self.progress, facts = load_checkpoint(checkpoint, self.model, self.average, self.optimiser)
            self._check_same_run(facts)
            self.settings.say(f"resumed at step {self.progress.step}")
        elif checkpoint.is_file():
            raise BadInput(
                f"{output} holds a run already. Add --resume to continue it, or choose another folder."
            )
        content = {
            "model": self.model.config.to_dict(),
            "training": self.config.to_dict(),
            "run": self._facts(),
        }
        (output / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        self._trim_log(output / "losses.csv")

        self.model.train()
        now = time.monotonic()
        last_checkpoint = last_validation = now
        began = now - self.progress.seconds
        self._log_began = (self.progress.step, now)
        sums: dict[str, float] = {}
        ahead = 0 if self.device.type == "cpu" else 4
        with Prefetcher(self.sampler, first_step=self.progress.step, ahead=ahead) as batches:
            while not self._finished():
                figures = self._step(next(batches))
                now = time.monotonic()
                self.progress = replace(self.progress, step=self.progress.step + 1, seconds=now - began)
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value
                if self.progress.step % self.settings.log_every == 0 or self._finished():
                    self._log(sums)
                    sums = {}
                if self._due(self.settings.validation_minutes, last_validation):
                    self._validate()
                    last_validation = time.monotonic()
                if self._due(self.settings.checkpoint_minutes, last_checkpoint):
                    self._save()
                    last_checkpoint = time.monotonic()
        if self.fraction_done >= 1.0:
            self._validate()
        self._save()
        if self.fraction_done < 1.0:
            raise Cancelled(
                f"The training was stopped: {self._cancellation.reason}. Continue it with --resume."
            )
        return self.progress

    @property
    def fraction_done(self) -> float:
        """How far the run is, in [0, 1], by steps or by hours, whichever is further."""
        by_steps = self.progress.step / self.settings.steps
        by_hours = self.progress.seconds / (3600.0 * self.settings.hours) if self.settings.hours else 0.0
        return min(max(by_steps, by_hours), 1.0)

    @property
    def epoch(self) -> int:
        """The zero-based epoch of Eq. (11)."""
        return int(self.fraction_done * self.config.epochs)

    def _step(self, batch) -> dict[str, float]:
        optimiser_config = self.config.optimiser
        step = self.progress.step
        warm = self.warm_up(self.epoch)
        factor = learning_rate_factor(optimiser_config, step, self.fraction_done)
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * factor
        generator = torch.Generator().manual_seed((self.settings.seed << 32) + step)
        self.optimiser.zero_grad(set_to_none=True)
        terms = joint_objective(
            self.model, batch.to(self.device), warm=warm, config=self.config.loss, generator=generator
        )
        terms["total"].backward()
        norms = [
            float(torch.nn.utils.clip_grad_norm_(part, optimiser_config.gradient_norm))
            for part in self._parts
        ]
        total = float(terms["total"].detach())
        if all(math.isfinite(value) for value in (total, *norms)):
            self.optimiser.step()
            self.average.update(self.model, step)
            self._skipped_in_a_row = 0
        else:
            self._skip(step, batch.origins)
        figures = {name: float(terms[name].detach()) for name in TERMS}
        figures |= {
            "warm": warm,
            "rate_factor": factor,
            "denoiser_norm": norms[0],
            "segmenter_norm": norms[1],
        }
        return figures

    def _skip(self, step: int, origins: Sequence[str]) -> None:
        self._skipped_in_a_row += 1
        self.settings.say(
            f"step {step}: loss or gradient is not finite (patches: {', '.join(origins)}); skipped"
        )
        if self._skipped_in_a_row >= _SKIPS_ALLOWED:
            raise AMDiffError(
                f"The loss was not finite in {_SKIPS_ALLOWED} steps in a row, last at step {step}. "
                "Lower the learning rates, or look at the images of the cases named above."
            )

    def _finished(self) -> bool:
        return self._cancellation.requested or self.fraction_done >= 1.0

    @staticmethod
    def _due(minutes: float | None, last: float) -> bool:
        return minutes is not None and time.monotonic() - last >= 60.0 * minutes

    def _log(self, sums: dict[str, float]) -> None:
        first, since = self._log_began
        count = max(self.progress.step - first, 1)
        now = time.monotonic()
        self._log_began = (self.progress.step, now)
        means = {name: value / count for name, value in sums.items()}
        done = max(self.fraction_done, 1e-9)
        remaining = self.progress.seconds * (1.0 - done) / done
        row = {"step": self.progress.step, "epoch": self.epoch, "seconds": round(self.progress.seconds, 1)}
        _append(self.settings.output / "losses.csv", row | {k: f"{v:.6g}" for k, v in means.items()})
        terms = "  ".join(f"{name} {means[name]:.4f}" for name in TERMS)
        self.settings.say(
            f"step {self.progress.step}/{self.settings.steps}  epoch {self.epoch}  {terms}  "
            f"warm {means['warm']:.3f}  "
            f"{(now - since) / count:.2f} s/step  {_clock(remaining)} left"
        )

    def _validate(self) -> None:
        if not self.validation:
            return
        started = time.monotonic()
        with self.average.applied_to(self.model):
            figures = validate(
                self.model,
                self.validation,
                seed=self.settings.seed,
                trained=self.config.trained,
                device=self.device,
            )
        best = self.progress.best_score
        improved = best is None or figures["score"] < best
        if improved:
            self.progress = replace(self.progress, best_score=figures["score"], best_step=self.progress.step)
            self._save_weights(BEST_NAME, figures)
        row = {"step": self.progress.step} | {name: f"{value:.5g}" for name, value in figures.items()}
        _append(self.settings.output / "validation.csv", row)
        text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self.settings.say(
            f"validation  {text}  {'(best)' if improved else ''}  {time.monotonic() - started:.0f} s"
        )

    def _save(self) -> None:
        path = self.settings.output / CHECKPOINT_NAME
        save_checkpoint(path, self.model, self.average, self.optimiser, self.progress, self._facts())
        self._save_weights(LAST_NAME, {})

    def _save_weights(self, name: str, figures: dict[str, float]) -> None:
        content = {"model": self.model.config.to_dict(), "figures": figures, "step": self.progress.step}
        save_tensors(self.settings.output / name, self.average.state, content)

    def _facts(self) -> dict[str, object]:
        settings = {k: v for k, v in vars(self.settings).items() if k not in ("say", "output")}
        subjects = [subject.name for subject in self.sampler.subjects]
        training = asdict(self.config)
        return {
            **settings,
            "subjects": subjects,
            "training": json.loads(json.dumps(training)),
            "torch": torch.__version__,
        }

    def _check_same_run(self, facts: dict[str, object]) -> None:
        own = self._facts()
        for key in ("steps", "seed", "subjects", "training"):
            if facts.get(key) != own[key]:
                raise BadInput(
                    f"{self.settings.output} was trained with {key} {facts.get(key)}, now {own[key]} is "
                    "asked for. "
                    "Resume with the same settings, or choose another folder."
                )

    def _trim_log(self, path: Path) -> None:
        """Drop the rows that a killed run wrote after its last checkpoint."""
        if not path.is_file():
            return
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= self.progress.step]
        path.unlink()
        for row in rows:
            _append(path, row)


def _append(path: Path, row: dict[str, object]) -> None:
    is_new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
