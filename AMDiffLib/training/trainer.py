"""The training loop: one model, one cohort in memory, until the steps or the hours are spent."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from AMDiffLib.errors import AMDiffError, BadInput, Cancelled
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.progress import Cancellation, SilentReporter
from AMDiffLib.training.checkpoint import Progress
from AMDiffLib.training.config import TrainingConfig
from AMDiffLib.training.dataset import Subject
from AMDiffLib.training.ema import MovingAverage
from AMDiffLib.training.losses import WarmUp
from AMDiffLib.training.objective import joint_objective
from AMDiffLib.training.optimiser import clip_gradients, learning_rate_factor, make_optimiser, set_rates
from AMDiffLib.training.patch_sampling import Batch, PatchSampler, Prefetcher
from AMDiffLib.training.processes import ALONE, Processes
from AMDiffLib.training.run_folder import RunFolder
from AMDiffLib.training.run_log import TERMS, RunLog
from AMDiffLib.training.run_settings import PICTURE_NAME, RunSettings
from AMDiffLib.training.shared_batch_norm import with_shared_batch_norms
from AMDiffLib.training.validation import HeldOutScan, validate
from AMDiffLib.training.validation_picture import ValidationPicture

_SKIPS_ALLOWED = 20


class Trainer:
    """Trains an AMDiff model on a cohort in memory; checkpoint, logs and best weights go to a folder.

    Where several `processes` train together each of them has a Trainer of the same settings, and takes its
    share of every batch; the first validates and writes.
    """

    def __init__(
        self,
        model_config: AMDiffConfig,
        config: TrainingConfig,
        settings: RunSettings,
        subjects: Sequence[Subject],
        *,
        validation: Sequence[HeldOutScan] = (),
        initial: Mapping[str, torch.Tensor] | None = None,
        processes: Processes = ALONE,
        cancellation: Cancellation | None = None,
    ) -> None:
        self.config = config
        self.settings = settings
        self.validation = list(validation)
        self.processes = processes
        self.device = torch.device(settings.device)
        self.precision = None if settings.precision == "auto" else getattr(torch, settings.precision)
        torch.manual_seed(settings.seed)
        # Channels last is a seventh faster on CPUs, with the group norm of this library.
        self.model = AMDiff(model_config).to(self.device, memory_format=torch.channels_last_3d)
        if initial is not None:
            _refuse_other_networks(initial, self.model.state_dict())
            self.model.load_state_dict(initial)
        if processes.count > 1:
            self.model = with_shared_batch_norms(self.model, self.device)
        for name, part in self.model.named_children():
            part.requires_grad_(name in config.trained)
        self.average = MovingAverage(self.model, config.optimiser.average_decay)
        self.warm_up = WarmUp(first_epoch=config.warm_up_first_epoch, last_epoch=config.warm_up_last_epoch)
        self.sampler = PatchSampler(
            subjects,
            patch_size=config.patch_size,
            batch_size=config.batch_size,
            slots=processes.slots(config.batch_size),
            seed=settings.seed,
            config=config.patches,
        )
        self.optimiser = make_optimiser(self.model, config.optimiser)
        self._folder = RunFolder(
            settings,
            model_config,
            config,
            subjects=[subject.name for subject in subjects],
            processes=processes.count,
        )
        self._log: RunLog | None = None
        self.progress = Progress()
        self._skipped_in_a_row = 0
        self._stopping = False
        self._cancellation = cancellation or Cancellation()

    def run(self, *, resume: bool = False) -> Progress:
        """Train to the end, writing to the output folder, and return where the run stands.

        Raises BadInput if the folder holds another run and `resume` is off, BadCheckpoint if it cannot be
        resumed, AMDiffError if the loss stays non-finite or another process is lost, Cancelled when asked to
        stop, after the current step and a checkpoint.
        """
        self._begin(resume)
        self.model.train()
        began = time.monotonic() - self.progress.seconds
        saved = validated = self.progress.seconds
        validated_step = None
        self._agree(began)
        ahead = 0 if self.device.type == "cpu" else 4
        with Prefetcher(self.sampler, first_step=self.progress.step, ahead=ahead) as batches:
            while not self._finished():
                figures = self._step(next(batches))
                self.progress = replace(self.progress, step=self.progress.step + 1)
                self._agree(began)
                self._report(figures)
                if self._validation_due(validated):
                    self._validate()
                    validated, validated_step = self.progress.seconds, self.progress.step
                if self.progress.seconds - saved >= 60.0 * self.settings.checkpoint_minutes:
                    self._save()
                    saved = self.progress.seconds
        if self.fraction_done >= 1.0 and validated_step != self.progress.step:
            self._validate()
        self._save()
        if self._log is not None:
            self._log.close()
        if self._stopping or self._cancellation.requested:
            raise Cancelled(
                f"The training was stopped: {self._cancellation.reason or 'another process was asked to'}. "
                "Continue it with --resume."
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

    def _begin(self, resume: bool) -> None:
        self.settings.output.mkdir(parents=True, exist_ok=True)
        self.progress = self._folder.restore(self.model, self.average, self.optimiser, resume=resume)
        step = self.progress.step
        if self.processes.largest(step, -step) != [step, -step]:
            raise BadInput(
                f"The processes do not see the same checkpoint in {self.settings.output}: this one is at "
                f"step {step}. The folder has to be one that all machines share."
            )
        if self.processes.leads:
            if step:
                self.settings.say(f"resumed at step {step}")
            self._folder.write_config()
            self._log = RunLog(self.settings, first_step=step)

    def _agree(self, began: float) -> None:
        """Let all processes act on one clock, and stop together."""
        seconds, stop = self.processes.largest(time.monotonic() - began, self._cancellation.requested)
        self.progress = replace(self.progress, seconds=seconds)
        self._stopping = bool(stop)

    def _step(self, batch: Batch) -> dict[str, float]:
        step = self.progress.step
        warm = self.warm_up(self.epoch)
        factor = learning_rate_factor(self.config.optimiser, step, self.fraction_done)
        set_rates(self.optimiser, factor)
        generator = torch.Generator().manual_seed((self.settings.seed << 32) + step)
        self.optimiser.zero_grad(set_to_none=True)
        terms = joint_objective(
            self.model,
            batch.to(self.device),
            warm=warm,
            config=self.config.loss_in(self.epoch),
            generator=generator,
            precision=self.precision,
            processes=self.processes,
        )
        terms["total"].backward()
        self.processes.add_gradients(self.model.parameters())
        norms = clip_gradients(self.optimiser, self.config.optimiser.gradient_norm)
        values = self.processes.total(torch.stack([terms[name].detach().float() for name in TERMS])).tolist()
        figures = dict(zip(TERMS, values, strict=True))
        if all(math.isfinite(value) for value in (figures["total"], *norms.values())):
            self.optimiser.step()
            self.average.update(self.model, step)
            self._skipped_in_a_row = 0
        else:
            self._skip(step, batch.origins)
        figures |= {"warm": warm, "rate_factor": factor}
        return figures | {f"{name}_norm": norm for name, norm in norms.items()}

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
        # Alone, a request counts at once; together, from when all have heard of it.
        requested = self._cancellation.requested if self.processes.count == 1 else self._stopping
        return requested or self.fraction_done >= 1.0

    def _report(self, figures: dict[str, float]) -> None:
        if self._log is None:
            return
        self._log.add(figures)
        step = self.progress.step
        if step % self.settings.log_every == 0 or self._finished():
            rates = {group["name"]: group["lr"] for group in self.optimiser.param_groups}
            self._log.write_step(step, epoch=self.epoch, seconds=self.progress.seconds, rates=rates)

    def _validation_due(self, last_seconds: float) -> bool:
        if self.settings.validation_steps is not None:
            return self.progress.step % self.settings.validation_steps == 0
        minutes = self.settings.validation_minutes
        return minutes is not None and self.progress.seconds - last_seconds >= 60.0 * minutes

    def _validate(self) -> None:
        if not self.validation or self._log is None:
            return
        started = time.monotonic()
        picture = ValidationPicture(self.settings.output / PICTURE_NAME, self.validation)
        try:
            with self.average.applied_to(self.model):
                figures = validate(
                    self.model,
                    self.validation,
                    seed=self.settings.seed,
                    trained=self.config.trained,
                    device=self.device,
                    reporter=SilentReporter(self._cancellation),
                    on_result=picture,
                )
        except Cancelled:
            return  # The step that follows finds the request, and every process stops.
        best = self.progress.best_score
        # Of equal ones the later: the score says nothing of the uncertainty head.
        improved = best is None or figures["score"] <= best
        if improved:
            self.progress = replace(self.progress, best_score=figures["score"], best_step=self.progress.step)
            self._folder.save_best(self.average, self.progress.step, figures)
        self._log.write_validation(self.progress.step, figures, picture.path)
        self._log.draw()
        text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self.settings.say(
            f"validation  {text}  {'(best)  ' if improved else ''}{time.monotonic() - started:.0f} s"
        )

    def _save(self) -> None:
        if self._log is not None:
            self._folder.save(self.model, self.average, self.optimiser, self.progress)
            self._log.draw()


def _refuse_other_networks(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    shapes, wanted = ({name: tensor.shape for name, tensor in of.items()} for of in (found, expected))
    differ = sorted({name.partition(".")[0] for name, _ in shapes.items() ^ wanted.items()})
    if differ:
        raise BadInput(
            f"The weights to start from (--initial) are not of the networks of --config and --without: their "
            f"{', '.join(differ)} differ. Start from a run or model of the same networks."
        )
