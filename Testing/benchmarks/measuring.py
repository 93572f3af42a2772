"""What the benchmarks share: memory and the waiting for a GPU."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import torch


def peak_bytes(device: str) -> float:
    """Return the most memory held so far: of the GPU, or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # there ru_maxrss starts at what the parent process held
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def synchronize(device: str) -> None:
    """Wait until the GPU has done what it was given; the CPU has already."""
    if device == "cuda":
        torch.cuda.synchronize()
