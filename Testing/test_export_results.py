"""The command that exports: its contract with the program that starts it, the table, the page, privacy."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zlib
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest
import SimpleITK as sitk
from export_cases import IDENTITY, REMOVED, STUDY, WARNING, a_case, denoised_of, lesions_of
from matplotlib.text import Text
from trust_cases import HIGH, LOW

from AMDiffLib.errors import BadInput
from AMDiffLib.export.bundle import ExportRequest, patient_lines
from AMDiffLib.export.page import draw_page
from AMDiffLib.export.result_set import read_results
from AMDiffLib.export.source_series import read_source_series
from AMDiffLib.export_results import Job, parser
from AMDiffLib.image.reading import read_pet
from AMDiffLib.progress import SilentReporter
from AMDiffLib.quantification.count_consistency import NOT_SUPPORTED

REPOSITORY = Path(__file__).resolve().parents[1]
# Parts of the patient's identity that would be found in a text, whatever its form.
SECRETS = ("FAMILY", "GIVEN", "MRN4711", "ACC0815", "19500101", "1950-01-01", "WHO")
DISCLAIMER = "not for diagnosis"
CONTRACT = ("--progress", "json", "--stop-when-stdin-closes")


def run_command(*arguments, stdin=subprocess.DEVNULL):
    return subprocess.run(
        [sys.executable, "-m", "AMDiffLib.export_results", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


class Heard(SilentReporter):
    """Keeps what was said at the end."""

    facts: ClassVar[dict] = {}

    def done(self, **facts):
        self.facts = facts


def export(*arguments) -> Heard:
    """The command's work in this process."""
    heard = Heard()
    Job(parser().parse_args([str(argument) for argument in arguments]), heard)()
    return heard


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return a_case(tmp_path_factory.mktemp("a scan with ü"))


@pytest.fixture(scope="module")
def finished(case):
    """An export of everything with JSON lines: its process, its lines and its folder."""
    source, results = case
    folder = results.parent / "out"
    done = run_command(
        *("--results", results, "--source", source, "--output", folder),
        *("--dicom", "seg,sr,pet", "--pdf", "--csv", "--progress", "json"),
    )
    assert done.returncode == 0, done.stderr
    return done, [json.loads(line) for line in done.stdout.splitlines()], folder


def test_every_line_is_json_and_the_last_names_what_was_written(finished):
    _, lines, folder = finished
    assert {line["type"] for line in lines} == {"stage", "progress", "done"}
    progress = [line["value"] for line in lines if line["type"] == "progress"]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert lines[-1]["type"] == "done"
    names = ["denoised_pet", "measurements.csv", "measurements_sr.dcm", "report.pdf", "segmentation.dcm"]
    assert lines[-1]["files"] == names
    assert sorted(path.name for path in folder.iterdir()) == names


def test_nothing_but_dicom_identifies_the_patient(finished):
    done, _, folder = finished
    texts = [done.stdout, done.stderr, (folder / "measurements.csv").read_text(encoding="utf-8")]
    texts += [path.name for path in folder.rglob("*")]
    texts.append(searchable(folder / "report.pdf"))
    for secret in SECRETS:
        assert not any(secret in text for text in texts), secret


def searchable(pdf: Path) -> str:
    """The PDF with its streams unpacked; metadata is plain."""
    content = pdf.read_bytes()
    parts = [content]
    for chunk in content.split(b"stream\n")[1:]:
        try:
            parts.append(zlib.decompressobj().decompress(chunk))
        except zlib.error:
            continue
    return b"".join(parts).decode("latin-1")


