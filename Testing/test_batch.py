"""A folder tree of studies, processed by real processes: bad ones, interruptions, changes, shares."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_builder import DEFAULT_FACTOR, write_ct, write_series
from job_processes import ON_ONE_CORE, run_command, started_command
from pydicom.uid import generate_uid
from small_cases import a_patient, saved_tiny_model, written_patient

from AMDiffLib.batch.config import Part
from AMDiffLib.batch.studies import LONGEST_NAME, find_studies
from AMDiffLib.errors import BadInput

SLOPE = 5.0  # Bq/mL; the bladder stays within 16 bits


def options_of(tree, out, model, *options):
    job = ("--studies", tree, "--output-dir", out, "--model", model, "--units", "SUVbw")
    return [*job, *ON_ONE_CORE, *options]


def run(tree, out, model, *options):
    return run_command(*options_of(tree, out, model, *options))


def summary_of(out: Path, name: str = "summary.csv") -> dict[str, dict[str, str]]:
    with (out / name).open(encoding="utf-8", newline="") as file:
        return {row["study"]: row for row in csv.DictReader(file)}


def write_dicom_patient(folder: Path, **changes) -> str:
    """The small patient as a DICOM series in Bq/mL."""
    volume = a_patient((24, 36, 44))
    stored = np.round(volume.suv / DEFAULT_FACTOR / SLOPE).astype(np.int16)
    return write_series(
        folder,
        stored,
        positions=[4.0 * index for index in range(len(stored))],
        pixel_spacing=(4.0, 4.0),
        RescaleSlope=str(SLOPE),
        **changes,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def a_batch(tmp_path_factory, model):
    """Five studies, three of them bad, in folders with spaces and umlauts; and how the batch went.

    The results go under the tree itself, where a later search must not find them.
    """
    folder = tmp_path_factory.mktemp("Köln Süd")
    tree = folder / "Studien 2024"
    out = tree / "Ergebnisse für Köln"
    (out / "taken").mkdir(parents=True)
    (out / "taken" / "notes.txt").write_text("mine")
    (tree / "Jürgen Müller" / "Scan 1").mkdir(parents=True)
    written_patient(tree / "Jürgen Müller" / "Scan 1" / "PET.nii.gz")
    write_dicom_patient(tree / "Zoë" / "PET")
    write_ct(tree / "Zoë" / "CT")
    write_dicom_patient(tree / "no weight", PatientWeight=None)
    (tree / "broken.nrrd").write_text("This is not a scan.")
    written_patient(tree / "taken.mha", a_patient((32, 32, 32)))
    return folder, tree, out, run(tree, out, model, "--steps", "1")


def test_bad_studies_do_not_stop_the_rest_and_say_why(a_batch):
    _, _, out, (code, lines, stderr) = a_batch
    assert code == 8, stderr
    rows = summary_of(out)
    assert {study: row["status"] for study, row in rows.items()} == {
        "Jürgen Müller/Scan 1/PET.nii.gz": "done",
        "Zoë/PET": "done",
        "broken.nrrd": "failed",
        "no weight": "failed",
        "taken.mha": "failed",
    }
    assert rows["no weight"]["error_kind"] == "bad_input"
    assert "weight" in rows["no weight"]["error"]
    assert (lines[-1]["type"], lines[-1]["kind"]) == ("error", "some_failed")
    assert "3 of 5" in lines[-1]["text"]


def test_a_folder_that_is_not_ours_is_left_alone(a_batch):
    _, _, out, _ = a_batch
    assert "not empty" in summary_of(out)["taken.mha"]["error"]
    assert [path.name for path in (out / "taken").iterdir()] == ["notes.txt"]


def test_every_good_study_has_its_results_and_the_summary_its_numbers(a_batch):
    _, _, out, _ = a_batch
    for study in ("Jürgen Müller/Scan 1/PET.nii.gz", "Zoë/PET"):
        row = summary_of(out)[study]
        folder = out / row["results"]
        report = json.loads((folder / "report.json").read_text())
        assert all((folder / name).is_file() for name in report["files"])
        total = json.loads((folder / "measurements.json").read_text())["total"]
        assert int(row["lesions"]) == total["lesion_count"]
        assert float(row["tmtv_ml"]) == pytest.approx(total["mtv_ml"], rel=1e-5)
        assert float(row["tlg_g"]) == pytest.approx(total["tlg_g"], rel=1e-5)
        assert float(row["seconds"]) > 0
    # The DICOM study's SUV are those it was written from, to half a step of the stored values.
    report = json.loads((out / "Zoë__PET" / "report.json").read_text())
    assert report["input"]["suv_factor"] == pytest.approx(DEFAULT_FACTOR)


def test_progress_names_the_study_and_never_falls(a_batch):
    _, _, _, (_, lines, _) = a_batch
    stages = [line["text"] for line in lines if line["type"] == "stage"]
    assert any(text.startswith("1/5 Jürgen Müller/Scan 1/PET.nii.gz: ") for text in stages)
    values = [line["value"] for line in lines if line["type"] == "progress"]
    assert values == sorted(values)


def test_a_second_batch_leaves_what_is_finished_alone_and_redoes_what_changed(a_batch, model):
    _, tree, out, _ = a_batch
    nifti, dicom = out / "Jürgen Müller__Scan 1__PET", out / "Zoë__PET"
    before = {path: path.stat().st_mtime_ns for path in (*nifti.iterdir(), *dicom.iterdir())}
    volume = a_patient()
    brighter = dataclasses.replace(volume, suv=volume.suv * 2)
    written_patient(tree / "Jürgen Müller" / "Scan 1" / "PET.nii.gz", brighter)
    code, lines, _ = run(tree, out, model, "--steps", "1")
    assert code == 8
    assert {study: row["status"] for study, row in summary_of(out).items()} == {
        "Jürgen Müller/Scan 1/PET.nii.gz": "done",
        "Zoë/PET": "unchanged",
        "broken.nrrd": "failed",
        "no weight": "failed",
        "taken.mha": "failed",
    }
    assert summary_of(out)["Zoë/PET"]["lesions"] != ""
    for path in dicom.iterdir():
        assert path.stat().st_mtime_ns == before[path]
    assert (nifti / "denoised.nrrd").stat().st_mtime_ns != before[nifti / "denoised.nrrd"]
    assert not any("Zoë" in line.get("text", "") for line in lines)


def test_a_killed_batch_goes_on_where_it_was(model, tmp_path):
    """SIGKILL in the second of three studies: the next batch does the third, then the second."""
    for name in "abc":
        (tmp_path / "tree" / name).mkdir(parents=True)
        written_patient(tmp_path / "tree" / name / "pet.nrrd", a_patient((32, 32, 32)))
    out = tmp_path / "out"
    options = options_of(tmp_path / "tree", out, model, "--steps", "12")
    with started_command(*options, until="denoise", item="2/3") as process:
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert [row["status"] for row in summary_of(out).values()] == ["done", "waiting", "waiting"]
    assert (out / "a__pet" / "report.json").is_file()
    assert not (out / "b__pet").exists()
    assert len(list(out.glob(".amdiff-b__pet-*"))) == 1
    first = (out / "a__pet" / "denoised.nrrd").stat().st_mtime_ns

    code, lines, stderr = run(tmp_path / "tree", out, model, "--steps", "12")
    assert code == 0, stderr
    assert lines[-1]["type"] == "done"
    assert [row["status"] for row in summary_of(out).values()] == ["unchanged", "done", "done"]
    assert (out / "a__pet" / "denoised.nrrd").stat().st_mtime_ns == first
    order = [line["text"] for line in lines if line.get("name") == "denoise"]
    assert order[0].startswith("1/2 c/") and order[1].startswith("2/2 b/")
    assert sorted(path.name for path in out.iterdir()) == ["a__pet", "b__pet", "c__pet", "summary.csv"]


def test_a_batch_stops_when_stdin_closes_and_keeps_what_is_finished(model, tmp_path):
    for name in "ab":
        (tmp_path / "tree" / name).mkdir(parents=True)
        written_patient(tmp_path / "tree" / name / "pet.nrrd", a_patient((32, 32, 32)))
    options = options_of(tmp_path / "tree", tmp_path / "out", model, "--steps", "12")
    with started_command(*options, "--stop-when-stdin-closes", until="denoise", item="2/2") as process:
        process.stdin.close()
        last = json.loads(process.stdout.read().splitlines()[-1])
        process.wait()
    assert process.returncode == 7
    assert last["kind"] == "cancelled"
    assert [row["status"] for row in summary_of(tmp_path / "out").values()] == ["done", "cancelled"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a__pet", "summary.csv"]


def test_damaged_weights_stop_the_batch_before_anything_is_done(model, tmp_path):
    (tmp_path / "tree").mkdir()
    written_patient(tmp_path / "tree" / "pet.nrrd", a_patient((32, 32, 32)))
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    code, lines, _ = run(tmp_path / "tree", tmp_path / "out", tmp_path / "model")
    assert (code, lines[-1]["kind"]) == (6, "bad_checkpoint")
    assert not (tmp_path / "out").exists()


def test_results_do_not_go_where_the_studies_are(model, tmp_path):
    written_patient(tmp_path / "pet.nrrd", a_patient((32, 32, 32)))
    before = sorted(tmp_path.rglob("*"))
    code, lines, _ = run(tmp_path, tmp_path, model)
    assert (code, lines[-1]["kind"]) == (2, "bad_input")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "options", [("scan.nrrd", "--studies", "tree"), (), ("--studies", "tree", "--part", "3/2")]
)
def test_contradicting_arguments_are_refused(tmp_path, options):
    assert run_command(*options, "--output-dir", tmp_path / "o").code == 2
    assert not (tmp_path / "o").exists()


def test_shares_are_disjoint_and_complete():
    studies = [f"study {number}" for number in range(10)]
    shares = [Part(number=number, count=3).of(studies) for number in (1, 2, 3)]
    assert sorted(study for share in shares for study in share) == studies
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert Part(number=2, count=3).summary_name == "summary-2-of-3.csv"


def a_few_counts() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 3000, (3, 8, 8))


def test_the_corrected_series_of_each_study_are_found_and_the_others_passed_over(tmp_path):
    first, second = generate_uid(), generate_uid()
    write_series(tmp_path / "p1" / "AC", a_few_counts(), StudyInstanceUID=first)
    write_series(tmp_path / "p1" / "NAC", a_few_counts(), StudyInstanceUID=first, CorrectedImage=["NORM"])
    write_series(
        tmp_path / "p1" / "MIP",
        a_few_counts(),
        StudyInstanceUID=first,
        ImageType=["DERIVED", "SECONDARY", "MIP"],
    )
    write_series(
        tmp_path / "p1" / "AI",
        a_few_counts(),
        StudyInstanceUID=first,
        ImageType=["DERIVED", "PRIMARY", "AI_DENOISED"],
    )
    write_ct(tmp_path / "p1" / "CT")
    write_series(tmp_path / "p2", a_few_counts(), StudyInstanceUID=second, CorrectedImage=["NORM"])
    studies = find_studies(tmp_path, leave_out=tmp_path / "out")
    # A study of uncorrected series alone is kept, to fail with its reason.
    assert [study.place for study in studies] == ["p1/AC", "p2"]


def test_a_damaged_file_condemns_its_series_and_no_other(tmp_path):
    write_series(tmp_path / "good", a_few_counts())
    write_series(tmp_path / "bad", a_few_counts())
    path = sorted((tmp_path / "bad").iterdir())[1]
    path.write_bytes(path.read_bytes()[:300])
    good = {study.place: study.problem for study in find_studies(tmp_path, leave_out=tmp_path / "out")}
    assert good["good"] is None
    assert "damaged" in good["bad"]


def test_names_are_unique_short_and_the_same_each_time(tmp_path):
    for place in ("a/b", "a__b", "x" * 90 + "/" + "y" * 90):
        (tmp_path / place).mkdir(parents=True)
        written_patient(tmp_path / place / "pet.nrrd", a_patient((8, 8, 8)))
    written_patient(tmp_path / "a" / "b" / "PET.nii", a_patient((8, 8, 8)))
    for uid in (1, 2):
        write_series(
            tmp_path / "two series", a_few_counts(), each=lambda h, i, n=uid: setattr(h, "SeriesNumber", n)
        )
        for file in (tmp_path / "two series").glob("0*.dcm"):
            file.rename(file.with_name(f"series{uid}-{file.name}"))
    studies = find_studies(tmp_path, leave_out=tmp_path / "out")
    names = [study.name for study in studies]
    assert len(names) == 6
    assert len({name.casefold() for name in names}) == len(names)
    assert max(map(len, names)) <= LONGEST_NAME
    assert names == [study.name for study in find_studies(tmp_path, leave_out=tmp_path / "out")]


def test_only_files_of_the_pattern_are_studies(tmp_path):
    for name in ("PET_image.nii.gz", "PET_mask.nii.gz", "x.seg.nrrd"):
        written_patient(tmp_path / name, a_patient((8, 8, 8)))
    found = find_studies(tmp_path, leave_out=tmp_path / "out", pattern="*image*")
    assert [study.place for study in found] == ["PET_image.nii.gz"]
    assert len(find_studies(tmp_path, leave_out=tmp_path / "out")) == 2


def test_a_tree_without_pet_is_refused(tmp_path):
    write_ct(tmp_path / "CT")
    with pytest.raises(BadInput, match="no PET"):
        find_studies(tmp_path, leave_out=tmp_path / "out")
    with pytest.raises(BadInput, match="does not exist"):
        find_studies(tmp_path / "absent", leave_out=tmp_path / "out")


def test_objects_for_other_systems_are_written_beside_the_results(model, tmp_path):
    """DICOM Segmentation, structured report, derived series and page; an NRRD can have the page alone."""
    write_dicom_patient(
        tmp_path / "tree" / "Zoë", StudyInstanceUID=generate_uid(), FrameOfReferenceUID=generate_uid()
    )
    written_patient(tmp_path / "tree" / "pet.nrrd", a_patient((32, 32, 32)))
    options = ("--steps", "1", "--dicom", "sr", "--pdf")
    code, _, stderr = run(tmp_path / "tree", tmp_path / "out", model, *options)
    rows = summary_of(tmp_path / "out")
    assert code == 8, stderr
    assert rows["Zoë"]["status"] == "done", rows["Zoë"]["error"]
    folder = tmp_path / "out" / "Zoë"
    segmentation = pydicom.dcmread(folder / "segmentation.dcm")
    report = pydicom.dcmread(folder / "measurements_sr.dcm")
    assert (segmentation.Modality, report.Modality) == ("SEG", "SR")
    assert len(list((folder / "denoised_pet").iterdir())) == 24
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    files = json.loads((folder / "report.json").read_text())["files"]
    assert {"segmentation.dcm", "measurements_sr.dcm", "denoised_pet", "report.pdf"} <= set(files)
    assert "DICOM series" in rows["pet.nrrd"]["error"]
    code, _, _ = run(tmp_path / "tree", tmp_path / "out", model, *options)
    assert summary_of(tmp_path / "out")["Zoë"]["status"] == "unchanged"
