"""No code from data, no path from a header, no identity outside DICOM, no temporary data open to others."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_builder import write_series
from fuzz_images import OUTSIDE
from small_cases import a_patient, saved_tiny_model

from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import read_pet

REPOSITORY = Path(__file__).resolve().parents[1]
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "os.system", "os.popen", "torch.load", "torch.hub.load", "tempfile.mktemp",
    "subprocess.getoutput", "subprocess.getstatusoutput", "pd.read_pickle",
}  # fmt: skip
ARCHIVES = {"zipfile", "tarfile"}
SOURCES = sorted((REPOSITORY / "AMDiff").rglob("*.py")) + sorted((REPOSITORY / "AMDiffLib").rglob("*.py"))

IDENTITY = {
    "PatientName": "Zwyxerling^Quodvultdeus",
    "PatientID": "IDQX-471108",
    "PatientBirthDate": "19310517",
    "OtherPatientIDs": "OTHERQX-99",
    "AccessionNumber": "ACCQX-2231",
    "ReferringPhysicianName": "Physicianius^Xaver",
    "SeriesDescription": "PET AC of Zwyxerling",
}
WORDS = (
    "zwyxerling", "quodvultdeus", "idqx", "471108", "19310517", "1931-05-17", "otherqx", "accqx",
    "physicianius",
)  # fmt: skip
# Python imports this file first: every file and folder that is made is noted, with a folder's permissions.
WATCH = """
import os, sys
note = open(os.environ["MADE"], "a", buffering=1)

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[1] and set(arguments[1]) & set("wax+"):
        note.write("file " + arguments[0] + "\\n")
    elif event == "os.mkdir":
        note.write("folder %o " % arguments[1] + os.fsdecode(arguments[0]) + "\\n")

