"""Denoise and segment one low-count PET scan.

Reads a DICOM series, NRRD, NIfTI or MetaImage; writes denoised.nrrd, segmentation.seg.nrrd, measurements.csv,
measurements.json, overview.png and report.json into one folder, all of them or none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import cancellation, command
from AMDiffLib.errors import Cancelled
from AMDiffLib.inference.config import DEFAULT_TILE, InferenceConfig
from AMDiffLib.inference.output_folder import OutputFolder
from AMDiffLib.inference.weights import DEFAULT_MODEL, check_model, load_model, model_folder
from AMDiffLib.progress import Cancellation, ConsoleReporter, JsonLinesReporter, PartOfJob, SilentReporter

PACKAGES = ("numpy", "SimpleITK", "scipy", "torch", "monai", "safetensors", "slicerio", "matplotlib")

# Shares of the job's time; between them the networks run.
READING_SHARE = 0.05
WRITING_SHARE = 0.05

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
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.denoise_segment",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("input", metavar="INPUT", help="DICOM folder or file, NRRD, NIfTI or MetaImage")
    p.add_argument("--output-dir", required=True, metavar="DIR", help="folder for the results; created")
    p.add_argument(
        "--overwrite", action="store_true", help="replace older results in DIR; its other files are kept"
    )
    p.add_argument(
        "--units", metavar="UNITS", help="units of an NRRD, NIfTI or MetaImage: SUVbw; DICOM says its own"
    )
    p.add_argument(
        "--series-uid", metavar="UID", help="which series, where the folder holds several PET series"
    )
    p.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|FOLDER",
        help="an installed model, or a folder with model.safetensors and config.json (default: %(default)s)",
    )
    p.add_argument(
        "--steps", type=_positive, metavar="N", help="network evaluations a voxel (default: the model's)"
    )
    p.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto: the NVIDIA GPU if it can be used, else the CPU (default: %(default)s)",
    )
    p.add_argument("--threads", type=_positive, metavar="N", help="CPU threads (default: one for each core)")
    p.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="seed of the noise (default: %(default)s)"
    )
    p.add_argument(
        "--tile",
        type=_tile,
        default=DEFAULT_TILE,
        metavar="N",
        help="side of the tiles in voxels, a multiple of 16, at least 32; smaller needs less memory "
        "(default: %(default)s)",
    )
    p.add_argument(
        "--conserve-counts",
        action=argparse.BooleanOptionalAction,
        default=InferenceConfig().conserve_counts,
        help="bring the regional means of the denoised volume to those of the input",
    )
    p.add_argument(
        "--progress",
        choices=("text", "json"),
        default="text",
        help="text: a progress bar; json: one JSON object a line on stdout (default: %(default)s)",
    )
    p.add_argument(
        "--stop-when-stdin-closes",
        action="store_true",
        help="stop when the program at the other end of stdin closes it or ends",
    )
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
    if arguments.stop_when_stdin_closes:
        cancellation.stop_when_stdin_closes(stop)
    cancellation.end_process_if_not_stopped(stop, job.last_words, Cancelled.exit_code)
    return command.run(job, reporter)


class Job:
    """One run of the command: calling it does the work."""

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

    def last_words(self) -> None:
        """What is left to do when the process must end in the middle of the work."""
        if self._output is not None:
            self._output.discard()
        self._reporter.error(Cancelled.kind, "The job was stopped. Nothing was written.")

    def _work(self, output: OutputFolder) -> None:
        arguments, reporter = self._arguments, self._reporter
        command.require_packages(*PACKAGES)
        reporter.stage("read")
        began = time.monotonic()
        if arguments.threads:
            import SimpleITK as sitk

            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(arguments.threads)
        from AMDiffLib.image.reading import read_pet

        volume = read_pet(arguments.input, units=arguments.units, series_uid=arguments.series_uid)
        for text in volume.warnings:
            reporter.warning(text)
        seconds = {"read": round(time.monotonic() - began, 3)}
        reporter.progress(READING_SHARE / 2)
        reporter.check_cancelled()

        reporter.stage("load")
        began = time.monotonic()
        folder = model_folder(arguments.model)
        model_config = check_model(folder)
        import torch

        from AMDiffLib.inference.device import choose_device

        if arguments.threads:
            torch.set_num_threads(arguments.threads)
        device = choose_device(arguments.device, reporter)
        model = load_model(folder, device)
        temporary = output.prepare()
        seconds["load"] = round(time.monotonic() - began, 3)
        reporter.progress(READING_SHARE)
        reporter.check_cancelled()

        from AMDiffLib.inference.pipeline import denoise_and_segment

        result = denoise_and_segment(
            volume,
            model,
            steps=arguments.steps,
            seed=arguments.seed,
            device=device,
            tile=arguments.tile,
            reporter=PartOfJob(reporter, READING_SHARE, 1.0 - WRITING_SHARE),
            config=InferenceConfig(conserve_counts=arguments.conserve_counts),
        )

        reporter.stage("write")
        began = time.monotonic()
        from AMDiffLib.inference.result_files import write_report, write_results

        files = write_results(temporary, volume, result, reporter)
        seconds |= result.details["seconds"] | {"write": round(time.monotonic() - began, 3)}
        run = {**result.details, "seconds": seconds}
        write_report(
            temporary, volume, model_config=model_config, run=run, warnings=reporter.warnings, files=files
        )
        reporter.check_cancelled()
        names = output.publish()
        reporter.progress(1.0)
        reporter.done(output_dir=str(output.folder), files=names)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _tile(text: str) -> int:
    number = int(text)
    if number < 32 or number % 16:
        raise argparse.ArgumentTypeError(f"{number} is not a multiple of 16 of at least 32")
    return number


if __name__ == "__main__":
    command.end(main())
