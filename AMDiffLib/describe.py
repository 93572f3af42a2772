"""Say what is known of a PET scan, and what the networks could run on here.

Of a scan: tracer, scanner, voxels, dose, times, corrections, the factor to SUV and how it compares with a
real world value map, the noise in a liver-like region, and what is wrong. Of this computer: processor,
graphics cards, and whether the installed torch runs on them. Nothing that identifies the patient is said.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import cancellation, command
from AMDiffLib.errors import Cancelled
from AMDiffLib.options import add_scan_options, add_stop_option
from AMDiffLib.progress import Cancellation, JsonLinesReporter, SilentReporter

if TYPE_CHECKING:
    from AMDiffLib.inference.envelope import Envelope

SCAN_PACKAGES = ("numpy", "SimpleITK", "scipy", "pydicom")
DEVICE_PACKAGES = ("torch",)

EPILOG = """
With --json the last line on stdout is {"type": "done", "scan": {...}, "devices": [...]}, as of the other
commands; a scan that cannot be used is described too ("problem" says why), and the exit code is 0.
Other exit codes: 1 unforeseen error, 2 wrong arguments, 5 a Python package is missing, 7 stopped.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.describe",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("input", metavar="INPUT", nargs="?", help="DICOM folder or file, NRRD, NIfTI or MetaImage")
    add_scan_options(p)
    p.add_argument(
        "--model",
        metavar="NAME|FOLDER",
        help="the model whose training the scan is held against (default: the installed one)",
    )
    p.add_argument("--devices", action="store_true", help="describe this computer's processors")
    p.add_argument("--json", action="store_true", help="one JSON object a line on stdout instead of text")
    add_stop_option(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    p = parser()
    arguments = p.parse_args(argv)
    if arguments.input is None and not arguments.devices:
        p.error("nothing to describe: give an INPUT, --devices, or both")
    stop = Cancellation()
    reporter: SilentReporter = (
        JsonLinesReporter(command.take_stdout_for_json(), cancellation=stop)
        if arguments.json
        else _TextReporter(stop)
    )
    cancellation.stop_on_signals(stop)
    if arguments.stop_when_stdin_closes:
        cancellation.stop_when_stdin_closes(stop)

    def last_words() -> None:
        reporter.error(Cancelled.kind, "The description was stopped before it was complete.")

    # Nothing is written, so that there is nothing to wait for.
    cancellation.end_process_if_not_stopped(stop, last_words, Cancelled.exit_code, grace=0.5)
    return command.run(lambda: _describe(arguments, reporter), reporter)


def _describe(arguments: argparse.Namespace, reporter: SilentReporter) -> None:
    facts: dict[str, Any] = {}
    if arguments.input is not None:
        command.require_packages(*SCAN_PACKAGES)
        from AMDiffLib.description.scan import describe_scan

        facts["scan"] = describe_scan(
            arguments.input,
            units=arguments.units,
            series_uid=arguments.series_uid,
            envelope=_envelope(arguments.model),
        )
        reporter.check_cancelled()
    if arguments.devices:
        command.require_packages(*DEVICE_PACKAGES)
        from AMDiffLib.description.devices import describe_devices

        facts["devices"] = describe_devices()
        reporter.check_cancelled()
    reporter.done(**facts)


def _envelope(model: str | None) -> Envelope | None:
    """What the model was trained on; None where none is asked for and the default is not installed."""
    from AMDiffLib.inference.envelope import Envelope
    from AMDiffLib.inference.weights import DEFAULT_MODEL, installed_models, read_config

    if model is None and DEFAULT_MODEL not in installed_models():
        return None
    return Envelope.of_model(read_config(model or DEFAULT_MODEL))


class _TextReporter(SilentReporter):
    """The facts as lines of text."""

    def done(self, **facts: Any) -> None:
        if "scan" in facts:
            _print_facts(facts["scan"])
        for device in facts.get("devices", []):
            print(f"device: {device['name']}")
            _print_facts({key: value for key, value in device.items() if key != "name"}, indent="  ")

    def error(self, kind: str, message: str) -> None:
        print(f"Error ({kind}): {message}", file=sys.stderr)


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    for name, value in facts.items():
        if value is None or value == []:
            continue
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _print_facts(value, indent + "  ")
            continue
        words = value if isinstance(value, str) else json.dumps(value)
        print(f"{indent}{name}: {words}")


if __name__ == "__main__":
    command.start(main)