def test_every_row_of_the_table_says_that_it_is_not_for_diagnosis(finished, case):
    _, _, folder = finished
    with (folder / "measurements.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert all("Not for diagnosis" in row["notice"] for row in rows)
    lesions = [row for row in rows if row["kind"] == "lesion"]
    assert [row["name"] for row in lesions] == ["Lesion 1", "Lesion 2"]
    # By the definition: the largest value inside, and voxels of 5 x 4 x 35.9 / 11 mm.
    assert float(lesions[0]["suv_max_g_per_ml"]) == pytest.approx(
        denoised_of()[lesions_of() == 1].max(), rel=1e-5
    )
    assert float(lesions[0]["mtv_ml"]) == pytest.approx(48 * 20 * 35.9 / 11 / 1000, rel=1e-5)


def test_the_table_has_intervals_count_checks_and_what_was_removed(finished):
    with (finished[2] / "measurements.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert float(rows["Lesion 1"]["suv_max_low_g_per_ml"]) == pytest.approx(
        LOW * float(rows["Lesion 1"]["suv_max_g_per_ml"]), rel=1e-4
    )
    assert [rows[name]["count_check"] for name in ("Lesion 1", "Lesion 2")] == ["", NOT_SUPPORTED]
    removed = rows["Removed 1"]
    assert removed["kind"] == "removed hot spot" and "Not for diagnosis" in removed["notice"]
    assert float(removed["low_count_suv_max_g_per_ml"]) == REMOVED["low_count_suv_max_g_per_ml"]
    assert float(removed["centroid_p_mm"]) == REMOVED["centroid_p_mm"]


def texts_of(results, **options):
    figure = draw_page(results, now=datetime(2024, 3, 11, 12, 30), **options)
    figure.canvas.draw()
    return figure, [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_the_page_shows_pictures_measurements_and_what_made_them(case):
    figure, artists = texts_of(read_results(case[1], read_pet(case[0])))
    words = " ".join(artist.get_text() for artist in artists)
    row = json.loads((case[1] / "measurements.json").read_text())["lesions"][0]
    for expected in (
        "Low-count input", "Denoised (AI, synthetic)", "Lesion 1", "liver", "near",
        f"{row['suv_max_g_per_ml']:.2f}", f"{row['suv_peak_g_per_ml']:.2f}", f"{row['tlg_g']:.1f}",
        "All 2 lesions", "ACME Tomograph", "350 MBq", "60 min uptake", "AMDiff amdiff-test, version 9.8.7",
        "2024-03-11 12:30", DISCLAIMER, "⚠ Lesion 2", "not supported by the counts (z +5.2)", WARNING,
        f"{row['tlg_g']:.1f} ({row['tlg_g'] * LOW:.1f}–{row['tlg_g'] * HIGH:.1f})", "false lesions",
    ):  # fmt: skip
        assert expected in words, expected
    images = [image for axes in figure.axes for image in axes.get_images()]
    assert {(image.get_cmap().name, image.get_clim()) for image in images} == {("gray_r", (0.0, 7.0))}
    for artist in artists:
        box = artist.get_window_extent()
        assert box.x0 > -0.1, artist.get_text()
        assert box.x1 < figure.bbox.width + 0.1, artist.get_text()


def test_the_page_names_the_patient_only_when_asked_to(case):
    results = read_results(case[1], read_pet(case[0]))
    anonymous = " ".join(artist.get_text() for artist in texts_of(results)[1])
    assert not any(secret in anonymous for secret in SECRETS)
    named = " ".join(artist.get_text() for artist in texts_of(results, identity=("Patient: FAMILY",))[1])
    assert "Patient: FAMILY" in named


def test_identity_can_be_asked_for(case, tmp_path):
    source, results = case
    said = export(
        "--results", results, "--source", source, "--output", tmp_path / "out", "--pdf", "--identity"
    )
    assert said.facts["files"] == ["report.pdf"]
    series = read_source_series(source)
    assert patient_lines(series) == ("Patient: FAMILY GIVEN", "ID: MRN4711", "Study: 2024-03-11")


def test_many_lesions_fit_on_the_page_and_the_rest_is_counted(case):
    results = read_results(case[1], read_pet(case[0]))
    row = {**results.measurements["lesions"][0], "deauville_score": 4}
    results.measurements["lesions"] += [
        {**row, "name": f"Mediastinal lymph node {n}", "label": n} for n in range(3, 31)
    ]
    figure, artists = texts_of(results)
    words = " ".join(artist.get_text() for artist in artists)
    assert "Deauville" in words
    assert all(artist.get_window_extent().x1 < figure.bbox.width for artist in artists)
    lesions = [artist for artist in artists if artist.get_text().startswith("Mediastinal")]
    sites = [artist for artist in artists if artist.get_text() == "liver"]
    assert max(artist.get_window_extent().x1 for artist in lesions) < max(
        artist.get_window_extent().x0 for artist in sites
    )
    assert "All 30 lesions" in words
    assert "and 18 more" in words
    assert all(artist.get_window_extent().y0 > 0 for artist in artists)


def test_a_failure_leaves_nothing_and_has_its_kind_and_exit_code(case, tmp_path):
    source, _ = case
    done = run_command(
        *("--results", tmp_path, "--source", source, "--output", tmp_path / "out", "--csv"),
        *("--progress", "json"),
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["type"], last["kind"]) == (2, "error", "bad_input")
    assert "report.json is missing" in last["text"]
    assert list(tmp_path.iterdir()) == []


def test_dicom_of_a_scan_that_is_no_dicom_is_refused_and_its_table_is_not(case, tmp_path):
    volume = read_pet(case[0])
    sitk.WriteImage(volume.with_array(volume.suv), str(tmp_path / "scan.nrrd"))
    common = ("--results", case[1], "--source", tmp_path / "scan.nrrd", "--output", tmp_path / "out")
    with pytest.raises(BadInput, match="is a NRRD file; a DICOM export needs the DICOM series"):
        export(*common, "--units", "SUVbw", "--dicom", "pet", "--csv")
    assert not (tmp_path / "out").exists()
    said = export(*common, "--units", "SUVbw", "--csv", "--pdf")
    assert said.facts["files"] == ["measurements.csv", "report.pdf"]


def test_an_export_is_repeated_over_an_older_one_without_mixing_slices(case, tmp_path):
    source, results = case
    out = tmp_path / "out"
    (out / "denoised_pet").mkdir(parents=True)
    (out / "denoised_pet" / "9999.dcm").write_text("of an older series")
    (out / "mine.txt").write_text("mine")
    common = ("--results", results, "--source", source, "--output", out, "--dicom", "pet")
    with pytest.raises(BadInput, match="is not empty"):
        export(*common)
    export(*common, "--overwrite")
    assert (out / "mine.txt").is_file()
    assert len(list((out / "denoised_pet").iterdir())) == STUDY["NumberOfSlices"]
    assert not (out / "denoised_pet" / "9999.dcm").exists()


def test_closing_stdin_stops_the_export_and_leaves_nothing(case, tmp_path):
    source, results = case
    arguments = ("--results", results, "--source", source, "--output", tmp_path / "out", "--dicom", "sr")
    process = subprocess.Popen(
        [sys.executable, "-m", "AMDiffLib.export_results", *map(str, arguments), *CONTRACT],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdin.close()
    lines = [json.loads(line) for line in process.stdout.read().splitlines()]
    assert process.wait(timeout=60) == 7
    assert lines[-1]["kind"] == "cancelled"
    assert list(tmp_path.iterdir()) == []


def test_the_report_brings_along_what_it_refers_to():
    assert ExportRequest(dicom=frozenset({"sr"})).dicom == {"seg", "sr", "pet"}
    assert ExportRequest(dicom=frozenset({"pet"})).dicom == {"pet"}
    with pytest.raises(BadInput, match="Nothing to export"):
        ExportRequest()


def test_identity_in_the_case_is_what_these_tests_look_for():
    told = " ".join([*IDENTITY.values(), STUDY["PatientBirthDate"], STUDY["ReferringPhysicianName"]])
    assert all(secret in told for secret in SECRETS if secret != "1950-01-01")
