"""Low-count and denoised volume in the same SUV window, also when the user drags it with the mouse."""

from __future__ import annotations

import vtk

from .node_marks import suv_factor_of_input


class SameWindow:
    """Gives each of the two volumes the window that was set on the other, until it is closed."""

    def __init__(self, host, nodes, changed) -> None:
        """Observe the volumes of `nodes` (ResultNodes) by `host`; call `changed` after each change."""
        self._host, self._changed = host, changed
        self._low_count = nodes.input.GetDisplayNode()
        self._denoised = nodes.denoised.GetDisplayNode()
        self._suv_factor = suv_factor_of_input(nodes.denoised)
        self._copying = False
        for display in (self._low_count, self._denoised):
            host.addObserver(display, vtk.vtkCommand.ModifiedEvent, self._on_display)

    def close(self) -> None:
        """Observe the volumes no more."""
        for display in (self._low_count, self._denoised):
            self._host.removeObserver(display, vtk.vtkCommand.ModifiedEvent, self._on_display)

    def _on_display(self, caller, event) -> None:
        if self._copying:
            return
        self._copying = True
        try:
            if caller is self._low_count:
                _copy_window(self._low_count, self._denoised, scale=self._suv_factor)
            else:
                _copy_window(self._denoised, self._low_count, scale=1.0 / self._suv_factor)
        finally:
            self._copying = False
        self._changed()


def _copy_window(source, target, *, scale: float) -> None:
    """Set the window of `source` on `target`, whose values are `scale` times as large for the same SUV."""
    target.AutoWindowLevelOff()
    target.SetWindowLevelMinMax(scale * source.GetWindowLevelMin(), scale * source.GetWindowLevelMax())
