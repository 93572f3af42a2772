"""A command started as a file, as `Slicer --python-script` does it, and as a program."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from training_cases import command, write_cohort, write_config

from AMDiffLib import command as commands
from AMDiffLib.errors import BadInput

TRAIN = Path(__file__).resolve().parents[1] / "AMDiffLib" / "train.py"


@pytest.fixture
def in_slicer(monkeypatch) -> list[int]:
    """The exit codes that Slicer is asked to end with; Slicer itself is not here."""
    codes: list[int] = []
    slicer = SimpleNamespace(app=object(), util=SimpleNamespace(exit=codes.append))
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    return codes


def run_as_script(monkeypatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(TRAIN), *options])
    runpy.run_path(str(TRAIN), run_name="__main__")


@pytest.mark.parametrize("before", [(), ("--",)])
def test_slicer_ends_with_the_exit_code_of_a_training(before, in_slicer, monkeypatch, tmp_path):
    options = command(write_cohort(tmp_path), write_config(tmp_path), tmp_path / "run", steps=1)
    run_as_script(monkeypatch, *before, *options)
    assert in_slicer == [0]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_slicer_ends_with_the_exit_code_of_a_failure(in_slicer, monkeypatch, tmp_path, capsys):
    nothing = tmp_path / "nothing.json"
    run_as_script(monkeypatch, "--", "--manifest", str(nothing), "--output", str(tmp_path / "run"))
    assert in_slicer == [BadInput.exit_code]
    assert "nothing.json" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "code"), [(["--no-such-option"], 2), (["--help"], 0)])
def test_slicer_ends_after_a_wrong_option_too(options, code, in_slicer, monkeypatch, capsys):
    run_as_script(monkeypatch, "--", *options)
    assert in_slicer == [code]
    assert capsys.readouterr().err or code == 0


def test_outside_slicer_the_process_ends_with_the_exit_code(monkeypatch):
    monkeypatch.delitem(sys.modules, "slicer", raising=False)
    with pytest.raises(SystemExit) as ended:
        commands.start(lambda: 7)
    assert ended.value.code == 7


def test_a_training_starts_no_process(in_slicer, monkeypatch, tmp_path):
    """Inside Slicer a second Python process would be a second Slicer, or hang."""

    def refuse(event: str, arguments: tuple) -> None:
        if watching and event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system", "os.exec"):
            started.append(event)

    started: list[str] = []
    watching = True
    sys.addaudithook(refuse)  # stays until the interpreter ends, and does nothing any more
    options = command(write_cohort(tmp_path), write_config(tmp_path), tmp_path / "run", steps=2)
    run_as_script(monkeypatch, "--", *options)
    watching = False
    assert in_slicer == [0]
    assert started == []
