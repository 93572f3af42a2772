"""Low-count and denoised volume in the same SUV window, also when the user drags it with the mouse."""

from __future__ import annotations

import vtk


class SameWindow:
    """Gives every volume the window that was set on one of them, until it is closed."""

    def __init__(self, host, suv_factors: list[tuple], changed) -> None:
        """Observe volumes by `host`; call `changed` after each change.

        `suv_factors` are pairs of a volume's display node and what turns the volume's values into SUV.
        """
        self._host, self._changed = host, changed
        self._suv_factors = suv_factors
        self._copying = False
        for display, _factor in suv_factors:
            host.addObserver(display, vtk.vtkCommand.ModifiedEvent, self._on_display)

    def close(self) -> None:
        """Observe the volumes no more."""
        for display, _factor in self._suv_factors:
            self._host.removeObserver(display, vtk.vtkCommand.ModifiedEvent, self._on_display)

    def _on_display(self, caller, event) -> None:
        if self._copying:
            return
        self._copying = True
        try:
            self._copy_window_of(caller)
        finally:
            self._copying = False
        self._changed()

    def _copy_window_of(self, source) -> None:
        factor = next(factor for display, factor in self._suv_factors if display is source)
        lowest, highest = factor * source.GetWindowLevelMin(), factor * source.GetWindowLevelMax()
        for display, own_factor in self._suv_factors:
            if display is not source:
                display.AutoWindowLevelOff()
                display.SetWindowLevelMinMax(lowest / own_factor, highest / own_factor)
