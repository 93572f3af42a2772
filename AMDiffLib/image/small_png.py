"""A plot as a small PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = 256  # half the size of all colours; at 64 red and orange lines became one colour


def write_small_png(figure: Figure, path: Path) -> None:
    """Draw `figure` with a palette of its own, at the figure's dpi."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
