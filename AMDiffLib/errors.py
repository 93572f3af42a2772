"""The named ways in which a job can fail; each kind has its own exit code."""

from __future__ import annotations


class AMDiffError(Exception):
    """A failure whose message says what was found, what was expected and what to do."""

    kind = "internal"
    exit_code = 1


class BadInput(AMDiffError):
    """The input is not a PET volume this software can read and quantify."""

    kind = "bad_input"
    exit_code = 2


class OutOfMemory(AMDiffError):
    """Not enough memory, also after the tiles were made smaller."""

    kind = "out_of_memory"
    exit_code = 3


class NoKernelImage(AMDiffError):
    """The GPU is too new or too old for the installed torch."""

    kind = "no_kernel_image"
    exit_code = 4


class MissingPackage(AMDiffError):
    """A Python package that the work needs is not installed."""

    kind = "missing_package"
    exit_code = 5


class BadCheckpoint(AMDiffError):
    """Weights are missing, damaged, or do not belong to their configuration."""

    kind = "bad_checkpoint"
    exit_code = 6


class SomeFailed(AMDiffError):
    """Of several studies that were all tried, some failed; what became of each is in a table."""

    kind = "some_failed"
    exit_code = 8


class CannotWrite(AMDiffError):
    """The results cannot be written: the disk is full, write-protected or broken."""

    kind = "cannot_write"
    exit_code = 9


class Cancelled(AMDiffError):
    """The user, or the program that started the job, asked it to stop."""

    kind = "cancelled"
    exit_code = 7
