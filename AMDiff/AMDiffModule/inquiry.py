"""A question to the library, answered by a background process: Slicer imports none of its packages."""

from __future__ import annotations

from .job import Job, JobState
from .job_folder import JobFolder
from .worker import describe_command, find_python, library_root, worker_environment

# It writes nothing, so that there is nothing to wait for when it is no longer wanted.
_GRACE_S = 0.1


class Inquiry:
    """A running `AMDiffLib.describe`; `facts` or `problem` is there when `poll` has returned True."""

    def __init__(self, arguments, *, folder: JobFolder | None = None, slicer_home: str | None = None) -> None:
        """Start it with these `arguments`; `folder` holds what they refer to, and is removed at the end.

        Raises WorkerNotFound where the Python interpreter or the library is missing.
        """
        self.facts: dict = {}
        self.problem = ""
        root = library_root()
        command = describe_command(find_python(slicer_home), arguments)
        self._folder = folder or JobFolder()
        try:
            self._job = Job(
                command,
                environment=worker_environment(root),
                folder=self._folder.path,
                grace_s=_GRACE_S,
            )
        except BaseException:
            self._folder.remove()
            raise

    def poll(self) -> bool:
        """Whether the answer is there."""
        self._job.poll()
        outcome = self._job.outcome
        if outcome is None:
            return False
        if outcome.state is JobState.DONE:
            self.facts = outcome.facts
        else:
            self.problem = outcome.text
        self._folder.remove()
        return True

    def close(self) -> None:
        """End the process if it still runs, and remove its folder."""
        self._job.close()
        self._folder.remove()
