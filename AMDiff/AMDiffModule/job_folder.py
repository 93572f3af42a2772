"""A private folder for one job: the input goes in, the results come out, then it is removed."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "AMDiff-job-"
_STALE_AFTER_S = 24 * 3600


class JobFolder:
    """A folder that only its owner can read (0700), because it holds a patient's images."""

    def __init__(self, parent: Path | None = None) -> None:
        """Make the folder in `parent`, by default the system's temporary folder."""
        parent = parent or Path(tempfile.gettempdir())
        _remove_stale(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))

    @property
    def input(self) -> Path:
        """Folder for the input volume; made when it is asked for."""
        folder = self.path / "input"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def results(self) -> Path:
        """Folder that the background process makes when it has succeeded."""
        return self.path / "results"

    def remove(self) -> None:
        """Remove the folder and all that is in it; a second call does nothing."""
        for _attempt in range(3):
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                return
            time.sleep(0.1)  # Windows lets go of an ended process's files a moment later


def _remove_stale(parent: Path) -> None:
    """Remove folders that a crash left behind; no job takes a day."""
    for folder in parent.glob(_PREFIX + "*"):
        if time.time() - folder.stat().st_mtime > _STALE_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)
