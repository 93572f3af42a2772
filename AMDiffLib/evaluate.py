"""Judge a model on cases it never saw, beside the low-count input and the best Gaussian filter.

Reads the manifest of a cohort; writes evaluation.csv (every figure of every case), evaluation.json (summary,
definitions, provenance) and one overview picture per case, and prints the tables. Of a model with uncertainty
head also observations.json, which `AMDiffLib.calibrate` makes or judges intervals with.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import command, options
from AMDiffLib.inference.weights import load_model, model_folder, read_config
from AMDiffLib.progress import ConsoleReporter, JsonLinesReporter, OneOfMany, SilentReporter

if TYPE_CHECKING:
    from AMDiffLib.calibration.observations import Observation
    from AMDiffLib.evaluation.scores import Score

PACKAGES = ("numpy", "SimpleITK", "scipy", "torch", "monai", "safetensors", "matplotlib", "tqdm")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="manifest.json of the cohort")
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the results; created")
    p.add_argument(
        "--counts", type=float, metavar="PERCENT", help="count level to judge (default: all levels)"
    )
    p.add_argument(
        "--limit", type=options.positive, metavar="N", help="only the first N subjects (default: all)"
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
    from AMDiffLib.calibration.observations import write_observations
    from AMDiffLib.evaluation.cases import choose_cases
    from AMDiffLib.evaluation.report import as_text, write_csv, write_json
    from AMDiffLib.evaluation.summary import summarise

    chosen = choose_cases(arguments.manifest, counts_percent=arguments.counts, limit=arguments.limit)
    folder = model_folder(arguments.model)
    config = read_config(folder)
    options.set_threads(arguments.threads)
    from AMDiffLib.inference.device import choose_device

    device = choose_device(arguments.device, reporter)
    model = load_model(folder, device)
    arguments.output.mkdir(parents=True, exist_ok=True)

    scores: list[Score] = []
    details: list[dict[str, Any]] = []
    observations: list[Observation] = []
    for number, (case, truth) in enumerate(chosen):
        part = OneOfMany(reporter, str(case), number=number, count=len(chosen))
        case_scores, facts, observed = _evaluate_case(case, truth, model, device, arguments, part)
        scores += case_scores
        details.append(facts)
        observations += observed
        # Written after every case, so that hours of work survive an interruption.
        write_csv(arguments.output / "evaluation.csv", scores)
        if model.uncertainty is not None:
            run = {**_model_facts(config), "manifest": arguments.manifest.name, "seed": arguments.seed}
            write_observations(arguments.output / "observations.json", observations, run=run)
    summaries = summarise(scores)
    run = _provenance(config, details, arguments)
    write_json(arguments.output / "evaluation.json", summaries, run=run)
    reporter.done(output_dir=str(arguments.output), cases=len(chosen))
    if arguments.progress == "text":
        print(f"\n{as_text(summaries)}")


def _evaluate_case(
    entry: Any,
    truth: Path | None,
    model: Any,
    device: Any,
    arguments: argparse.Namespace,
    reporter: OneOfMany,
) -> tuple[list[Score], dict[str, Any], list[Observation]]:
    from AMDiffLib.calibration.observations import observe_case
    from AMDiffLib.evaluation.cases import load_case
    from AMDiffLib.evaluation.scores import score_case
    from AMDiffLib.image.overview import write_overview
    from AMDiffLib.inference.lesions import label_lesions
    from AMDiffLib.inference.pipeline import denoise_and_segment

    began = time.monotonic()
    case = load_case(entry, truth)
    volume = case.low_count
    result = denoise_and_segment(
        volume,
        model,
        steps=arguments.steps,
        seed=arguments.seed,
        device=device,
        tile=arguments.tile,
        reporter=reporter,
    )
    reporter.stage("score", "Comparing")
    lesions = label_lesions(result.lesions, spacing=volume.spacing, suv=result.denoised)
    scores = score_case(case, result.denoised, lesions, result.organs)
    observed = []
    if result.sd is not None:
        observed = observe_case(case, result.denoised, result.sd, lesions, result.organs)
    name = f"{case.subject}-{case.counts_percent:g}"
    write_overview(
        arguments.output / f"{name}.png",
        volume.suv,
        result.denoised,
        lesions,
        result.organs,
        volume.spacing,
        truth_suv=case.references.get("truth", case.references["high_count"]),
        title=f"{case.subject}, {case.counts_percent:g} % counts",
        direction=volume.direction,
        truth_lesions=case.lesions,
    )
    reporter.progress(1.0)
    facts = {"case": name, "seconds": round(time.monotonic() - began, 1), **result.details}
    return scores, facts, observed


def _provenance(
    config: dict[str, Any], details: list[dict[str, Any]], arguments: argparse.Namespace
) -> dict[str, Any]:
    from AMDiffLib.inference.provenance import installed_versions

    return {
        "model": _model_facts(config),
        "manifest": arguments.manifest.name,
        "packages": installed_versions(),
        "cases": details,
    }


def _model_facts(config: dict[str, Any]) -> dict[str, Any]:
    return {"name": config.get("name"), "sha256": config["sha256"]}


if __name__ == "__main__":
    command.start(main)
