"""Measure the scans that a model was trained on, and state them in its config.json.

`train` does so by itself where it has the manifest; this is for models that state none, or were merged from
several trainings. Every run then warns of a scan that is unlike them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a file, as by Slicer --python-script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import command
from AMDiffLib.progress import ConsoleReporter


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m AMDiffLib.state_envelope", description=__doc__)
    p.add_argument(
        "--model", required=True, metavar="NAME|FOLDER", help="the model; its config.json is changed"
    )
    p.add_argument(
        "--manifest", required=True, type=Path, help="manifest.json that holds the people it was trained on"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)

    def run() -> None:
        from AMDiffLib.training.envelope import state_envelope_of_training

        envelope = state_envelope_of_training(arguments.model, arguments.manifest)
        if envelope is not None:
            print(json.dumps(envelope.to_dict(), indent=2))

    return command.run(run, ConsoleReporter())


if __name__ == "__main__":
    command.end(main())
