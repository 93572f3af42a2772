"""Manifests merged, divided and checked, and people who are on both sides of a division."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from cohort_cases import a_person, write

from AMDiffLib import prepare_cohort
from AMDiffLib.cohorts.manifests import divided
from AMDiffLib.errors import BadInput
from AMDiffLib.training.manifest import (
    read_cases,
    read_manifest,
    refuse_shared_people,
    refuse_unlabelled,
)


def prepare(*arguments: object) -> int:
    return prepare_cohort.main([str(argument) for argument in arguments])


def entries(people: int, scanner: str = "mct", first: int = 0) -> list[dict]:
    """Two scans of two levels of each person."""
    return [
        {"subject": f"p{n}-{scan}", "patient": f"p{n}", "scanner": scanner, "counts_percent": level}
        for n in range(first, first + people)
        for scan in (1, 2)
        for level in (5, 10)
    ]


def a_cohort(folder: Path, people: range, levels=(10, 25), **changes) -> Path:
    """A manifest with the files of small people: subject-<number>."""
    cases = []
    for number in people:
        person = a_person(number)
        organs = np.where(person["liver"] > 0, 2, 0).astype(np.uint8)
        own = {"high_count": person["high"], "organs": organs, "lesions": person["lesions"]}
        for level in levels:
            images = own | {"low_count": person[f"low_{level}"]}
            case = {
                "subject": f"subject-{number}",
                "scanner": "mct",
                "counts_percent": float(level),
            } | changes
            for key, array in images.items():
                case[key] = f"{number}/{key}{f'_{level}' if key == 'low_count' else ''}.nrrd"
                write(array, folder / case[key], (4.0, 4.0, 4.0))
            cases.append(case)
    path = folder / "manifest.json"
    path.write_text(json.dumps({"format": "amdiff-manifest", "version": 1, "cases": cases}))
    return path


def test_nobody_is_in_two_parts_and_scanners_are_divided_alike():
    people = [*entries(20), *entries(10, "quadra", first=20)]
    parts = divided(people, {"train": 0.7, "validation": 0.1, "test": 0.2}, seed=3)
    patients = {name: {entry["patient"] for entry in part} for name, part in parts.items()}
    assert [len(patients[name]) for name in ("train", "validation", "test")] == [21, 3, 6]
    assert len(set.union(*patients.values())) == 30
    assert sum(len(part) for part in parts.values()) == len(people)
    quadra = {
        name: len({e["patient"] for e in part if e["scanner"] == "quadra"}) for name, part in parts.items()
    }
    assert quadra == {"train": 7, "validation": 1, "test": 2}


def test_the_seed_decides_who_is_in_which_part():
    shares = {"train": 0.5, "test": 0.5}
    first, again, other = (divided(entries(12), shares, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_part_receives_somebody_or_it_is_refused():
    parts = divided(entries(3), {"train": 0.98, "validation": 0.01, "test": 0.01}, seed=0)
    assert {name: len({e["patient"] for e in part}) for name, part in parts.items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }
    with pytest.raises(BadInput, match=r"too few people \(2\) for 3 parts"):
        divided(entries(2), {"a": 1, "b": 1, "c": 1}, seed=0)


def test_manifests_are_merged_chosen_and_divided_with_their_files(tmp_path):
    first, second = a_cohort(tmp_path / "a", range(2)), a_cohort(tmp_path / "b", range(2, 4))
    merged = tmp_path / "all" / "merged.json"
    assert prepare("merge", first, second, "--levels", "10", "--output", merged) == 0
    assert [(c.subject, c.counts_percent) for c in read_manifest(merged)] == [
        (f"subject-{number}", 10.0) for number in range(4)
    ]
    assert json.loads(merged.read_text())["cases"][0]["high_count"] == "../a/0/high_count.nrrd"
    assert prepare("split", merged, "--parts", "train=3,test=1", "--output", tmp_path / "parts") == 0
    train, test = (read_manifest(tmp_path / "parts" / f"{name}.json") for name in ("train", "test"))
    assert (len(train), len(test)) == (3, 1)
    refuse_shared_people(train, test)


def test_two_people_of_one_name_are_not_merged(tmp_path, capsys):
    first, second = a_cohort(tmp_path / "a", range(1)), a_cohort(tmp_path / "b", range(1))
    assert prepare("merge", first, second, "--output", tmp_path / "merged.json") == 2
    assert "both have a subject 'subject-0', but not the same images" in capsys.readouterr().err


def test_a_choice_that_is_not_there_is_said(tmp_path, capsys):
    cohort = a_cohort(tmp_path, range(1))
    assert prepare("merge", cohort, "--levels", "5", "--output", tmp_path / "merged.json") == 2
    assert "No case has the counts_percent 5.0. There are: 10.0, 25.0" in capsys.readouterr().err


def test_a_right_cohort_is_shown_and_passes(tmp_path, capsys):
    assert prepare("check", a_cohort(tmp_path, range(2)), "--table", tmp_path / "table.csv") == 0
    text = capsys.readouterr().out
    assert "subjects 2, people 2, scanners 1, lesions 2" in text
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert (row["levels"], row["organs"], row["lesions"], row["voxel_mm"]) == ("10 25", "liver", "1", "4")
    assert float(row["lesion_ml"]) == pytest.approx((6 * 8 * 8 + 2) * 0.064)


def test_all_wrong_cases_are_named_at_once(tmp_path, capsys):
    manifest = a_cohort(tmp_path, range(4))
    write(a_person(0)["low_10"][:-1], tmp_path / "0" / "low_count_10.nrrd", (4.0, 4.0, 4.0))
    write(a_person(1)["low_25"] * 0.2, tmp_path / "1" / "low_count_25.nrrd", (4.0, 4.0, 4.0))
    (tmp_path / "2" / "organs.nrrd").unlink()
    assert prepare("check", manifest) == 2
    errors = capsys.readouterr().err
    assert "subject 'subject-0' at 10 % counts: the low_count image has size (48, 48, 31)" in errors
    assert "subject 'subject-1' at 25 % counts: within the body its mean differs by -80." in errors
    assert "subject 'subject-2' at 10 % counts: the organs file" in errors
    cases, problems = read_cases(manifest)
    assert {case.subject for case in cases} == {"subject-0", "subject-1", "subject-3"}
    assert len(problems) == 3


def test_a_copied_person_and_another_voxel_size_are_named(tmp_path, capsys):
    manifest = a_cohort(tmp_path, range(2))
    for path in (tmp_path / "0").iterdir():
        (tmp_path / "1" / path.name).write_bytes(path.read_bytes())
    assert prepare("check", manifest, "--voxel-mm", "3") == 2
    errors = capsys.readouterr().err
    assert "subject 'subject-1': its high-count image is that of subject 'subject-0'" in errors
    assert "subject 'subject-0': its voxels are 4 mm, 3 mm are expected" in errors


def test_a_person_trained_on_and_held_out_is_named_by_name_and_by_image(tmp_path, capsys):
    training = a_cohort(tmp_path / "a", range(1), patient="anna")
    same_patient = a_cohort(tmp_path / "b", range(1, 2), patient="anna")
    with pytest.raises(BadInput, match=r"Held out, but also trained on: subject-1 \(as subject-0\)"):
        refuse_shared_people(read_manifest(training), read_manifest(same_patient))
    renamed = a_cohort(tmp_path / "c", range(1), subject="bea")
    refuse_shared_people(read_manifest(training), read_manifest(renamed))
    assert prepare("check", renamed, "--against", training) == 2
    assert "'bea': its high-count image is that of 'subject-0' in the other" in capsys.readouterr().err


def test_training_refuses_people_on_both_sides_and_labels_that_nobody_drew(tmp_path, capsys):
    pytest.importorskip("torch")
    from AMDiffLib import train

    manifest = a_cohort(tmp_path / "a", range(1), unlabelled=["organs"])
    command = ["--manifest", str(manifest), "--output", str(tmp_path / "run"), "--device", "cpu"]
    assert train.main(command) == 2
    assert "The organs of subject-0 are not labelled" in capsys.readouterr().err
    assert train.main([*command, "--stage", "denoiser", "--validation-manifest", str(manifest)]) == 2
    assert "Held out, but also trained on: subject-0" in capsys.readouterr().err


def test_labels_that_nobody_drew_are_not_taken_for_absence(tmp_path):
    cases = read_manifest(a_cohort(tmp_path, range(1), unlabelled=["lesions"]))
    refuse_unlabelled(cases, ("organs",))
    with pytest.raises(BadInput, match="lesions of subject-0 are not labelled"):
        refuse_unlabelled(cases)
