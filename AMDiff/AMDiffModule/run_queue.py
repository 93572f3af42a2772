"""Volumes that are processed one after the other, and how each of them went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from .translation import _


class ItemState(Enum):
    """Where a volume of the queue stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def label(self) -> str:
        """Return the text in the panel's list."""
        return {
            ItemState.WAITING: _("waiting"),
            ItemState.RUNNING: _("running"),
            ItemState.DONE: _("done"),
            ItemState.FAILED: _("failed"),
            ItemState.CANCELLED: _("cancelled"),
        }[self]


@dataclass(kw_only=True)
class QueueItem:
    """One volume; for a failure, the error's `kind` and `text`."""

    volume: object
    state: ItemState = ItemState.WAITING
    kind: str | None = None
    text: str = ""

    def label(self) -> str:
        """Return the text in the panel's list."""
        label = f"{self.volume.GetName()}: {self.state.label()}"
        return f"{label}. {self.text}" if self.text else label

    def fail(self, kind: str | None, text: str) -> None:
        """It failed, and why."""
        self.state, self.kind, self.text = ItemState.FAILED, kind, text


@dataclass(kw_only=True)
class RunQueue:
    """The volumes, in the order of their processing."""

    items: list[QueueItem] = field(default_factory=list)

    @classmethod
    def of(cls, volumes: Iterable) -> RunQueue:
        """Return a queue of these volumes, all waiting."""
        return cls(items=[QueueItem(volume=volume) for volume in volumes])

    def add(self, volumes: Iterable) -> int:
        """Append volumes that are not waiting or running already; returns how many."""
        before = len(self.items)
        for volume in volumes:
            open_items = (ItemState.WAITING, ItemState.RUNNING)
            if not any(item.volume is volume and item.state in open_items for item in self.items):
                self.items.append(QueueItem(volume=volume))
        return len(self.items) - before

    def remove(self, index: int) -> None:
        """Take one out, unless it is running."""
        if 0 <= index < len(self.items) and self.items[index].state is not ItemState.RUNNING:
            del self.items[index]

    def begin_next(self) -> QueueItem | None:
        """Return the next waiting item, which is then running; None when none waits."""
        item = next((item for item in self.items if item.state is ItemState.WAITING), None)
        if item is not None:
            item.state = ItemState.RUNNING
        return item

    @property
    def running(self) -> QueueItem | None:
        """The item that is being processed."""
        return next((item for item in self.items if item.state is ItemState.RUNNING), None)

    def count(self, state: ItemState) -> int:
        """How many items are in this state."""
        return sum(item.state is state for item in self.items)

    def position(self, item: QueueItem) -> int:
        """The item's place, from 1."""
        return next(number for number, other in enumerate(self.items, start=1) if other is item)
