"""What can be chosen about a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from AMDiffLib.inference.study import StudyOptions

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Part:
    """The `number`th of `count` shares of a batch, for as many machines: every `count`th study is in it."""

    number: int = 1
    count: int = 1

    def of(self, studies: Sequence[T]) -> Sequence[T]:
        """The studies of this share."""
        return studies[self.number - 1 :: self.count]

    @property
    def summary_name(self) -> str:
        """Each share writes a table of its own: two machines must not write the same file."""
        return "summary.csv" if self.count == 1 else f"summary-{self.number}-of-{self.count}.csv"


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Where the studies are and where their results go; `model` and `device` as for a single study."""

    studies: Path
    output: Path
    model: str
    device: str
    units: str | None = None
    pattern: str = "*"
    part: Part = field(default_factory=Part)
    study: StudyOptions = field(default_factory=StudyOptions)
