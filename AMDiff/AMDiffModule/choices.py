"""What the panel lets its user choose from, as lists with a text for each choice."""

from __future__ import annotations

import enum

from .display import INVERTED_GREY, PET_RAINBOW
from .result_maps import COUNT_CONSISTENCY, UNCERTAINTY
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


class DenoisedView(enum.Enum):
    """What the planes of the denoised half show; the maps lie over the denoised PET."""

    PET = "pet"
    DIFFERENCE = "difference"
    UNCERTAINTY = "uncertainty"
    COUNT_CONSISTENCY = "count consistency"

    def label(self):
        """Return the text in the panel's list."""
        return {
            DenoisedView.PET: _("Denoised PET"),
            DenoisedView.DIFFERENCE: _("What denoising changed"),
            DenoisedView.UNCERTAINTY: _("How sure it is (SD)"),
            DenoisedView.COUNT_CONSISTENCY: _("Agreement with the counts (z)"),
        }[self]

    def map_kind(self):
        """Return the MapKind of the map; None where the choice is none of the maps."""
        return {
            DenoisedView.UNCERTAINTY: UNCERTAINTY,
            DenoisedView.COUNT_CONSISTENCY: COUNT_CONSISTENCY,
        }.get(self)


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
