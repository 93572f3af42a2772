"""The Python packages of the background process: looked for without importing, installed with consent."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import tempfile
from pathlib import Path

from .translation import _

_KEEP = ("numpy", "scipy", "SimpleITK", "pydicom", "torch")


class PackagesMissing(RuntimeError):
    """Packages are missing and were not installed; the message says which and what to do."""


def missing_requirements(requirements: Path) -> list[str]:
    """Return the lines of a requirements file (`name>=version`) that are not met; nothing is imported."""
    lines = [line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not _is_met(line)]


def ensure_packages(requirements: Path) -> None:
    """Install what is missing, after asking; when nothing is, touch nothing.

    Raises:
        PackagesMissing: the user declined, or the installation failed.
    """
    missing = missing_requirements(requirements)
    if not missing:
        return
    torch = [line for line in missing if line.startswith("torch>")]
    others = [line for line in missing if line not in torch]
    try:
        if torch:
            _install_torch(torch[0])
        if others:
            _install(others)
    except PackagesMissing:
        raise
    except Exception as error:  # pip, the network, the proxy, or the user's 'no'
        raise PackagesMissing(
            _("The packages {packages} were not installed: {error}").format(
                packages=", ".join(missing), error=error
            )
        ) from error
    if still_missing := missing_requirements(requirements):
        raise PackagesMissing(
            _("The packages {packages} are still missing. Look into the log, or restart Slicer.").format(
                packages=", ".join(still_missing)
            )
        )


def _is_met(requirement: str) -> bool:
    name, _separator, minimum = requirement.partition(">=")
    try:
        installed = importlib.metadata.version(name.strip())
    except importlib.metadata.PackageNotFoundError:
        # A package built into the application may lack its metadata.
        return importlib.util.find_spec(name.strip()) is not None
    return _numbers(installed) >= _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"[\d.]*", version).group().split(".") if part)


def _install_torch(requirement: str) -> None:
    try:
        import PyTorchUtils
    except ImportError as error:
        raise PackagesMissing(
            _(
                "PyTorch is missing. Install the extension 'PyTorch' with the Extensions Manager, restart "
                "Slicer, and click again: it chooses the build for this computer's graphics card."
            )
        ) from error
    installed = PyTorchUtils.PyTorchUtilsLogic().installTorch(
        askConfirmation=True, torchVersionRequirement=requirement.removeprefix("torch")
    )
    if installed is None:
        raise PackagesMissing(_("PyTorch is needed and was not installed."))


def _install(requirements: list[str]) -> None:
    # What is there stays as it is: a package that replaced numpy or SimpleITK would break other extensions.
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in _installed(_KEEP)), encoding="utf-8")
        try:
            from slicer.packaging import pip_ensure  # Slicer 5.12 and newer; it asks by itself
        except ImportError:
            _install_after_asking(requirements, constraints)
            return
        pip_ensure(requirements, constraints=constraints, requester="AMDiff")


def _install_after_asking(requirements: list[str], constraints: Path) -> None:
    import slicer

    question = _("AMDiff needs these Python packages in Slicer:\n\n{packages}\n\nInstall them now?")
    if not slicer.util.confirmOkCancelDisplay(question.format(packages="\n".join(requirements)), "AMDiff"):
        raise PackagesMissing(
            _("The packages {packages} are needed and were not installed.").format(
                packages=", ".join(requirements)
            )
        )
    slicer.util.pip_install([*requirements, "--constraint", str(constraints)])


def _installed(names: tuple[str, ...]) -> list[str]:
    lines = []
    for name in names:
        try:
            lines.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return lines
