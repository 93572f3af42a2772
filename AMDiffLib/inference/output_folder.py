"""Results appear in their folder all together, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from AMDiffLib.errors import BadInput, CannotWrite
from AMDiffLib.inference.living_process import process_is_alive

# It names the other files of a result: it goes first when they are replaced and comes back last.
_SEAL = "report.json"
_PREFIX = ".amdiff-"
_REPLACED = "-replaced"
_WAIT_S = 60.0


class OutputFolder:
    """A hidden folder beside `folder` that takes the results, and takes its place when they are complete.

    Its name, `.amdiff-<name of folder>-<process id>`, lets the next run, or the program that started this
    one, find and remove what a killed process left behind. It lies inside `folder` where that is a mount
    point, which cannot be renamed.
    """

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Finishes a replacement of older results in which another process was killed.

        Raises BadInput where `folder` is a file, or holds files and `overwrite` is not asked for, and
        CannotWrite.
        """
        self.folder = Path(folder).expanduser().absolute()
        self.overwrite = overwrite
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"The output folder {self.folder} is a file. Choose another name.")
        finish_replacement(self.folder)
        if self._is_filled() and not overwrite:
            raise BadInput(
                f"The output folder {self.folder} is not empty. Choose another folder, or allow older "
                "results in it to be replaced (--overwrite)."
            )
        self.temporary = _base(self.folder) / f"{_PREFIX}{self.folder.name}-{os.getpid()}"
        self._is_being_replaced = False

    def prepare(self) -> Path:
        """Create the temporary folder, remove those of dead processes, and return it. Raises CannotWrite."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            for path in _leftovers(self.folder):
                shutil.rmtree(path, ignore_errors=True)
            # Nobody else reads a patient's images before they are where they were asked for.
            self.temporary.mkdir(mode=0o700)
        except OSError as error:
            raise CannotWrite(
                f"The output folder {self.folder} cannot be written ({error.strerror}). Choose another "
                "folder."
            ) from error
        return self.temporary

    def publish(self) -> list[str]:
        """Move the results into place and return their names; other files in the folder are left alone.

        A reader sees the older results or the new ones. A process that is killed while it replaces older
        results leaves a folder without report.json, which the next run completes.

        Raises BadInput where another job has filled the folder meanwhile, CannotWrite where a file cannot be
        replaced; what was there stays as it was.
        """
        names = sorted(path.name for path in self.temporary.iterdir())
        self.temporary.chmod(_usual_mode())
        if not self._is_filled() and not os.path.ismount(self.folder):
            try:
                _rename_whole(self.temporary, self.folder)
                return names
            except OSError as error:
                if not self._is_filled():
                    raise self._cannot_replace(error) from error
        if self._is_filled() and not self.overwrite:
            raise BadInput(
                f"Another job has put its results into {self.folder} meanwhile; they were left as they are. "
                "Choose another folder, or allow results to be replaced (--overwrite)."
            )
        self._is_being_replaced = True
        aside = self._aside_alone()
        try:
            _replace(self.temporary, self.folder, aside)
        except OSError as error:
            # Not empty where moving back has failed too: then the next run completes it.
            with contextlib.suppress(OSError):
                aside.rmdir()
                self._is_being_replaced = False
            raise self._cannot_replace(error) from error
        self._is_being_replaced = False
        return names

    def discard(self) -> None:
        """Remove the temporary folder and all in it, if it is still there."""
        # The watchdog of a cancelled job may call this while the last files are moved: these must all arrive.
        if not self._is_being_replaced:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _is_filled(self) -> bool:
        return self.folder.is_dir() and any(
            not path.name.startswith(f"{_PREFIX}{self.folder.name}-") for path in self.folder.iterdir()
        )

    def _aside_alone(self) -> Path:
        """Make the folder for what is replaced, once no other process is replacing here: it is the lock."""
        aside = _aside(self.temporary)
        deadline = time.monotonic() + _WAIT_S
        while True:
            aside.mkdir()
            others = [path for path in _found(self.folder, f"(\\d+){_REPLACED}") if path != aside]
            if not any(_owner_is_alive(path) for path in others):
                return aside
            aside.rmdir()
            if time.monotonic() > deadline:
                self._is_being_replaced = False
                raise CannotWrite(
                    f"Another job has been replacing the results in {self.folder} for {_WAIT_S:.0f} s. "
                    "Choose another folder, or start again when it has ended."
                )
            time.sleep(0.02 + 0.01 * (os.getpid() % 10))

    def _cannot_replace(self, error: OSError) -> CannotWrite:
        file = f", {Path(error.filename).name}" if error.filename else ""
        return CannotWrite(
            f"The results cannot be put into {self.folder} ({error.strerror}{file}). What was there is as it "
            "was. Close programs that have files of it open, or choose another folder."
        )


def finish_replacement(folder: Path) -> None:
    """Complete the replacement of older results in `folder` in which a process was killed.

    All of the new results were written then; some had not been moved yet. Raises CannotWrite.
    """
    try:
        for aside in _found(folder, f"(\\d+){_REPLACED}"):
            if _owner_is_alive(aside):
                continue
            temporary = aside.with_name(aside.name.removesuffix(_REPLACED))
            if temporary.is_dir():
                _replace(temporary, folder, aside)
            else:
                shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise CannotWrite(
            f"An earlier job was ended while it replaced the results in {folder}, and this cannot be "
            f"completed ({error.strerror}). Make the folder writable, or choose another one."
        ) from error


def _usual_mode() -> int:
    """The permissions that this process gives to new folders."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o777 & ~mask


