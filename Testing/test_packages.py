"""What a click may install: only what is missing, with consent, and nothing that Slicer already has."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import slicer
from AMDiffModule.packages import PackagesMissing, ensure_packages

REPOSITORY = Path(__file__).resolve().parents[1]
MISSING = "no-such-package-at-all>=1"


@pytest.fixture
def requirements(tmp_path) -> Path:
    file = tmp_path / "requirements.txt"
    file.write_text(f"numpy>=1.0\n{MISSING}\n")
    return file


@pytest.fixture
def asked_of_slicer(monkeypatch) -> list[tuple]:
    """What `slicer.packaging.pip_ensure` of Slicer 5.12 is asked to install, and with which constraints."""
    asked = []

    def pip_ensure(wanted, *, constraints, requester):
        asked.append((wanted, Path(constraints).read_text().splitlines(), requester))

    packaging = ModuleType("slicer.packaging")
    packaging.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    return asked


def test_only_what_is_missing_is_asked_for_and_slicers_own_versions_are_held(requirements, asked_of_slicer):
    with pytest.raises(PackagesMissing, match="still missing"):
        ensure_packages(requirements)
    ((wanted, constraints, requester),) = asked_of_slicer
    assert wanted == [MISSING]
    assert requester == "AMDiff"
    for name in ("numpy", "SimpleITK", "torch", "pydicom", "scipy"):
        assert f"{name}=={importlib.metadata.version(name)}" in constraints


def test_where_nothing_is_missing_slicer_is_not_asked(asked_of_slicer):
    for name in ("requirements.txt", "requirements-export.txt"):
        ensure_packages(REPOSITORY / "Resources" / name)
    assert asked_of_slicer == []


def test_a_slicer_without_pip_ensure_asks_the_user_and_takes_no_for_an_answer(requirements, monkeypatch):
    questions, installed = [], []
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    answers = iter([False, True])

    def confirm(text, title):
        questions.append(text)
        return next(answers)

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm, raising=False)
    monkeypatch.setattr(slicer.util, "pip_install", installed.append, raising=False)
    with pytest.raises(PackagesMissing, match="were not installed"):
        ensure_packages(requirements)
    assert installed == []
    with pytest.raises(PackagesMissing, match="still missing"):
        ensure_packages(requirements)
    assert MISSING in questions[0]
    (arguments,) = installed
    assert arguments[:2] == [MISSING, "--constraint"]


def test_torch_comes_from_the_pytorch_extension_alone(tmp_path, monkeypatch, asked_of_slicer):
    """That extension picks the build for the computer's graphics card; pip would take any."""
    file = tmp_path / "requirements.txt"
    file.write_text("torch>=999.0\n")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(PackagesMissing, match="extension 'PyTorch'"):
        ensure_packages(file)
    wanted = []
    logic = SimpleNamespace(installTorch=lambda **choices: wanted.append(choices))
    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=lambda: logic))
    with pytest.raises(PackagesMissing, match="PyTorch is needed"):
        ensure_packages(file)
    assert wanted == [{"askConfirmation": True, "torchVersionRequirement": ">=999.0"}]
    assert asked_of_slicer == []


def test_looking_for_torch_does_not_import_it():
    script = (
        "import sys; from pathlib import Path; from AMDiffModule.packages import missing_requirements\n"
        "print(missing_requirements(Path(sys.argv[1])), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(REPOSITORY / "Resources" / "requirements.txt")],
        cwd=REPOSITORY / "AMDiff",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] False"
