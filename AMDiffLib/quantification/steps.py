"""Work in steps: a generator that yields between pieces of a fraction of a second and returns the result.

Slicer has one thread for the reader's hand and for Python, so what would hold it up is done piece by piece.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]


def finished(steps: Steps[Result]) -> Result:
    """Do all steps without a pause and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
