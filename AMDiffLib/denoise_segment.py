"""Denoise and segment low-count PET: one scan, or all the studies under a folder.

Reads DICOM series, NRRD, NIfTI or MetaImage; writes denoised.nrrd, segmentation.seg.nrrd, measurements.csv,
measurements.json, overview.png and report.json into one folder a scan, all of them or none. With --dicom and
--pdf also segmentation.dcm, measurements_sr.dcm, the series denoised_pet and report.pdf, as export_results.

With --studies, every attenuation-corrected PET series and every image file under TREE is processed, each
into a folder of its own in --output-dir; a study that fails does not stop the rest. Start the same command
again to go on after an interruption: finished studies whose input, model and options are the same are left
alone. summary.csv says what became of each study.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import cancellation, command, options
from AMDiffLib.batch.config import BatchOptions, Part
from AMDiffLib.errors import Cancelled
from AMDiffLib.inference.config import InferenceConfig
from AMDiffLib.inference.output_folder import OutputFolder
from AMDiffLib.inference.study import (
    READING_SHARE,
    ExportOptions,
    LoadedModel,
    Source,
    StudyOptions,
    process_study,
)
from AMDiffLib.progress import Cancellation, ConsoleReporter, JsonLinesReporter, SilentReporter

if TYPE_CHECKING:
    from AMDiffLib.batch.run import Batch

PACKAGES = (
    "numpy",
    "SimpleITK",
    "scipy",
    "pydicom",
    "torch",
    "monai",
    "safetensors",
    "slicerio",
    "matplotlib",
)

EXIT_CODES = """
exit codes:
  0  the results are written
  1  internal          an error that nobody foresaw; the log on stderr says more
  2  bad_input         not a PET volume this software can read and quantify, or wrong arguments
  3  out_of_memory     not enough memory, also with smaller tiles
  4  no_kernel_image   the GPU cannot be used by the installed torch
  5  missing_package   a Python package is not installed
  6  bad_checkpoint    the model's weights are missing or damaged
  7  cancelled         stopped by a signal, or by stdin closing
  8  some_failed       with --studies: all were tried, and some failed; the summary says which and why
  9  cannot_write      the disk is full or write-protected, or other results may not be replaced
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.denoise_segment",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("input", metavar="INPUT", nargs="?", help="DICOM folder or file, NRRD, NIfTI or MetaImage")
    p.add_argument("--output-dir", required=True, metavar="DIR", help="folder for the results; created")
    p.add_argument(
        "--overwrite", action="store_true", help="replace older results in DIR; its other files are kept"
    )
    options.add_scan_options(p)
    options.add_model_options(p)
    p.add_argument(
        "--conserve-counts",
        action=argparse.BooleanOptionalAction,
        default=InferenceConfig().conserve_counts,
        help="bring the regional means of the denoised volume to those of the input",
    )
    handed_over = p.add_argument_group("for other systems (research use only, not for diagnosis)")
    options.add_dicom_option(handed_over, "; of DICOM input only")
    handed_over.add_argument("--pdf", action="store_true", help="a one-page report, without identity")
    many = p.add_argument_group("many studies")
    many.add_argument(
        "--studies", metavar="TREE", help="instead of INPUT: process every PET series and file under TREE"
    )
    many.add_argument(
        "--files",
        metavar="PATTERN",
        default="*",
        help="which image files under TREE are PET, such as '*PET*.nii.gz' (default: all but segmentations)",
    )
    many.add_argument(
        "--part",
        type=_part,
        default=Part(),
        metavar="K/N",
        help="only the Kth of N equal shares of the studies, for N machines or array tasks; K from 1",
    )
    options.add_progress_option(p)
    options.add_stop_option(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    p = parser()
    arguments = p.parse_args(argv)
    if (arguments.input is None) == (arguments.studies is None):
        p.error("give either an INPUT or --studies TREE")
    if arguments.studies is not None and (arguments.series_uid or arguments.overwrite):
        p.error("--series-uid and --overwrite are for a single INPUT")
    stop = Cancellation()
    if arguments.progress == "json":
        reporter: SilentReporter = JsonLinesReporter(command.take_stdout_for_json(), cancellation=stop)
    else:
        reporter = ConsoleReporter(cancellation=stop)
    work: Work = (ManyStudies if arguments.studies else SingleStudy)(arguments, reporter)

    def last_words() -> None:
        work.discard()
        reporter.error(Cancelled.kind, "The job was stopped. Nothing unfinished was left behind.")

    def run() -> None:
        if arguments.stop_when_stdin_closes:
            cancellation.stop_when_stdin_closes(stop)
        cancellation.end_process_if_not_stopped(stop, last_words, Cancelled.exit_code)
        command.require_packages(*PACKAGES, *(["highdicom"] if arguments.dicom else []))
        options.set_threads(arguments.threads)
        work()

    cancellation.stop_on_signals(stop)
    return command.run(run, reporter)


class Work(Protocol):
    """What the command does: called once; `discard` removes what is unfinished, from any thread."""

    def __call__(self) -> None: ...

    def discard(self) -> None: ...


class SingleStudy:
    """One scan into one folder."""

    def __init__(self, arguments: argparse.Namespace, reporter: SilentReporter) -> None:
        self._arguments = arguments
        self._reporter = reporter
        self._output: OutputFolder | None = None

    def __call__(self) -> None:
        """Read, compute, write; raises the named errors, and leaves nothing behind when it does."""
        output = OutputFolder(self._arguments.output_dir, overwrite=self._arguments.overwrite)
        self._output = output
        try:
            self._work(output)
        finally:
            output.discard()

    def discard(self) -> None:
        """Remove the unfinished results."""
        if self._output is not None:
            self._output.discard()

    def _work(self, output: OutputFolder) -> None:
        arguments, reporter = self._arguments, self._reporter
        reporter.stage("read")
        began = time.monotonic()
        from AMDiffLib.image.reading import read_pet

        volume = read_pet(arguments.input, units=arguments.units, series_uid=arguments.series_uid)
        for text in volume.warnings:
            reporter.warning(text)
        seconds = {"read": round(time.monotonic() - began, 3)}
        reporter.progress(READING_SHARE / 2)
        reporter.check_cancelled()

        reporter.stage("load")
        began = time.monotonic()
        model = LoadedModel.load(arguments.model, arguments.device, reporter)
        temporary = output.prepare()
        seconds["load"] = round(time.monotonic() - began, 3)
        reporter.progress(READING_SHARE)
        reporter.check_cancelled()

        process_study(
            volume,
            model,
            _study_options(arguments),
            source=Source(path=Path(arguments.input), units=arguments.units, series_uid=arguments.series_uid),
            folder=temporary,
            reporter=reporter,
            seconds=seconds,
        )
        names = output.publish()
        reporter.progress(1.0)
        reporter.done(output_dir=str(output.folder), files=names)


class ManyStudies:
    """All studies under a folder."""

    def __init__(self, arguments: argparse.Namespace, reporter: SilentReporter) -> None:
        self._options = BatchOptions(
            studies=Path(arguments.studies),
            output=Path(arguments.output_dir),
            model=arguments.model,
            device=arguments.device,
            units=arguments.units,
            pattern=arguments.files,
            part=arguments.part,
            study=_study_options(arguments),
        )
        self._reporter = reporter
        self._batch: Batch | None = None

    def __call__(self) -> None:
        """Process them; raises as `Batch` does."""
        from AMDiffLib.batch.run import Batch

        self._batch = Batch(self._options, self._reporter)
        self._batch()

    def discard(self) -> None:
        """Remove the unfinished results of the study at hand; those that are finished stay."""
        if self._batch is not None:
            self._batch.discard()


def _study_options(arguments: argparse.Namespace) -> StudyOptions:
    return StudyOptions(
        steps=arguments.steps,
        seed=arguments.seed,
        tile=arguments.tile,
        conserve_counts=arguments.conserve_counts,
        export=ExportOptions(dicom=tuple(sorted(arguments.dicom)), pdf=arguments.pdf),
    )


def _part(text: str) -> Part:
    number, separator, count = text.partition("/")
    if not (separator and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"'{text}' is not K/N with K from 1 to N, such as 2/8")
    return Part(number=int(number), count=int(count))


if __name__ == "__main__":
    command.start(main)
