"""Make the manifest of a cohort that `AMDiffLib.train` and `AMDiffLib.evaluate` take, and check it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import cancellation, command
from AMDiffLib.cohorts.command_line import parser
from AMDiffLib.errors import BadInput
from AMDiffLib.progress import Cancellation, ConsoleReporter, JsonLinesReporter, SilentReporter

if TYPE_CHECKING:
    from AMDiffLib.cohorts.examination import Companions, Examination

PACKAGES = ("numpy", "SimpleITK", "scipy", "pydicom", "tqdm")


def main(argv: Sequence[str] | None = None, *, stop: Cancellation | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    if arguments.progress == "json":
        reporter: SilentReporter = JsonLinesReporter(command.take_stdout_for_json(), cancellation=stop)
    else:
        reporter = ConsoleReporter(cancellation=stop)
    work = {
        "autopet": _convert,
        "udpet": _convert,
        "nnunet": _convert,
        "merge": _merge,
        "split": _split,
        "check": _check,
    }[arguments.part]

    def run() -> None:
        command.require_packages(*PACKAGES)
        work(arguments, reporter)

    return command.run(run, reporter)


def _convert(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    from AMDiffLib.cohorts.conversion import ConversionSettings
    from AMDiffLib.cohorts.folder import convert_cohort

    if not arguments.folder.is_dir():
        raise BadInput(f"The folder {arguments.folder} does not exist. Give the folder of the cohort.")
    reporter.stage("find", "Looking for examinations")
    examinations = _FINDERS[arguments.part](arguments)
    if arguments.part != "udpet" and not any(examination.low_count for examination in examinations):
        raise BadInput(
            f"Found {len(examinations)} examinations of one count level, and no low-count image of any. "
            "Fewer counts cannot be added to a finished image; give images of the same acquisitions with "
            "fewer counts (--low-count PERCENT=FOLDER), or simulate scans of their anatomy (python -m "
            "AMDiffLib.simulate --label-map)."
        )
    settings = ConversionSettings(
        voxel_size_mm=arguments.voxel_mm,
        scanner=arguments.scanner,
        levels=arguments.levels,
        unlabelled=arguments.unlabelled,
        limits=_limits(arguments),
    )
    finding = {"label_names": arguments.label_names, "units": arguments.units}
    if arguments.part == "nnunet":
        finding |= {"pet_channel": arguments.pet_channel, "lesion_label": arguments.lesion_label}
    outcomes = convert_cohort(
        examinations,
        settings,
        arguments.output,
        layout=arguments.part,
        finding=finding,
        reporter=reporter,
    )
    reporter.done(manifest=str(arguments.output / "manifest.json"), subjects=len(outcomes))


def _autopet(arguments: argparse.Namespace) -> list[Examination]:
    from AMDiffLib.cohorts.autopet import find_examinations

    return find_examinations(arguments.folder, _companions(arguments, _folders(arguments.low_count)))


def _udpet(arguments: argparse.Namespace) -> list[Examination]:
    from AMDiffLib.cohorts.udpet import find_examinations

    return find_examinations(arguments.folder, _companions(arguments, {}))


def _nnunet(arguments: argparse.Namespace) -> list[Examination]:
    from AMDiffLib.cohorts.nnunet import Channels, find_examinations

    numbers = {percent: int(text) for percent, text in arguments.low_count if text.isdigit()}
    folders = _folders([pair for pair in arguments.low_count if not pair[1].isdigit()])
    channels = Channels(pet=arguments.pet_channel, low_count=numbers, lesion_label=arguments.lesion_label)
    return find_examinations(arguments.folder, _companions(arguments, folders), channels)


_FINDERS: dict[str, Callable[[argparse.Namespace], list]] = {
    "autopet": _autopet,
    "udpet": _udpet,
    "nnunet": _nnunet,
}


def _folders(pairs: Sequence[tuple[float, str]]) -> dict[float, Path]:
    return {percent: Path(text) for percent, text in pairs}


def _companions(arguments: argparse.Namespace, low_count: dict[float, Path]) -> Companions:
    from AMDiffLib.cohorts.examination import Companions

    return Companions(
        low_count=low_count,
        organs=arguments.organs,
        label_names=arguments.label_names,
        lesions=arguments.lesions,
        units=arguments.units,
    )


def _merge(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    from AMDiffLib.cohorts.manifests import chosen_entries, merged_entries, write_entries
    from AMDiffLib.training.manifest import read_manifest

    entries = chosen_entries(
        merged_entries(arguments.manifests),
        subjects=arguments.subjects,
        scanners=arguments.scanners,
        levels=arguments.levels,
    )
    write_entries(arguments.output, entries, source="AMDiffLib.prepare_cohort merge")
    cases = read_manifest(arguments.output)
    reporter.done(manifest=str(arguments.output), subjects=len({case.subject for case in cases}))


def _split(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    from AMDiffLib.cohorts.manifests import divided, merged_entries, write_entries

    parts = divided(merged_entries([arguments.manifest]), arguments.parts, seed=arguments.seed)
    for name, entries in parts.items():
        source = f"AMDiffLib.prepare_cohort split, seed {arguments.seed}, part {name}"
        write_entries(arguments.output / f"{name}.json", entries, source=source)
    reporter.done(
        manifests=[str(arguments.output / f"{name}.json") for name in parts],
        subjects=[f"{name} {len({e['subject'] for e in entries})}" for name, entries in parts.items()],
    )


def _check(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    from AMDiffLib.cohorts.table import as_text, check_manifest, shared_images, write_table
    from AMDiffLib.training.manifest import read_cases, refuse_shared_people

    manifests = [arguments.manifest, *arguments.against]
    checked = [
        check_manifest(
            manifest,
            limits=_limits(arguments),
            voxel_size_mm=arguments.voxel_mm,
            reporter=reporter,
            before=number / len(manifests),
            after=(number + 1) / len(manifests),
        )
        for number, manifest in enumerate(manifests)
    ]
    problems = list(checked[0].problems)
    own_cases, _ = read_cases(arguments.manifest)
    for manifest, other in zip(arguments.against, checked[1:], strict=True):
        try:
            refuse_shared_people(read_cases(manifest)[0], own_cases)
        except BadInput as error:
            problems.append(f"{manifest}: {error}")
        problems += [f"{manifest}: {text}" for text in shared_images(checked[0], other)]
    if arguments.table:
        write_table(arguments.table, checked[0].rows)
    for text in problems:
        reporter.warning(text)
    reporter.done(subjects=len(checked[0].rows), cases=len(own_cases), problems=len(problems))
    if arguments.progress == "text":
        print(as_text(checked[0].rows))
    if problems:
        raise BadInput(
            f"Wrong with {arguments.manifest}, as said above: {len(problems)} of its cases or images."
        )


def _limits(arguments: argparse.Namespace):
    from AMDiffLib.cohorts.checks import CheckLimits

    return CheckLimits(mean_difference_percent=arguments.mean_limit)


if __name__ == "__main__":
    request = Cancellation()
    cancellation.stop_on_signals(request)
    command.start(lambda: main(stop=request))
