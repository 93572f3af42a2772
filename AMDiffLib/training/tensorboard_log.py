"""The figures of a training for TensorBoard, where its package is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from AMDiffLib.errors import MissingPackage
from AMDiffLib.training.run_settings import TENSORBOARD_NAME


def tensorboard_missing() -> str | None:
    """Return a sentence where the package is not installed, None where it is."""
    if importlib.util.find_spec("tensorboard") is not None:
        return None
    return (
        "The Python package 'tensorboard' is not installed, so no TensorBoard logs are written; losses.csv, "
        "validation.csv and losses.png hold the same figures. Install it with: pip install tensorboard"
    )


class TensorBoardLog:
    """Scalars and pictures over the optimiser's steps, in the folder `tensorboard` of a run."""

    def __init__(self, run: Path, *, first_step: int) -> None:
        """Continue the log at `first_step`; what a killed run logged from there on is hidden.

        Raises MissingPackage without the package.
        """
        if missing := tensorboard_missing():
            raise MissingPackage(missing)
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / TENSORBOARD_NAME), purge_step=first_step)

    def scalars(self, step: int, figures: Mapping[str, float]) -> None:
        """Add figures under their names; what stands before a slash is the name of their group."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, path: Path) -> None:
        """Add the picture of a PNG file."""
        from matplotlib.image import imread

        self._writer.add_image(name, imread(path)[..., :3], step, dataformats="HWC")

    def flush(self) -> None:
        """Write out what is waiting, so that it survives a killed process."""
        self._writer.flush()

    def close(self) -> None:
        """Write out what is waiting and end the log."""
        self._writer.close()
