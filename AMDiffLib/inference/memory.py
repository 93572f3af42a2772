"""How much memory is free and was used, and which errors say that there was too little."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from AMDiffLib.errors import OutOfMemory

_UNITS = {"": 1, "bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}

_OUT_OF_MEMORY_SIGNS = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "unable to allocate",
    "can't start new thread",
    "out_of_memory",
)
# oneDNN, which computes the convolutions on CPUs, says this of every failure.
_UNCLEAR_SIGN = "could not create a primitive"
_SCARCE_BYTES = 2**30


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error`, of Python, numpy, torch, CUDA, ITK or the library loader, says that memory ran out."""
    if isinstance(error, (MemoryError, OutOfMemory)):
        return True
    # torch.OutOfMemoryError is a RuntimeError too; asking by text keeps torch out of this file.
    if not isinstance(error, (RuntimeError, ImportError, OSError)):
        return False
    text = str(error).lower()
    if _UNCLEAR_SIGN in text:
        free = free_system_memory()
        return free is not None and free < _SCARCE_BYTES
    return any(sign in text for sign in _OUT_OF_MEMORY_SIGNS)


def free_system_memory() -> int | None:
    """Bytes that a new allocation may use: the computer's, or less where the process, its container or its
    batch job is limited.

    None if unknown.
    """
    if sys.platform == "win32":
        return _free_on_windows()
    ways = (_free_by_meminfo(), _free_by_limit(), free_in_control_groups())
    found = [free for free in ways if free is not None]
    return min(found) if found else None


def free_in_control_groups(
    groups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes left to the control groups that this process is in; None where none of them is limited.

    Beyond them the kernel ends the process without a word. Files of version 1 and 2 as the kernel documents
    them (cgroup-v2.rst, cgroup-v1/memory.rst); a container may see its own group as the mount's root.
    """
    if not groups.is_file():
        return None
    left = []
    for line in groups.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, limit, usage, cache = mount, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit = mount / "memory", "memory.limit_in_bytes"
            usage, cache = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            if (folder / limit).is_file() and (most := (folder / limit).read_text().strip()) != "max":
                # Files that the kernel keeps in memory only because there is room.
                spare = re.search(rf"^{cache} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
                used = int((folder / usage).read_text()) - (int(spare[1]) if spare else 0)
                left.append(max(0, int(most) - used))
            if folder == root:
                break
    return min(left, default=None)


def peak_memory_mb() -> float | None:
    """The most memory (resident, MB) this process has used so far; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def asked_for(error: BaseException) -> int | None:
    """Bytes that the failed allocation asked for, read from the error's text; None if it does not say."""
    match = re.search(r"tried to allocate ([\d.]+) ?(bytes|[KMG]iB)?", str(error), re.IGNORECASE)
    if match is None:
        match = re.search(r"unable to allocate ([\d.]+) ?([KMG]iB)", str(error), re.IGNORECASE)
    if match is None:
        return None
    return int(float(match[1].rstrip(".")) * _UNITS[(match[2] or "").lower()])


def _free_by_meminfo() -> int | None:
    path = Path("/proc/meminfo")
    if not path.is_file():
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _free_by_limit() -> int | None:
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not statm.is_file():
        return None
    return max(0, limit - int(statm.read_text().split()[0]) * resource.getpagesize())


def _free_on_windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("available", ctypes.c_ulonglong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("page_total", "page", "virtual_total", "virtual", "extended")
            ),
        ]

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.available)
