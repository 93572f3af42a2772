"""The command that denoises and segments in the background: which Python, which library, which options."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .translation import _

LIBRARY = "AMDiffLib"


class WorkerNotFound(RuntimeError):
    """The Python interpreter or the library of the background process is not where it should be."""


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What the panel lets the user choose; `steps` 0 leaves the number of steps to the model."""

    model: str = "amdiff-compact"
    device: str = "auto"
    steps: int = 0
    seed: int = 0
    threads: int | None = None


def library_root(start: Path | None = None) -> Path:
    """Return the folder with `AMDiffLib`: beside the module once installed, one level up in the sources."""
    module_folder = (start or Path(__file__)).resolve().parents[1]
    for folder in (module_folder, module_folder.parent):
        if (folder / LIBRARY / "__init__.py").is_file():
            return folder
    raise WorkerNotFound(
        _(
            "The folder {library} was found neither in {folder} nor in {parent}. "
            "Install the AMDiff extension again."
        ).format(library=LIBRARY, folder=module_folder, parent=module_folder.parent)
    )


def installed_models(root: Path | None = None) -> list[str]:
    """Return the names of the models that come with the extension, sorted."""
    folder = (root or library_root()) / "Resources" / "Models"
    return sorted(path.parent.name for path in folder.glob("*/config.json"))


def is_model_folder(folder: Path) -> bool:
    """Return whether a folder holds a model: its configuration and its weights."""
    return all((folder / name).is_file() for name in ("config.json", "model.safetensors"))


def find_python(slicer_home: str | None = None) -> Path:
    """Return the Python interpreter of this application.

    In Slicer that is `PythonSlicer`, which sets up the libraries before it starts Python; `slicer_home` is
    `slicer.app.slicerHome`. Slicer itself is never returned: it would open a second window.
    """
    executable = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    candidates = [Path(sys.executable)] if sys.executable else []
    candidates += [path.with_name(executable) for path in candidates]
    if slicer_home:
        candidates.append(Path(slicer_home) / "bin" / executable)
    if on_path := shutil.which("PythonSlicer"):
        candidates.append(Path(on_path))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for prefix in (Path(sys.prefix), Path(sys.base_prefix)):
        candidates += [prefix / "bin" / version, prefix / "bin" / "python3", prefix / "python.exe"]
    for candidate in candidates:
        if candidate.name.lower().startswith("python") and candidate.is_file():
            return candidate
    raise WorkerNotFound(
        _(
            "No PythonSlicer was found beside this application, so the background process cannot start. "
            "Install 3D Slicer again, or start it from its own folder."
        )
    )


def worker_environment(root: Path) -> dict[str, str]:
    """Return this process's environment with the library, and the packages seen here, on the Python path."""
    environment = dict(os.environ)
    packages = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    known = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    entries = dict.fromkeys([str(root), *known, *packages])
    environment["PYTHONPATH"] = os.pathsep.join(entries)
    # Folder names may hold umlauts; a line must arrive when it is written, not when a buffer is full.
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def describe_command(python: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command line that describes a scan, or this computer."""
    return [str(python), "-m", f"{LIBRARY}.describe", *arguments, "--json", "--stop-when-stdin-closes"]


def worker_command(
    python: Path,
    input_path: Path,
    output_dir: Path,
    options: WorkerOptions,
    input_arguments: tuple[str, ...] = (),
) -> list[str]:
    """Return the command line of the job; `input_arguments` say what the input's values are."""
    command = [str(python), "-m", f"{LIBRARY}.denoise_segment", str(input_path), *input_arguments]
    command += ["--output-dir", str(output_dir), "--model", options.model, "--device", options.device]
    command += ["--seed", str(options.seed), "--progress", "json", "--stop-when-stdin-closes"]
    if options.steps:
        command += ["--steps", str(options.steps)]
    if options.threads:
        command += ["--threads", str(options.threads)]
    return command
