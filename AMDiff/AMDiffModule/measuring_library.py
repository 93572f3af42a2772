"""The part of AMDiffLib that measures, which needs numpy alone and also runs inside Slicer.

What is shown in the scene and what the background process writes is computed by this one implementation.
"""

from __future__ import annotations

import importlib
import sys

from .worker import LIBRARY, library_root


def quantification(module: str):
    """Return a module of AMDiffLib.quantification, also in the sources, where it lies one folder up.

    Raises:
        WorkerNotFound: the library is not where it should be.
    """
    root = str(library_root())
    if root not in sys.path:
        sys.path.append(root)
    return importlib.import_module(f"{LIBRARY}.quantification.{module}")


def organs():
    """Return the organs of AMDiffLib.labels."""
    return _labels().ORGANS


def lesion_colour() -> tuple[float, float, float]:
    """Return the colour of lesions, channels 0 to 1."""
    return tuple(channel / 255.0 for channel in _labels().LESION.colour)


def _labels():
    quantification("grid")
    return importlib.import_module(f"{LIBRARY}.labels")
