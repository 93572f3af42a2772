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


class PetColors(enum.Enum):
    """The colours of both PET volumes."""

    INVERTED_GREY = "inverted grey"
    RAINBOW = "rainbow"

    def label(self):
        """Return the text in the panel's list."""
        return {PetColors.INVERTED_GREY: _("Inverted grey"), PetColors.RAINBOW: _("PET rainbow")}[self]

    def node_id(self):
        """Return the identity of Slicer's colour node."""
        return {PetColors.INVERTED_GREY: INVERTED_GREY, PetColors.RAINBOW: PET_RAINBOW}[self]
