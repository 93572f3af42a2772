"""What can be chosen about a run beside the model, the steps and the seed."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TILE = 96


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Choices that change the result.

    Attributes:
        overlap: voxels that neighbouring tiles share.
        conserve_counts: scale the denoised volume so that its regional means are those of the low-count one
            (see `count_conservation`).
        segment: mark lesions and organs too; without it both are empty.
    """

    overlap: int = 16
    conserve_counts: bool = False
    segment: bool = True
