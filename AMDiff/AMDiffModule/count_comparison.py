"""Low-count and denoised volume of a result compared by AMDiffLib; edits of lesions leave it as it is."""

from __future__ import annotations

import slicer

from .measuring_library import quantification
from .node_marks import suv_factor_of_input


class CountComparison:
    """Keeps the comparison of the result looked at last: it takes a second, and many edits follow."""

    def __init__(self) -> None:
        self._state: tuple | None = None
        self._found = None

    def in_steps(self, nodes, low_count_suv, spacing):
        """Return the CountConsistency of `nodes` (ResultNodes); a generator.

        `low_count_suv` is the input (z, y, x) in SUV, `spacing` (x, y, z) in mm. A changed volume is compared
        anew.
        """
        state = (
            nodes.denoised.GetImageData().GetMTime(),  # unique in the application: VTK counts globally
            nodes.input.GetImageData().GetMTime(),
            suv_factor_of_input(nodes.denoised),
        )
        if state != self._state:
            denoised = slicer.util.arrayFromVolume(nodes.denoised)
            compare = quantification("count_consistency").CountConsistency.in_steps
            self._found = yield from compare(low_count_suv, denoised, spacing)
            self._state = state
        return self._found