def has_leftovers(folder: Path) -> bool:
    """Whether a process ended in the middle of writing results into `folder`."""
    return bool(_leftovers(folder))


def _replace(temporary: Path, folder: Path, aside: Path) -> None:
    """Move what is in `temporary` into `folder`, and what it replaces into `aside`; then remove both.

    May be started again after it was interrupted. Raises OSError with all as it was before this call.
    """
    # A folder is replaced whole: slices of an older series must not stay among the new ones.
    names = sorted((path.name for path in temporary.iterdir()), key=lambda name: (name == _SEAL, name))
    moved: list[tuple[Path, Path]] = []

    def move(path: Path, to: Path) -> None:
        path.replace(to)
        moved.append((path, to))

    try:
        for name in reversed(names):
            if (folder / name).exists():
                move(folder / name, aside / name)
        for name in names:
            move(temporary / name, folder / name)
    except OSError:
        for path, to in reversed(moved):
            to.replace(path)
        raise
    temporary.rmdir()
    shutil.rmtree(aside, ignore_errors=True)


def _rename_whole(temporary: Path, folder: Path) -> None:
    # Windows renames a folder only where there is none; elsewhere an empty one is replaced in one step.
    if os.name == "nt" and folder.exists():
        folder.rmdir()
    temporary.rename(folder)


def _base(folder: Path) -> Path:
    return folder if os.path.ismount(folder) else folder.parent


def _aside(temporary: Path) -> Path:
    return temporary.with_name(temporary.name + _REPLACED)


def _leftovers(folder: Path) -> list[Path]:
    """Temporary folders of `folder` whose process is dead, or is this one."""
    return [path for path in _found(folder, "(\\d+)") if not _owner_is_alive(path)]


def _found(folder: Path, pattern: str) -> list[Path]:
    base = _base(folder)
    if not base.is_dir():
        return []
    whole = re.compile(f"{re.escape(_PREFIX + folder.name)}-{pattern}")
    return sorted(path for path in base.iterdir() if whole.fullmatch(path.name))


def _owner_is_alive(path: Path) -> bool:
    number = int(path.name.removesuffix(_REPLACED).rpartition("-")[2])
    return number != os.getpid() and process_is_alive(number)
