"""One run, from a volume node to result nodes: the input is written, the job runs, the results are loaded."""

from __future__ import annotations

from pathlib import Path

from .export import JobInput, write_input
from .job import Job, JobState, JobWithFolder
from .job_folder import JobFolder
from .scene_import import ImportFailed, ResultNodes, import_results
from .translation import _
from .worker import WorkerOptions, find_python, library_root, worker_command, worker_environment


class Run(JobWithFolder):
    """The job on one volume, that is running or has ended."""

    def __init__(
        self,
        input_node,
        *,
        options: WorkerOptions,
        job_input: JobInput | None = None,
        slicer_home: str | None = None,
        temporary_folder: Path | None = None,
    ) -> None:
        """Write the input and start the job.

        `job_input` hands over a scan that is on disk already, of which `input_node` is a copy in the scene.

        Raises:
            UnusableVolume: the volume cannot be used; the message says why.
            WorkerNotFound: the Python interpreter or the library is not where it should be.
        """
        root = library_root()
        python = find_python(slicer_home)
        self.input_node = input_node
        self.folder = JobFolder(temporary_folder)
        try:
            if job_input is None:
                job_input = write_input(input_node, self.folder.input)
            command = worker_command(
                python, job_input.path, self.folder.results, options, job_input.arguments
            )
            self.job = Job(command, environment=worker_environment(root), folder=self.folder.path)
        except BaseException:
            self.folder.remove()
            raise

    def import_results(self, scene) -> ResultNodes:
        """Load the results into `scene`: all of them, or none.

        Raises:
            ImportFailed: they cannot be loaded, or the input is no longer in the scene.
        """
        if self.state is not JobState.DONE:
            raise ImportFailed(_("The job has not succeeded; there are no results to load."))
        if not scene.IsNodePresent(self.input_node):
            raise ImportFailed(_("The input volume was removed while the job ran; nothing was loaded."))
        return import_results(scene, self.input_node, self.folder.results)
