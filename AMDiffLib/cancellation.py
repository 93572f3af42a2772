"""How a job learns that it should stop: its parent closes stdin, or the system sends a signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from AMDiffLib.progress import Cancellation

GRACE_SECONDS = 5.0


def stop_on_signals(cancellation: Cancellation) -> None:
    """Turn SIGINT and SIGTERM into a cancellation request (only possible in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        return

    def request(number: int, _frame: object) -> None:
        cancellation.request(f"it received {signal.Signals(number).name}")

    signal.signal(signal.SIGINT, request)
    signal.signal(signal.SIGTERM, request)


def stop_when_stdin_closes(cancellation: Cancellation) -> None:
    """Watch stdin from a thread, and request cancellation when the parent closes it or dies."""

    def watch() -> None:
        _wait_for_end_of_stdin()
        cancellation.request("the program that started it closed the connection")

    threading.Thread(target=watch, name="stdin watcher", daemon=True).start()


def end_process_if_not_stopped(
    cancellation: Cancellation,
    last_words: Callable[[], None],
    exit_code: int,
    *,
    grace: float = GRACE_SECONDS,
) -> None:
    """End the process `grace` seconds after a cancellation request that the working thread did not honour.

    A long call into compiled code cannot be interrupted. `last_words` cleans up and reports before the exit.
    """

    def watch() -> None:
        while not cancellation.requested:
            time.sleep(0.1)
        time.sleep(grace)
        try:
            last_words()
        finally:
            os._exit(exit_code)

    threading.Thread(target=watch, name="cancellation watchdog", daemon=True).start()


def _wait_for_end_of_stdin() -> None:
    # The descriptor is read directly: a daemon thread that holds the lock of sys.stdin makes the
    # interpreter abort when it shuts down.
    if sys.platform == "win32":
        _wait_for_end_of_pipe_on_windows()
        return
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass  # stdin was never open: the same as closed


def _wait_for_end_of_pipe_on_windows() -> None:
    # A blocking read of a pipe would hang every DLL whose start-up asks for stdin's type (numpy, torch):
    # peek.
    import ctypes
    import msvcrt

    try:
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(0))
    except OSError:
        return
    while ctypes.windll.kernel32.PeekNamedPipe(handle, None, 0, None, None, None):
        time.sleep(0.25)
