"""Train an AMDiff model on a cohort.

Runs as `python -m AMDiffLib.train`, as `torchrun ... -m AMDiffLib.train` on several GPUs or machines, and as
`Slicer --python-script AMDiffLib/train.py -- ...`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # started by its file name, as Slicer does
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import command
from AMDiffLib.cancellation import stop_on_signals
from AMDiffLib.errors import BadInput
from AMDiffLib.progress import Cancellation, ConsoleReporter
from AMDiffLib.training.options import parse_arguments

if TYPE_CHECKING:
    from AMDiffLib.training.dataset import ManifestCase, Subject
    from AMDiffLib.training.processes import Processes
    from AMDiffLib.training.validation import HeldOutScan


def train(settings: argparse.Namespace, cancellation: Cancellation) -> None:
    """Load the cohort, train, and export the weights; see `parse_arguments` for the settings."""
    import torch

    from AMDiffLib.inference.device import choose_device
    from AMDiffLib.training.export import export_run
    from AMDiffLib.training.processes import joined

    if settings.export is not None:
        print(f"wrote {export_run(settings.output, settings.export, manifest=settings.manifest)}")
        return
    if settings.threads:
        torch.set_num_threads(settings.threads)
    with joined(choose_device(settings.device, ConsoleReporter())) as processes:
        _train_with(processes, settings, cancellation)


def _train_with(processes: Processes, settings: argparse.Namespace, cancellation: Cancellation) -> None:
    from AMDiffLib.training.export import export_run
    from AMDiffLib.training.run_settings import RunSettings
    from AMDiffLib.training.trainer import Trainer

    def say(text: str) -> None:
        if processes.leads:
            print(text, flush=True)

    model_config, training = _configuration(settings)
    subjects, scans = _cohort(settings, model_config.voxel_size_mm)
    trainer = Trainer(
        model_config,
        training,
        RunSettings(
            output=settings.output,
            steps=settings.steps,
            hours=settings.hours,
            seed=settings.seed,
            device=str(processes.device),
            precision=settings.precision,
            log_every=settings.log_every,
            checkpoint_minutes=settings.checkpoint_minutes,
            validation_minutes=settings.validation_minutes,
            validation_steps=settings.validation_steps,
            tensorboard=settings.tensorboard,
            say=say,
        ),
        subjects,
        validation=scans,
        initial=_initial_weights(settings),
        processes=processes,
        cancellation=cancellation,
    )
    parameters = sum(p.numel() for p in trainer.model.parameters())
    together = f" on {processes.count} processes" if processes.count > 1 else ""
    say(
        f"{len(subjects)} subjects to train on, {len(scans)} scans to validate on, {parameters:,} "
        f"parameters, {training.batch_size} patches of {training.patch_size} voxels a step{together}"
    )
    trainer.run(resume=settings.resume)
    if processes.leads:
        folder = export_run(settings.output, settings.output / "model", manifest=settings.manifest)
        say(f"wrote {folder}")


def _cohort(
    settings: argparse.Namespace, voxel_size_mm: float
) -> tuple[Sequence[Subject], Sequence[HeldOutScan]]:
    """Return the subjects to train on and the scans to validate on."""
    from AMDiffLib.training.dataset import load_cohort
    from AMDiffLib.training.manifest import read_manifest, refuse_shared_people, refuse_unlabelled
    from AMDiffLib.training.validation import choose_scans

    names = {name.strip() for name in settings.validation_subjects.split(",") if name.strip()}
    cases = read_manifest(settings.manifest)
    unknown = sorted(names - {case.subject for case in cases})
    if unknown:
        raise BadInput(
            f"--validation-subjects names {', '.join(unknown)}, who are not in {settings.manifest}."
        )
    held_out = [case for case in cases if case.subject in names]
    if settings.validation_manifest is not None:
        held_out += read_manifest(settings.validation_manifest)
    trained_on = [case for case in cases if case.subject not in names]
    refuse_shared_people(trained_on, held_out)
    if settings.stage != "denoiser":
        refuse_unlabelled([*trained_on, *held_out])
    subjects = load_cohort(trained_on, voxel_size_mm=voxel_size_mm)
    scans = choose_scans(
        load_cohort(held_out, voxel_size_mm=voxel_size_mm),
        count=settings.validation_scans,
        levels=_levels(settings.validation_levels, held_out),
    )
    return subjects, scans


def _levels(text: str, held_out: Sequence[ManifestCase]) -> tuple[float, ...]:
    known = {case.counts_percent for case in held_out}
    try:
        levels = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise BadInput(
            f"--validation-levels is {text!r}; give percentages by comma, such as 5,10,20."
        ) from error
    if unknown := sorted(set(levels) - known):
        raise BadInput(
            f"--validation-levels asks for {', '.join(f'{level:g}' for level in unknown)} % counts; the "
            f"held-out cohort has {', '.join(f'{level:g}' for level in sorted(known)) or 'none'}."
        )
    return levels


def _initial_weights(settings: argparse.Namespace):
    from AMDiffLib.training.export import part_of, saved_weights

    weights = saved_weights(settings.initial)[0] if settings.initial else None
    if settings.initial_segmenter:
        if weights is None:
            raise BadInput("--initial-segmenter goes with --initial, which gives the other parts.")
        segmenting = saved_weights(settings.initial_segmenter)[0]
        weights = weights | part_of(segmenting, "segmenter") | part_of(segmenting, "uncertainty")
    return weights


def _configuration(settings: argparse.Namespace):
    from AMDiffLib.networks.config import PRESETS, AMDiffConfig
    from AMDiffLib.training.ablations import ABLATIONS
    from AMDiffLib.training.config import STAGES, TRAINING_PRESETS, TrainingConfig

    if settings.config in PRESETS:
        model, training = PRESETS[settings.config], TRAINING_PRESETS[settings.config]
    else:
        try:
            content = json.loads(Path(settings.config).read_text(encoding="utf-8"))
            model = AMDiffConfig.from_dict(content["model"])
            training = TrainingConfig.from_dict(content.get("training", {}))
        except (OSError, KeyError, ValueError) as error:
            raise BadInput(
                f"--config {settings.config} is neither one of {', '.join(PRESETS)} nor a usable JSON file: "
                f"{error}"
            ) from error
    training = STAGES.get(settings.stage, training)
    if settings.batch_size:
        training = replace(training, batch_size=settings.batch_size)
    if settings.patch:
        training = replace(training, patch_size=settings.patch)
    for name in settings.without:
        model, training = ABLATIONS[name](model, training)
    return model, training


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    settings = parse_arguments(arguments)
    cancellation = Cancellation()
    stop_on_signals(cancellation)
    return command.run(lambda: train(settings, cancellation), ConsoleReporter())


if __name__ == "__main__":
    command.start(main)
