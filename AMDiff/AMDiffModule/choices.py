"""What the panel lets its user choose from, as lists with a text for each choice."""

from __future__ import annotations

import enum

from .display import INVERTED_GREY, PET_RAINBOW
from .translation import _


class Device(enum.Enum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    def label(self):
        """Return the text in the panel's list."""
        return {
            Device.AUTO: _("Automatic"),
            Device.CPU: _("Processor (CPU)"),
            Device.CUDA: _("NVIDIA graphics card (CUDA)"),
        }[self]


class OverlayColors(enum.Enum):
    """The colours of the PET over the CT; the PET alone is always in inverted grey."""

    RAINBOW = "rainbow"
    INVERTED_GREY = "inverted grey"

    def label(self):
        """Return the text in the panel's list."""
        return {
            OverlayColors.RAINBOW: _("PET rainbow"),
            OverlayColors.INVERTED_GREY: _("Inverted grey"),
        }[self]

    def node_id(self):
        """Return the identity of Slicer's colour node."""
        return {OverlayColors.RAINBOW: PET_RAINBOW, OverlayColors.INVERTED_GREY: INVERTED_GREY}[self]
