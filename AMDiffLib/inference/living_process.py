"""Whether a process is still there, and an end for one whose parent is not."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading


def process_is_alive(pid: int) -> bool:
    """Whether a process with this id exists on this computer."""
    if sys.platform == "win32":
        return _process_is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def end_with_parent() -> None:
    """End this process, which `multiprocessing` started, once its parent is gone, were it even killed.

    A worker would otherwise finish what it is at, and then wait for more for ever.
    """

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, name="parent watcher", daemon=True).start()


def _process_is_alive_on_windows(pid: int) -> bool:
    # os.kill(pid, 0) would send a console event there.
    import ctypes

    synchronize, still_running = 0x00100000, 0x00000102
    kernel = ctypes.windll.kernel32
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(kernel.OpenProcess(synchronize, False, pid))
    if not handle:
        return False
    alive = kernel.WaitForSingleObject(handle, 0) == still_running
    kernel.CloseHandle(handle)
    return alive
