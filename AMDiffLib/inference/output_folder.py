"""Results appear in their folder all together, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from AMDiffLib.errors import BadInput


class OutputFolder:
    """A hidden folder beside `folder` that takes the results, and takes its place when they are complete.

    Its name, `.amdiff-<name of folder>-<process id>`, lets the next run, or the program that started this
    one, find and remove what a killed process left behind.
    """

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Raises BadInput where `folder` is a file, or holds files and `overwrite` is not asked for."""
        self.folder = Path(folder).expanduser().absolute()
        self.overwrite = overwrite
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"The output folder {self.folder} is a file. Choose another name.")
        if self._is_filled() and not overwrite:
            raise BadInput(
                f"The output folder {self.folder} is not empty. Choose another folder, or allow older "
                "results in it to be replaced (--overwrite)."
            )
        self.temporary = self.folder.parent / f".amdiff-{self.folder.name}-{os.getpid()}"

    def prepare(self) -> Path:
        """Create the temporary folder, remove those of dead processes, and return it. Raises BadInput."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            self.temporary.mkdir()
        except OSError as error:
            raise BadInput(
                f"The output folder {self.folder} cannot be written ({error.strerror}). Choose another "
                "folder."
            ) from error
        return self.temporary

    def publish(self) -> list[str]:
        """Move the results into place and return their names; other files in the folder are left alone."""
        names = sorted(path.name for path in self.temporary.iterdir())
        if self._is_filled():
            for name in names:
                if (self.folder / name).is_dir():
                    # A folder is replaced whole: slices of an older series must not stay among the new ones.
                    shutil.rmtree(self.folder / name)
                (self.temporary / name).replace(self.folder / name)
            self.temporary.rmdir()
        else:
            # Windows renames a folder only where there is none.
            if self.folder.exists():
                self.folder.rmdir()
            self.temporary.rename(self.folder)
        return names

    def discard(self) -> None:
        """Remove the temporary folder and all in it, if it is still there."""
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _is_filled(self) -> bool:
        return self.folder.is_dir() and any(self.folder.iterdir())

    def _remove_leftovers(self) -> None:
        for path in _leftovers(self.folder):
            shutil.rmtree(path, ignore_errors=True)


def has_leftovers(folder: Path) -> bool:
    """Whether a process ended in the middle of writing results into `folder`."""
    return bool(_leftovers(folder))


def _leftovers(folder: Path) -> list[Path]:
    """Temporary folders of `folder` whose process is dead, or is this one."""
    pattern = re.compile(rf"\.amdiff-{re.escape(folder.name)}-(\d+)")
    found = []
    for path in folder.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and (int(match[1]) == os.getpid() or not process_is_alive(int(match[1]))):
            found.append(path)
    return found


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
