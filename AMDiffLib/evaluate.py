"""Judge a model on people it never saw, beside the low-count input and filters that need no training.

Reads the manifests of cohorts. Writes report.html (one file to read: the paper's tables and figures in ours),
the same as model_card.md, its pictures denoising.png, cases.png, organs.png (best, median and worst case) and
agreement.png (MTV, TLG, SUVmean), and what is behind them: evaluation.csv (every figure of every case),
summary.csv, comparison.csv, sensitivity.csv, agreement.csv and evaluation.json;
of a model with uncertainty head also observations.json, which `AMDiffLib.calibrate` makes or judges intervals
with. Finished cases stay in cases/: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import command, options
from AMDiffLib.errors import BadInput
from AMDiffLib.inference.weights import model_folder, read_config
from AMDiffLib.progress import ConsoleReporter, JsonLinesReporter, PartOfJob, SilentReporter

if TYPE_CHECKING:
    from AMDiffLib.evaluation.runner import CaseResult

REPORT_STARTS_AT = 0.97

PACKAGES = ("numpy", "SimpleITK", "scipy", "torch", "monai", "safetensors", "matplotlib", "tqdm", "skimage")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--manifest",
        type=Path,
        required=True,
        nargs="+",
        metavar="FILE",
        help="manifest.json of the cohort, or of several that are judged as one",
    )
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the results; created")
    p.add_argument(
        "--counts", type=float, metavar="PERCENT", help="count level to judge (default: all levels)"
    )
    p.add_argument(
        "--limit", type=options.positive, metavar="N", help="only the first N subjects (default: all)"
    )
    p.add_argument(
        "--observations-only",
        action="store_true",
        help="only write observations.json, which `calibrate` reads: no images compared, no report; a third "
        "of the time",
    )
    p.add_argument(
        "--workers",
        type=options.positive,
        default=1,
        metavar="N",
        help="processes that share the subjects, each with a model of its own; not inside Slicer "
        "(default: %(default)s)",
    )
    options.add_model_options(p)
    options.add_progress_option(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    if arguments.progress == "json":
        reporter: SilentReporter = JsonLinesReporter(command.take_stdout_for_json())
    else:
        reporter = ConsoleReporter()
    return command.run(lambda: _evaluate(arguments, reporter), reporter)


def _evaluate(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    command.require_packages(*PACKAGES)
    from AMDiffLib.evaluation.cases import choose_cases
    from AMDiffLib.evaluation.runner import RunOptions, check_settings, run_cases, write_all_observations
    from AMDiffLib.evaluation.scores import EVERYTHING, SEGMENTS

    judged = (SEGMENTS,) if arguments.observations_only else EVERYTHING
    chosen = choose_cases(arguments.manifest, counts_percent=arguments.counts, limit=arguments.limit)
    folder = model_folder(arguments.model)
    config = read_config(folder)
    output = arguments.output
    run_options = RunOptions(
        model=folder,
        model_sha256=config["sha256"],
        output=output,
        steps=arguments.steps,
        seed=arguments.seed,
        tile=arguments.tile,
        device=arguments.device,
        threads=_threads(arguments),
        judged=judged,
    )
    output.mkdir(parents=True, exist_ok=True)
    run = {
        "model": {"name": config.get("name"), "sha256": config["sha256"]},
        "steps": arguments.steps,
        "seed": arguments.seed,
        "tile": arguments.tile,
    }
    check_settings(output, run | {"judged": list(judged)})
    results = run_cases(
        chosen,
        run_options,
        workers=arguments.workers,
        reporter=PartOfJob(reporter, 0.0, REPORT_STARTS_AT),
    )
    manifests = [manifest.parent.name for manifest in arguments.manifest]
    of_model = {**run["model"], "manifest": ", ".join(manifests), "seed": arguments.seed}
    write_all_observations(output / "observations.json", chosen, run_options, run=of_model)
    if arguments.observations_only:
        reporter.done(output_dir=str(output), cases=len(results))
        return
    reporter.stage("report", "Writing tables and pictures")
    text = _report(arguments, results, run | {"manifests": manifests})
    reporter.done(output_dir=str(output), cases=len(results))
    if arguments.progress == "text":
        print(f"\n{text}")


def _threads(arguments: argparse.Namespace) -> int | None:
    if arguments.workers == 1:
        return arguments.threads
    if "slicer" in sys.modules:
        raise BadInput(
            f"{arguments.workers} workers were asked for, and Slicer's own process cannot start them. Leave "
            "--workers out, or run the command with a Python of its own."
        )
    return arguments.threads or max(1, (os.cpu_count() or 1) // arguments.workers)


def _report(arguments: argparse.Namespace, results: Sequence[CaseResult], run: dict[str, Any]) -> str:
    """Write all tables and pictures; returns the text for the terminal."""
    from AMDiffLib.evaluation.report_files import write_report
    from AMDiffLib.evaluation.runner import CASES_FOLDER
    from AMDiffLib.evaluation.scores import MODEL
    from AMDiffLib.evaluation.summary import evaluate_scores
    from AMDiffLib.evaluation.terminal import summary_text
    from AMDiffLib.inference.provenance import installed_versions

    scores = [score for result in results for score in result.scores]
    evaluation = evaluate_scores(scores)
    details = {"packages": installed_versions(), "cases": [result.facts for result in results]}
    write_report(
        arguments.output,
        scores,
        evaluation,
        title=f"{run['model']['name']} on {', '.join(run['manifests'])}",
        run=run | details,
        cases={MODEL: arguments.output / CASES_FOLDER},
        commands=[_command(arguments)],
    )
    return summary_text(evaluation)


def _command(arguments: argparse.Namespace) -> str:
    """The command line that repeats the evaluation, with the options that its figures rest on."""
    given: dict[str, Any] = {"manifest": " ".join(map(str, arguments.manifest)), "model": arguments.model}
    optional = {"counts": arguments.counts, "limit": arguments.limit, "steps": arguments.steps}
    given |= {name: value for name, value in optional.items() if value is not None}
    given |= {"seed": arguments.seed, "tile": arguments.tile, "output": arguments.output}
    return "python -m AMDiffLib.evaluate " + " ".join(f"--{name} {value}" for name, value in given.items())


if __name__ == "__main__":
    command.start(main)
