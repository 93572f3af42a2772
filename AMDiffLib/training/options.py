"""The command line of a training."""

from __future__ import annotations

import argparse
from pathlib import Path

from AMDiffLib.training.ablations import ABLATIONS
from AMDiffLib.training.config import STAGES
from AMDiffLib.training.run_settings import PRECISIONS, TENSORBOARD


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(
        prog="python -m AMDiffLib.train",
        description="Train an AMDiff model on paired low- and high-count PET with lesion and organ labels.",
        epilog="The output folder receives config.json, losses.csv, validation.csv, losses.png, "
        "validation.png, tensorboard/, checkpoint.safetensors (for --resume), last.safetensors and "
        "best.safetensors (averaged weights), and at the end model/, the folder that `denoise_segment "
        "--model` takes. Several GPUs: torchrun --nproc-per-node 4 -m AMDiffLib.train --batch-size 8 ...; "
        "several machines: with --nnodes and --rdzv-endpoint of torchrun and a folder that all share. "
        "The result is that of one process with the same --batch-size, but for rounding. A run with the same "
        "options and --threads and without --hours gives the same weights, bit by bit, on the same kind of "
        "processor with the same torch; which of them are validated, and so the best, needs "
        "--validation-steps for that. On GPUs it is the same but for rounding.",
    )
    parser.add_argument("--manifest", type=Path, help="manifest.json of the cohort")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--config",
        default="compact",
        help="compact (default), base, paper, or a JSON file like a run's config.json",
    )
    parser.add_argument(
        "--stage",
        default="joint",
        choices=("joint", *STAGES),
        help="joint (default): the whole model; denoiser: denoiser and revision alone; segmentation: the "
        "segmenter alone on large patches, uncertainty: the uncertainty head alone, both on top of the "
        "denoiser of --initial",
    )
    parser.add_argument(
        "--initial", type=Path, metavar="FOLDER", help="start from the weights of this run or model"
    )
    parser.add_argument(
        "--initial-segmenter",
        type=Path,
        metavar="FOLDER",
        help="start from the segmenter and uncertainty head of this run or model, whatever --initial says "
        "of them",
    )
    parser.add_argument("--steps", type=int, default=6000, help="optimiser steps (default 6000)")
    parser.add_argument(
        "--hours",
        type=float,
        help="end after so many hours if the steps are not done before; the learning rate then follows the "
        "clock, and the run cannot be repeated exactly",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=tuple(ABLATIONS),
        help="leave a part out, as the paper's ablations do; may be given several times",
    )
    parser.add_argument("--batch-size", type=int, help="patches a step, of all processes together")
    parser.add_argument("--patch", type=int, help="patch size in voxels, a multiple of 16")
    parser.add_argument("--threads", type=int, help="processor threads (default: torch's choice)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: auto")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="of the networks in training; auto (default): bfloat16 where the hardware has it",
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--resume", action="store_true", help="continue the run in --output, if there is one")
    parser.add_argument(
        "--validation-subjects", default="", help="names of the manifest's held-out subjects, by comma"
    )
    parser.add_argument("--validation-manifest", type=Path, help="manifest.json of a held-out cohort")
    parser.add_argument(
        "--validation-scans",
        type=int,
        metavar="N",
        help="whole scans to validate on, of the held-out subjects in turn (default: one a subject); each "
        "takes as long as denoising a patient",
    )
    parser.add_argument(
        "--validation-levels",
        default="",
        metavar="PERCENT,...",
        help="count levels to validate on, taken in turn (default: all of the held-out cohort)",
    )
    parser.add_argument(
        "--validation-minutes", type=float, default=15.0, help="time between validations (default 15)"
    )
    parser.add_argument(
        "--validation-steps", type=int, metavar="N", help="validate every N steps instead, whatever the clock"
    )
    parser.add_argument(
        "--checkpoint-minutes", type=float, default=5.0, help="time between checkpoints (default 5)"
    )
    parser.add_argument(
        "--log-every", type=int, default=20, help="steps between lines of the log (default 20)"
    )
    parser.add_argument(
        "--tensorboard",
        default="auto",
        choices=TENSORBOARD,
        help="logs for TensorBoard; auto (default): where its package is installed",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FOLDER",
        help="only write the run's best weights so far as a model folder",
    )
    settings = parser.parse_args(arguments)
    if settings.manifest is None and settings.export is None:
        parser.error("--manifest is needed")
    if settings.stage in ("segmentation", "uncertainty") and settings.initial is None:
        parser.error(f"--stage {settings.stage} needs --initial, a run whose denoiser is trained")
    for name in ("steps", "batch_size", "threads", "log_every", "validation_scans", "validation_steps"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} is {value}; at least 1 is needed")
    return settings
