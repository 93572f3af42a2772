"""Notices that lesions were edited, waits until the hand rests, and has them measured piece by piece."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import slicer

_EVENTS = (
    "SegmentAdded",
    "SegmentRemoved",
    "SegmentModified",
    "SegmentsOrderModified",
    "SourceRepresentationModified",
)


class LesionFollower:
    """Follows one segmentation; whoever owns a timer calls `tick` until it returns False."""

    def __init__(
        self,
        measure_in_steps: Callable[[], Generator],
        *,
        noticed: Callable[[], None] = lambda: None,
        measured: Callable[[object], None] = lambda result: None,
        quiet_s: float = 0.5,
        slice_s: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Follow nothing yet.

        Args:
            measure_in_steps: starts a measurement, as a generator that yields between pieces.
            noticed: called at each change, from within the edit: it may start a timer, and no more.
            measured: called with the generator's result once it has ended.
            quiet_s: how long nothing must change before the measurement starts.
            slice_s: how long one tick may take, plus one piece.
            clock: seconds.
        """
        self._measure_in_steps = measure_in_steps
        self._noticed, self._measured = noticed, measured
        self._quiet_s, self._slice_s, self._clock = quiet_s, slice_s, clock
        self._node, self._tags = None, []
        self._changed_at: float | None = None
        self._steps: Generator | None = None

    @property
    def node(self):
        """The segmentation that is followed, or None."""
        return self._node

    @property
    def is_waiting(self) -> bool:
        """Whether a change has not been measured yet."""
        return self._changed_at is not None or self._steps is not None

    def follow(self, segmentation_node) -> None:
        """Follow another segmentation, or None; what was begun for the last one is dropped."""
        if segmentation_node is self._node:
            return
        self.close()
        self._node = segmentation_node
        if segmentation_node is not None:
            events = (getattr(slicer.vtkSegmentation, name) for name in _EVENTS)
            self._tags = [segmentation_node.AddObserver(event, self._on_event) for event in events]

    def change(self) -> None:
        """Have everything measured again, as after an edit."""
        self._changed_at, self._steps = self._clock(), None
        self._noticed()

    def tick(self) -> bool:
        """Do a little; return whether there is more. What the measurement raises ends it and is raised."""
        now = self._clock()
        if self._changed_at is not None:
            if now - self._changed_at < self._quiet_s:
                return True
            self._changed_at, self._steps = None, self._measure_in_steps()
        while self._steps is not None:
            self._step()
            if self._clock() - now >= self._slice_s:
                break
        return self.is_waiting

    def finish(self) -> None:
        """Measure what has changed at once, without waiting."""
        if self._changed_at is not None:
            self._changed_at, self._steps = None, self._measure_in_steps()
        while self._steps is not None:
            self._step()

    def close(self) -> None:
        """Follow nothing, and measure nothing any more."""
        for tag in self._tags:
            self._node.RemoveObserver(tag)
        self._node, self._tags = None, []
        self._changed_at, self._steps = None, None

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration as end:
            self._steps = None
            self._measured(end.value)
        except Exception:
            self._steps = None
            raise

    def _on_event(self, caller, event) -> None:
        self.change()
