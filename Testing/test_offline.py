"""A hospital without internet: a run reaches for no network and leaves no download in the home folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from AMDiffModule.worker import installed_models
from small_cases import a_patient, written_patient

REPOSITORY = Path(__file__).resolve().parents[1]

# Python imports this file first: every attempt to look up or reach another computer is noted and fails.
NO_NETWORK = """
import os, socket, sys

def refused(*arguments, **options):
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(repr(arguments) + "\\n")
    raise OSError("there is no network here")

sys.addaudithook(
    lambda event, arguments: refused(event, arguments)
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
    else None
)
"""


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    """A run of the shipped model on a computer without network and with an empty home folder."""
    models = installed_models()
    if not models:
        pytest.skip("no model is installed in Resources/Models")
    folder = tmp_path_factory.mktemp("offline")
    home = folder / "home"
    home.mkdir()
    (folder / "first").mkdir()
    (folder / "first" / "sitecustomize.py").write_text(NO_NETWORK)
    scan = written_patient(folder / "scan.nrrd", a_patient((32, 32, 32)))
    environment = dict(os.environ)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TORCH_HOME", "HF_HOME"):
        environment.pop(name, None)
    environment |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHONPATH": str(folder / "first"),
        "ATTEMPTS": str(folder / "attempts.txt"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "AMDiffLib.denoise_segment", scan, "--units", "SUVbw"]
    command += ["--output-dir", folder / "out", "--model", models[0], "--device", "cpu", "--threads", "1"]
    command += ["--progress", "json"]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, folder


def test_the_shipped_model_runs_without_a_network_and_tries_none(a_run):
    done, folder = a_run
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))["model"]["name"]
    assert not (folder / "attempts.txt").exists()


def test_the_guard_itself_notices_an_attempt(a_run):
    folder = a_run[1]
    done = subprocess.run(
        [sys.executable, "-c", "import socket; socket.getaddrinfo('example.org', 80)"],
        env={
            **os.environ,
            "PYTHONPATH": str(folder / "first"),
            "ATTEMPTS": str(folder / "guard.txt"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "there is no network here" in done.stderr
    assert "getaddrinfo" in (folder / "guard.txt").read_text()


def test_nothing_of_the_models_is_left_in_the_home_folder(a_run):
    files = [path for path in (a_run[1] / "home").rglob("*") if path.is_file()]
    # Matplotlib keeps its list of fonts; weights would be megabytes.
    assert all("matplotlib" in path.parts and path.stat().st_size < 1e6 for path in files), files
