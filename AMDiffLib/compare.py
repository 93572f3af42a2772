"""Train what AMDiff is compared with, and judge all of it on one cohort.

    python -m AMDiffLib.compare train --manifest data/train/manifest.json --output runs/all
    python -m AMDiffLib.compare evaluate --manifest data/test/manifest.json --runs runs/all --output report

`train` trains AMDiff, its parts alone, other networks and AMDiff without each part, with the same trainer,
data and number of patches, once for every seed. Start it again to go on after an interruption; what is
finished is left alone. `evaluate` judges what is finished and writes the report of `AMDiffLib.evaluate` with
all methods in its tables, seeds.csv (one row a method, seed and figure), and says which runs are missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # started by its file name, as Slicer does
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import command, options
from AMDiffLib.cancellation import stop_on_signals
from AMDiffLib.errors import BadInput
from AMDiffLib.evaluate import PACKAGES as EVALUATION_PACKAGES
from AMDiffLib.progress import Cancellation, ConsoleReporter, SilentReporter
from AMDiffLib.training.comparators import AMDIFF, BUDGETS, methods_of

if TYPE_CHECKING:
    from AMDiffLib.training.comparison import Run

PACKAGES = (*EVALUATION_PACKAGES, "einops")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = p.add_subparsers(dest="action", required=True)
    train = commands.add_parser("train", help="train the methods that are not finished yet")
    train.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="the cohort to train on")
    train.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the runs")
    train.add_argument(
        "--steps",
        type=options.positive,
        metavar="N",
        help="optimiser steps of each training (default: the budget's)",
    )
    evaluate = commands.add_parser("evaluate", help="judge the finished methods and write the report")
    evaluate.add_argument(
        "--manifest", type=Path, required=True, nargs="+", metavar="FILE", help="the cohort"
    )
    evaluate.add_argument("--runs", type=Path, required=True, metavar="DIR", help="what `train` wrote")
    evaluate.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the report")
    evaluate.add_argument(
        "--counts", type=float, metavar="PERCENT", help="count level to judge (default: all)"
    )
    evaluate.add_argument("--limit", type=options.positive, metavar="N", help="only the first N subjects")
    evaluate.add_argument(
        "--workers", type=options.positive, default=1, metavar="N", help="processes (default: %(default)s)"
    )
    evaluate.add_argument(
        "--images-only",
        action="store_true",
        help="judge no lesions and organs: for trainings too short to segment",
    )
    evaluate.add_argument("--tile", type=int, default=96, metavar="N", help="side of the tiles in voxels")
    for each in (train, evaluate):
        each.add_argument(
            "--methods",
            default="all",
            metavar="NAMES",
            help=f"by comma, or all (default) of {', '.join(methods_of(BUDGETS['small']))}",
        )
        each.add_argument("--seeds", default="0,1,2", help="by comma (default: %(default)s)")
        each.add_argument(
            "--budget",
            default="small",
            choices=tuple(BUDGETS),
            help="small (default): the compact model from nothing, hours on a CPU; continued: on from the "
            "shipped weights, for what a CPU cannot teach from nothing; images: the compact denoiser from "
            "nothing for as long as the shipped one, to judge with --images-only; paper: the published "
            "sizes, for GPUs",
        )
        each.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
        each.add_argument("--threads", type=options.positive, metavar="N", help="CPU threads")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    cancellation = Cancellation()
    stop_on_signals(cancellation)
    reporter = ConsoleReporter(cancellation=cancellation)
    work = _train if arguments.action == "train" else _evaluate
    return command.run(lambda: work(arguments, reporter, cancellation), reporter)


def _planned(arguments: argparse.Namespace) -> list[Run]:
    from AMDiffLib.training.comparison import planned_runs

    budget = BUDGETS[arguments.budget]
    names = list(methods_of(budget)) if arguments.methods == "all" else arguments.methods.split(",")
    try:
        seeds = [int(part) for part in arguments.seeds.split(",")]
    except ValueError as error:
        raise BadInput(
            f"--seeds is {arguments.seeds!r}; give whole numbers by comma, such as 0,1,2."
        ) from error
    return planned_runs(budget, [name.strip() for name in names], seeds)


def _train(arguments: argparse.Namespace, reporter: SilentReporter, cancellation: Cancellation) -> None:
    command.require_packages(*PACKAGES)
    from AMDiffLib.inference.device import choose_device
    from AMDiffLib.options import set_threads
    from AMDiffLib.training.comparison import model_of, train_run
    from AMDiffLib.training.dataset import load_cohort
    from AMDiffLib.training.manifest import read_manifest, refuse_unlabelled

    runs = _planned(arguments)
    budget = BUDGETS[arguments.budget]
    set_threads(arguments.threads)
    device = str(choose_device(arguments.device, reporter))
    cases = read_manifest(arguments.manifest)
    refuse_unlabelled(cases)
    subjects = load_cohort(cases, voxel_size_mm=budget.model.voxel_size_mm)
    for number, run in enumerate(runs, start=1):
        done = " is finished" if model_of(arguments.output, run) else ""
        print(f"{run.name} ({number} of {len(runs)}){done}", flush=True)
        train_run(
            arguments.output,
            run,
            budget,
            subjects,
            steps=arguments.steps or budget.steps,
            device=device,
            cancellation=cancellation,
        )


def _evaluate(arguments: argparse.Namespace, reporter: SilentReporter, cancellation: Cancellation) -> None:
    command.require_packages(*PACKAGES)
    from AMDiffLib.evaluation.cases import choose_cases
    from AMDiffLib.evaluation.compared_runs import judge_runs, write_comparison
    from AMDiffLib.training.comparison import model_of

    runs = _planned(arguments)
    if arguments.images_only:
        methods = methods_of(BUDGETS[arguments.budget])
        runs = [run for run in runs if methods[run.method].images]
    finished = [run for run in runs if model_of(arguments.runs, run) is not None]
    if not any(run.method == AMDIFF for run in finished):
        raise BadInput(
            f"{arguments.runs} holds no finished run of {AMDIFF}, which all others are held against."
        )
    missing = [run.name for run in runs if run not in finished]
    if missing:
        print(f"not trained, and left out: {', '.join(missing)}", flush=True)
    chosen = choose_cases(arguments.manifest, counts_percent=arguments.counts, limit=arguments.limit)
    scores = judge_runs(arguments, finished, chosen, reporter)
    print(write_comparison(arguments, finished, missing, scores))


if __name__ == "__main__":
    command.start(main)
