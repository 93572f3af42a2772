"""Give a model's measurements their 90 % intervals, and judge these on other people.

fit: from observations.json of people whom the model has not learnt from (`AMDiffLib.evaluate` writes that
file) to calibration.json in the model's folder. check: from observations.json of still other people to
coverage.csv, coverage.md and calibration.png. Neither runs the model: both take seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import command
from AMDiffLib.errors import BadInput
from AMDiffLib.inference.weights import (
    CALIBRATION,
    DEFAULT_MODEL,
    model_folder,
    read_calibration,
    read_config,
    save_calibration,
)
from AMDiffLib.progress import ConsoleReporter, SilentReporter
from AMDiffLib.quantification.calibration import Calibration

REFERENCES = {
    "high_count": "against the high-count image, that of the whole scan time",
    "truth": "against the noise-free activity, before the scanner blurs it",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = p.add_subparsers(dest="action", required=True)
    fit = actions.add_parser("fit", help="make calibration.json")
    fit.add_argument(
        "--reference",
        choices=tuple(REFERENCES),
        default="high_count",
        help="which truth the intervals shown with results are of (default: %(default)s); both are kept",
    )
    check = actions.add_parser("check", help="measure how often the intervals hold the truth")
    check.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the tables")
    for each in (fit, check):
        each.add_argument(
            "--observations",
            type=Path,
            nargs="+",
            required=True,
            metavar="FILE",
            help="observations.json of one or more cohorts, of this model",
        )
        each.add_argument(
            "--model",
            default=DEFAULT_MODEL,
            metavar="NAME|FOLDER",
            help="an installed model, or a model's folder (default: %(default)s)",
        )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    reporter = ConsoleReporter()
    work = _fit if arguments.action == "fit" else _check
    return command.run(lambda: work(arguments, reporter), reporter)


def _fit(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    command.require_packages("numpy", "scipy", "SimpleITK")
    from AMDiffLib.calibration.fit import counts_of, fit_error_models

    observations, runs = _read(arguments)
    models = fit_error_models(observations)
    if not models.get(arguments.reference):
        raise BadInput(
            f"The observations hold no reference '{arguments.reference}', only {', '.join(models)}. Choose "
            "another --reference."
        )
    calibration = Calibration(
        model_sha256=runs[0]["sha256"],
        reference=arguments.reference,
        references=models,
        cohort={
            "subjects": sorted({o.subject for o in observations}),
            "counts_percent": sorted({o.counts_percent for o in observations}),
            "groups": counts_of(observations),
            "runs": runs,
        },
    )
    path = save_calibration(calibration, arguments.model)
    reporter.done(output_dir=str(path.parent), files=[path.name])


def _check(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    command.require_packages("numpy", "scipy", "SimpleITK", "matplotlib")
    from AMDiffLib.calibration.coverage import as_markdown, measure_coverage, write_coverage
    from AMDiffLib.calibration.fit import CONFIDENCES
    from AMDiffLib.calibration.plot import write_plot

    calibration = read_calibration(arguments.model)
    if calibration is None:
        raise BadInput(
            f"The model {arguments.model} has no {CALIBRATION}. Make it first: calibrate fit, with the "
            "observations of other people than these."
        )
    observations, _ = _read(arguments)
    if known := sorted({o.subject for o in observations} & set(calibration.cohort["subjects"])):
        raise BadInput(
            f"The calibration was made with people who are to judge it: {', '.join(known)}. Give others."
        )
    coverages = measure_coverage(observations, calibration, confidences=CONFIDENCES)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_coverage(arguments.output / "coverage.csv", coverages)
    text = "\n\n".join(
        f"90 % intervals {REFERENCES[name]}\n\n{as_markdown(coverages, name)}"
        for name in calibration.references
    )
    (arguments.output / "coverage.md").write_text(text + "\n", encoding="utf-8")
    write_plot(arguments.output / "calibration.png", coverages)
    print(text)
    reporter.done(output_dir=str(arguments.output), files=["coverage.csv", "coverage.md", "calibration.png"])


def _read(arguments: argparse.Namespace) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return observations and runs, which must be of the model's own weights."""
    from AMDiffLib.calibration.observations import read_observations

    observations, runs = read_observations(arguments.observations)
    stated = read_config(model_folder(arguments.model))["sha256"]
    if runs[0]["sha256"] != stated:
        raise BadInput(
            f"The observations are of weights with the sha256 {runs[0]['sha256'][:12]}..., the model in "
            f"{arguments.model} has {stated[:12]}.... Evaluate this model, and give what that writes."
        )
    return observations, runs


if __name__ == "__main__":
    command.end(main())
