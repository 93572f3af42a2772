"""Runs the work of a headless command: failures become a named error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

from AMDiffLib.errors import AMDiffError, Cancelled, CannotWrite, MissingPackage, OutOfMemory
from AMDiffLib.inference.memory import is_out_of_memory
from AMDiffLib.progress import Reporter

# Errors of the system that only writing can meet.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WRITE_PROTECTED = {errno.EROFS}


def named_error(error: BaseException) -> AMDiffError | None:
    """The named error that `error` is or stands for; None for one that nobody foresaw."""
    if isinstance(error, AMDiffError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Cancelled("The job was stopped from the keyboard. Nothing was written.")
    if is_out_of_memory(error):
        return OutOfMemory(
            f"The computer ran out of memory ({_first_line(error)}). Close other programs, or use a computer "
            "with more memory, and start again."
        )
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return CannotWrite(
            f"There is no room left for the results ({error.strerror}). Free some space or choose another "
            "folder, and start again. Nothing unfinished is kept."
        )
    if isinstance(error, OSError) and error.errno in _WRITE_PROTECTED:
        return CannotWrite(
            f"The results cannot be written ({error.strerror}). Choose another folder, and start again."
        )
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        return MissingPackage(
            f"The Python package '{package or 'unknown'}' cannot be used by {sys.executable} "
            f"({_first_line(error)}). Install it into this Python (the packages needed are listed in "
            "Resources, in requirements*.txt)."
        )
    return None


def require_packages(*names: str) -> None:
    """Raise MissingPackage, naming all that are not installed, before any work is done."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackage(
            f"Python packages are missing in {sys.executable}: {', '.join(missing)}. Install them into this "
            "Python (the packages needed are listed in Resources, in requirements*.txt)."
        )


def run(work: Callable[[], None], reporter: Reporter) -> int:
    """Do `work` and return its exit code: 0, the code of the named error, or 1 with a traceback on stderr."""
    # A crash in compiled code, which no exception reports, says at least where it was.
    with contextlib.suppress(ValueError, OSError):  # stderr without a file
        faulthandler.enable()
    try:
        work()
    except (Exception, KeyboardInterrupt) as error:
        named = named_error(error)
        if named is None:
            traceback.print_exc(file=sys.stderr)
            reporter.error(
                "internal",
                f"An error that this software did not foresee: {type(error).__name__}: {_first_line(error)}. "
                "Please report it with the log.",
            )
            return AMDiffError.exit_code
        if named is not error:
            traceback.print_exc(file=sys.stderr)
        reporter.error(named.kind, str(named))
        return named.exit_code
    return 0


def take_stdout_for_json() -> TextIO:
    """Keep stdout for the JSON lines alone: whatever else prints there, compiled code too, goes to stderr."""
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    return stream


def start(main: Callable[[], int]) -> None:
    """Run a command's `main` on the arguments of the process, and end the process with its exit code.

    The `--` that keeps Slicer from reading what follows it may still stand in front of them; and a wrong
    option must end Slicer too, not leave it open without a window.
    """
    if sys.argv[1:2] == ["--"]:
        del sys.argv[1]
    try:
        exit_code = main()
    except SystemExit as ended:
        exit_code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    end(exit_code)


def end(exit_code: int) -> None:
    """End the process, and Slicer where the command was started with `Slicer --python-script`."""
    slicer = sys.modules.get("slicer")
    if slicer is not None and getattr(slicer, "app", None) is not None:
        slicer.util.exit(exit_code)
        return
    sys.exit(exit_code)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