sys.addaudithook(watch)
"""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_source_unpickles_evaluates_text_or_starts_a_shell(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            roots = {name.partition(".")[0] for name in names}
            assert not roots & UNPICKLING
            assert not roots & ARCHIVES, "whoever reads an archive checks its members, and tests that here"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS
            for keyword in node.keywords:
                allowed = isinstance(keyword.value, ast.Constant) and not keyword.value.value
                assert keyword.arg not in ("shell", "allow_pickle") or allowed
            if ast.unparse(node.func).startswith("subprocess.") and node.args:
                # A list of arguments, or a name that holds one; never one text for a shell to take apart.
                assert not isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_header_reads_no_file_outside_its_own_folder(tmp_path, suffix, name):
    secret = np.full((9, 9, 9), 7, np.float32)
    (tmp_path / "secret.raw").write_bytes(secret.tobytes())
    inner = tmp_path / "data"
    inner.mkdir()
    (inner / "inner").mkdir()
    (inner / "link.raw").symlink_to(tmp_path / "secret.raw")
    os.mkfifo(inner / "pipe.raw")
    header = inner / f"scan{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(secret), str(header))
    text = header.read_text()
    key = "data file: " if suffix == ".nhdr" else "ElementDataFile = "
    header.write_text(
        re.sub(f"{key}.*", lambda _: key + name, text).replace("encoding: gzip", "encoding: raw")
    )
    with pytest.raises(BadInput, match=r"NRRD|MetaImage"):
        read_pet(header, units="SUVbw")


def test_a_pipe_in_place_of_a_scan_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "scan.nrrd")
    with pytest.raises(BadInput, match="regular file"):
        read_pet(tmp_path / "scan.nrrd", units="SUVbw")


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    """The real command on a patient whose name is everywhere: in the header, in a text, in the folder."""
    folder = tmp_path_factory.mktemp("identity")
    scan = folder / "Zwyxerling_Quodvultdeus"
    stored = np.clip(a_patient((24, 24, 24)).suv * 1000, 0, 32000).astype(np.int16)
    uids = {"StudyInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5"}
    positions = [4.0 * k for k in range(24)]
    write_series(
        scan, stored, positions=positions, pixel_spacing=(4.0, 4.0), RescaleSlope="5", **uids, **IDENTITY
    )
    for name in ("first", "temporary"):
        (folder / name).mkdir()
    (folder / "first" / "sitecustomize.py").write_text(WATCH)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder / "first"), str(REPOSITORY)]),
        "TMPDIR": str(folder / "temporary"),
        "MADE": str(folder / "made.txt"),
    }
    output = folder / "results"
    command = [sys.executable, "-m", "AMDiffLib.denoise_segment", str(scan), "--output-dir", str(output)]
    command += ["--model", str(saved_tiny_model(folder / "model")), "--device", "cpu", "--threads", "1"]
    command += ["--tile", "32", "--progress", "json", "--dicom", "seg,sr,pet", "--pdf"]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    described = subprocess.run(
        [sys.executable, "-m", "AMDiffLib.describe", str(scan), "--json"],
        env=environment, capture_output=True, cwd=folder, check=False,
    )  # fmt: skip
    return folder, output, done.stdout + done.stderr + described.stdout + described.stderr


def identity_in(content: bytes) -> list[str]:
    """The words of the identity in some bytes: as they are, as UTF-16, and in whatever is deflated there."""
    parts = [content, content.replace(b"\0", b"")]
    for match in re.finditer(rb"stream\r?\n|IDAT|zTXt[^\0]*\0\0|\x1f\x8b\x08|\n\n", content):
        for start in (match.start(), match.end()):
            for window in (15, 31):
                try:
                    parts.append(zlib.decompressobj(window).decompress(content[start:]))
                except zlib.error:
                    continue
    return [word for word in WORDS if any(word.encode() in part.lower() for part in parts)]


def test_the_search_finds_a_name_in_plain_and_packed_bytes():
    assert identity_in(b"x Zwyxerling") == ["zwyxerling"]
    assert identity_in("IDQX".encode("utf-16")) == ["idqx"]
    assert identity_in(b"stream\n" + zlib.compress(b"born 1931-05-17")) == ["1931-05-17"]


def test_the_identity_is_in_no_output_but_dicom(a_run):
    _, output, _ = a_run
    files = [path for path in output.rglob("*") if path.is_file()]
    assert {"denoised.nrrd", "report.json", "measurements.csv", "overview.png", "report.pdf"} <= {
        path.name for path in files
    }
    dicom = [path for path in files if path.read_bytes()[128:132] == b"DICM"]
    assert len(dicom) == 26  # SEG, SR and 24 slices: for these the identity is what they are filed by
    assert all(b"Zwyxerling" in path.read_bytes() for path in dicom)
    for path in set(files) - set(dicom):
        assert identity_in(path.read_bytes()) == [], path.name
        assert identity_in(str(path.relative_to(output)).encode()) == []


def test_the_identity_is_in_no_log_and_no_line_for_programs(a_run):
    _, _, said = a_run
    assert b'"type": "done"' in said
    assert identity_in(said) == []


def test_temporary_data_lie_in_private_folders_without_a_name_and_are_removed(a_run):
    folder, output, _ = a_run
    made = [line.split(" ", 1) for line in (folder / "made.txt").read_text().splitlines()]
    files = [Path(rest) for kind, rest in made if kind == "file"]
    folders = {Path(rest.split(" ", 1)[1]): rest.split(" ", 1)[0] for kind, rest in made if kind == "folder"}
    patient_data = [
        path for path in files if path.suffix in (".json", ".csv", ".pdf", ".png", ".nrrd", ".dcm")
    ]
    assert len(patient_data) > 5
    for path in patient_data:
        private = [parent for parent in path.parents if folders.get(parent) == "700"]
        assert private, path
    assert [path for path in [*files, *folders] if identity_in(path.name.encode())] == []
    assert list((folder / "temporary").iterdir()) == []
    assert [path.name for path in folder.iterdir() if path.name.startswith(".amdiff")] == []
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(output.stat().st_mode) == 0o777 & ~mask


def test_the_report_names_the_input_without_the_name(a_run):
    _, output, _ = a_run
    report = json.loads((output / "report.json").read_text())
    assert report["input"]["path"] == "[withheld]_[withheld]"
