"""Hand the results of denoise_segment to other systems.

Writes into one folder, all of it or nothing: a DICOM Segmentation of lesions and organs, a DICOM structured
report (TID 1500) of the measurements, the denoised PET as a derived DICOM PET series, the measurements as a
CSV table, and a one-page PDF report. The DICOM objects go into the patient's study; the table and the page do
not identify the patient. Research use only - not for diagnosis.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import cancellation, command, options
from AMDiffLib.errors import BadInput, Cancelled
from AMDiffLib.inference.output_folder import OutputFolder
from AMDiffLib.progress import Cancellation, ConsoleReporter, JsonLinesReporter, SilentReporter

PACKAGES = ("numpy", "SimpleITK", "pydicom", "slicerio")

EXIT_CODES = """
exit codes:
  0  everything is written
  1  internal          an error that nobody foresaw; the log on stderr says more
  2  bad_input         results and source do not belong together, or wrong arguments
  3  out_of_memory     not enough memory
  5  missing_package   a Python package is not installed
  7  cancelled         stopped by a signal, or by stdin closing
  9  cannot_write      the disk is full or write-protected, or other results may not be replaced
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.export_results",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--results", required=True, metavar="DIR", help="folder written by denoise_segment")
    p.add_argument(
        "--source",
        required=True,
        metavar="INPUT",
        help="the scan that the results were computed from; for DICOM objects a DICOM folder or file",
    )
    p.add_argument("--output", required=True, metavar="DIR", help="folder to write; created")
    p.add_argument("--overwrite", action="store_true", help="replace an older export in DIR")
    options.add_dicom_option(p)
    p.add_argument("--csv", action="store_true", help="the measurements as a table")
    p.add_argument("--pdf", action="store_true", help="a one-page report")
    p.add_argument(
        "--identity",
        action="store_true",
        help="put the patient's name, ID and study date on the page; without it nothing identifies them",
    )
    p.add_argument(
        "--segmentation",
        metavar="FILE",
        help="an edited segmentation (.seg.nrrd) in place of that of the results",
    )
    p.add_argument(
        "--measurements", metavar="FILE", help="the measurements (.json) of the edited segmentation"
    )
    options.add_scan_options(p)
    options.add_progress_option(p)
    options.add_stop_option(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    stop = Cancellation()
    if arguments.progress == "json":
        reporter: SilentReporter = JsonLinesReporter(command.take_stdout_for_json(), cancellation=stop)
    else:
        reporter = ConsoleReporter(cancellation=stop)
    job = Job(arguments, reporter)
    cancellation.stop_on_signals(stop)

    def run() -> None:
        if arguments.stop_when_stdin_closes:
            cancellation.stop_when_stdin_closes(stop)
        cancellation.end_process_if_not_stopped(stop, job.last_words, Cancelled.exit_code)
        job()

    return command.run(run, reporter)


class Job:
    """One run of the command: calling it does the work."""

    def __init__(self, arguments: argparse.Namespace, reporter: SilentReporter) -> None:
        self._arguments = arguments
        self._reporter = reporter
        self._output: OutputFolder | None = None

    def __call__(self) -> None:
        """Read, write, publish; raises the named errors, and leaves nothing behind when it does."""
        arguments, reporter = self._arguments, self._reporter
        needed = [
            *PACKAGES,
            *(["highdicom"] if arguments.dicom else []),
            *(["matplotlib"] if arguments.pdf else []),
        ]
        command.require_packages(*needed)
        from AMDiffLib.export.bundle import ExportRequest, write_export

        request = ExportRequest(
            dicom=arguments.dicom, table=arguments.csv, page=arguments.pdf, identity=arguments.identity
        )
        output = OutputFolder(arguments.output, overwrite=arguments.overwrite)
        self._output = output
        try:
            write_export(
                output.prepare(),
                request,
                results=_existing_folder(arguments.results),
                source=Path(arguments.source),
                reporter=reporter,
                units=arguments.units,
                series_uid=arguments.series_uid,
                segmentation=None if arguments.segmentation is None else Path(arguments.segmentation),
                measurements=None if arguments.measurements is None else Path(arguments.measurements),
            )
            names = output.publish()
        finally:
            output.discard()
        reporter.progress(1.0)
        reporter.done(output_dir=str(output.folder), files=names)

    def last_words(self) -> None:
        """What is left to do when the process must end in the middle of the work."""
        if self._output is not None:
            self._output.discard()
        self._reporter.error(Cancelled.kind, "The job was stopped. Nothing was written.")


def _existing_folder(text: str) -> Path:
    folder = Path(text)
    if not folder.is_dir():
        raise BadInput("The folder of results does not exist. Give the folder that denoise_segment wrote.")
    return folder


if __name__ == "__main__":
    command.start(main)
