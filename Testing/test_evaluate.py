"""A whole evaluation: figures of hand-made results, and the command on a tiny cohort."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation_cases import LIVER, SIDE, a_cohort, command
from small_cases import saved_tiny_model

from AMDiffLib import evaluate
from AMDiffLib.errors import BadInput
from AMDiffLib.evaluation.cases import EvaluationCase, body_region, choose_cases, load_case
from AMDiffLib.evaluation.gaussian import gaussian_filter
from AMDiffLib.evaluation.scores import DEFINITIONS, CaseScorer, Score


@pytest.fixture
def a_manifest(tmp_path) -> Path:
    return a_cohort(tmp_path, 1, 2)


@pytest.fixture
def a_case(a_manifest) -> EvaluationCase:
    return load_case(*choose_cases(a_manifest)[0])


def value_of(scores: list[Score], method: str, metric: str, region: str, reference: str = "labels") -> float:
    wanted = (method, metric, region, reference)
    found = [s.value for s in scores if (s.method, s.metric, s.region, s.reference) == wanted]
    assert len(found) == 1, wanted
    return found[0]


def test_a_perfect_model_has_no_error_and_finds_everything(a_case):
    truth = a_case.references["truth"]
    scores = CaseScorer(a_case).score(a_case, truth, a_case.lesions, a_case.organs)
    for region in ("whole", "body", "lesion", "liver"):
        assert value_of(scores, "model", "nrmse_mean", region, "truth") == 0.0
        assert value_of(scores, "model", "mean_bias_percent", region, "truth") == 0.0
    assert value_of(scores, "model", "dice", "lesion") == value_of(scores, "model", "dice", "liver") == 1.0
    assert math.isnan(value_of(scores, "model", "dice", "spleen"))
    assert value_of(scores, "model", "tlg_bias_percent", "lesion", "truth") == pytest.approx(0.0)
    assert value_of(scores, "model", "tlg_g", "lesion") == pytest.approx(27 * 0.064 * 8.0)
    assert value_of(scores, "model", "lesions_found", "1 to 5 mL") == 1
    assert value_of(scores, "model", "false_positive_lesions", "lesion") == 0


def test_image_errors_are_those_of_the_region_and_the_reference(a_case):
    low, high = a_case.low_count.suv.astype(float), a_case.references["high_count"].astype(float)
    scores = CaseScorer(a_case).score(a_case, a_case.references["truth"], a_case.lesions, a_case.organs)
    liver = (a_case.organs == LIVER) & (a_case.lesions == 0)
    rmse = np.sqrt(((low - high)[liver] ** 2).mean())
    expected = rmse / (high[liver].max() - high[liver].min())
    assert value_of(scores, "low_count", "nrmse_range", "liver", "high_count") == pytest.approx(expected)
    assert value_of(scores, "low_count", "nrmse_mean", "liver", "high_count") == pytest.approx(
        rmse / high[liver].mean()
    )
    blurred = gaussian_filter(a_case.low_count.suv, (4, 4, 4), 6.0).astype(float)
    whole = np.sqrt(((blurred - high) ** 2).mean()) / (high.max() - high.min())
    assert value_of(scores, "gaussian_6mm", "nrmse_range", "whole", "high_count") == pytest.approx(whole)


def test_the_body_is_the_patient_without_the_air(a_case):
    body = body_region(a_case.references["truth"], (4.0, 4.0, 4.0))
    cylinder = a_case.references["truth"] > 0
    assert body[cylinder].all()
    assert not body[:, 0, 0].any()
    assert body.sum() < 2.0 * cylinder.sum()


def test_a_model_that_marks_half_the_lesion_and_half_the_uptake_is_measured_so(a_case):
    truth = a_case.references["truth"]
    half = np.where(np.arange(SIDE)[:, None, None] < 13, a_case.lesions, 0)  # one section of three
    scores = CaseScorer(a_case).score(a_case, truth / 2, half, a_case.organs)
    assert value_of(scores, "model", "mtv_bias_percent", "lesion") == pytest.approx(-200 / 3)
    assert value_of(scores, "model", "mtv_error_percent", "lesion") == pytest.approx(200 / 3)
    assert value_of(scores, "model", "tlg_bias_percent", "lesion", "truth") == pytest.approx(100 / 6 - 100)
    assert value_of(scores, "model", "suv_mean", "liver") == pytest.approx(
        (1.0 * (1200 - 27) + 4.0 * 18) / (1200 - 9)
    )
    assert value_of(scores, "truth", "suv_mean", "liver") == pytest.approx(2.0)
    assert value_of(scores, "model", "suv_mean_bias_percent", "liver", "truth") == pytest.approx(
        100 * ((1.0 * 1173 + 72) / 1191 - 2) / 2, rel=1e-5
    )
    assert value_of(scores, "model", "dice", "lesion of 0.5 mL or more") == pytest.approx(0.5)


def test_every_metric_of_a_case_is_defined(a_case):
    scores = CaseScorer(a_case).score(a_case, a_case.references["truth"], a_case.lesions, a_case.organs)
    assert {score.metric for score in scores} <= set(DEFINITIONS)


def test_only_what_is_judged_is_scored(a_case):
    scorer = CaseScorer(a_case)
    truth = a_case.references["truth"]

    def methods(*judged: str) -> set[tuple[str, bool]]:
        scores = scorer.score(a_case, truth, a_case.lesions, a_case.organs, judged=judged)
        return {(score.method, score.metric == "dice") for score in scores}

    assert methods("images") == {("model", False)}
    assert ("model", True) in methods("segments")
    assert ("gaussian_6mm", False) in methods("filters")
    assert "model" not in {method for method, _ in methods("filters")}


def test_cases_are_chosen_by_level_and_number(a_manifest):
    assert [case.subject for case, _ in choose_cases(a_manifest, counts_percent=10)] == [
        "subject-1",
        "subject-2",
    ]
    assert len(choose_cases(a_manifest, limit=1)) == 1
    with pytest.raises(BadInput, match=r"no case at 5 %.*levels: 10"):
        choose_cases(a_manifest, counts_percent=5)


def test_cohorts_are_judged_together_and_no_subject_twice(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    one, other = a_cohort(tmp_path / "a", 1), a_cohort(tmp_path / "b", 2)
    assert [case.subject for case, _ in choose_cases([one, other])] == ["subject-1", "subject-2"]
    with pytest.raises(BadInput, match=r"'subject-1' is in .* Give each subject once"):
        choose_cases([one, other, a_cohort(tmp_path / "c", 3, 1)])


def test_levels_of_a_subject_share_what_they_share(tmp_path):
    (first, _), (second, _) = choose_cases(a_cohort(tmp_path, 1, levels=(10, 20)))
    read = load_case(first, None)
    shared = load_case(second, None, same_subject=read)
    assert shared.counts_percent == 20
    assert shared.references is read.references
    assert not np.array_equal(shared.low_count.suv, read.low_count.suv)


def test_an_image_on_another_grid_is_bad_input(a_manifest):
    truth = a_manifest.parent / "1-truth.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4, 4), np.float32)), str(truth))
    with pytest.raises(BadInput, match="one grid"):
        load_case(*choose_cases(a_manifest)[0])


@pytest.fixture
def an_untrained_model(tmp_path) -> Path:
    pytest.importorskip("torch")
    return saved_tiny_model(tmp_path / "tiny", uncertainty=True)


def test_the_command_writes_tables_pictures_and_text(an_untrained_model, tmp_path, capsys):
    manifest, output = a_cohort(tmp_path, 1, 2, levels=(10, 20)), tmp_path / "out"
    assert evaluate.main(command(manifest, an_untrained_model, output)) == 0
    assert "NRMSE (by range) against the high-count image" in capsys.readouterr().out
    for picture in ("agreement.png", "cases.png", "denoising.png", "organs.png"):
        assert (output / picture).stat().st_size > 10_000
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 4
    assert f"python -m AMDiffLib.evaluate --manifest {manifest}" in page
    assert "best non-local means" in page
    rows = rows_of(output / "evaluation.csv")
    low = [
        r for r in rows if (r["method"], r["metric"], r["region"]) == ("low_count", "nrmse_range", "whole")
    ]
    assert len(low) == 2 * 2 * 2  # subjects, levels, references
    groups = {(row["counts_percent"], row["scanner"]) for row in rows_of(output / "summary.csv")}
    assert groups == {
        (counts, scanner) for counts in ("all", "10", "20") for scanner in ("all", "mct", "vision")
    }
    content = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    assert content["run"]["model"]["name"] == "tiny"
    assert content["run"]["cases"][0]["steps"] == 1
    assert {row["metric"] for row in content["summary"]} <= set(content["definitions"])
    card = (output / "model_card.md").read_text(encoding="utf-8")
    assert "2 people, all counts, all scanners" in card
    assert "*0.860 ± 0.066*" in card  # the paper's Dice of the liver, said to be on other data
    assert "not comparable" in card


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_observations_alone_are_those_of_a_whole_evaluation(an_untrained_model, tmp_path):
    manifest = a_cohort(tmp_path, 1)
    whole, alone = tmp_path / "whole", tmp_path / "alone"
    assert evaluate.main(command(manifest, an_untrained_model, whole)) == 0
    assert evaluate.main(command(manifest, an_untrained_model, alone, "--observations-only")) == 0
    found = [json.loads((folder / "observations.json").read_text("utf-8")) for folder in (whole, alone)]
    assert found[0] == found[1]
    assert found[0]["observations"]
    assert not (alone / "report.html").exists()


def test_a_stopped_evaluation_goes_on_where_it_was(an_untrained_model, tmp_path):
    manifest, output = a_cohort(tmp_path, 1, 2), tmp_path / "out"
    arguments = command(manifest, an_untrained_model, output)
    assert evaluate.main(arguments) == 0
    before = rows_of(output / "evaluation.csv")
    (output / "cases" / "subject-2-10.json").unlink()
    first = (output / "cases" / "subject-1-10.json").stat().st_mtime_ns
    assert evaluate.main(arguments) == 0
    assert rows_of(output / "evaluation.csv") == before
    assert (output / "cases" / "subject-1-10.json").stat().st_mtime_ns == first


def test_figures_of_two_models_or_settings_are_not_mixed(a_manifest, an_untrained_model, tmp_path, capsys):
    arguments = command(a_manifest, an_untrained_model, tmp_path / "out", "--limit", "1")
    assert evaluate.main(arguments) == 0
    assert evaluate.main([*arguments, "--seed", "7"]) == BadInput.exit_code
    assert "seed 0, now 7" in capsys.readouterr().err


def test_two_workers_find_what_one_finds(an_untrained_model, tmp_path, monkeypatch):
    # The tests of the module import `slicer` into this process, which is not Slicer's all the same.
    monkeypatch.delitem(sys.modules, "slicer", raising=False)
    manifest = a_cohort(tmp_path, 1, 2)
    more = ("--threads", "1")
    assert evaluate.main(command(manifest, an_untrained_model, tmp_path / "one", *more)) == 0
    both = command(manifest, an_untrained_model, tmp_path / "two", *more, "--workers", "2")
    assert evaluate.main(both) == 0
    assert rows_of(tmp_path / "two" / "evaluation.csv") == rows_of(tmp_path / "one" / "evaluation.csv")


def test_slicers_own_process_starts_no_workers(a_manifest, an_untrained_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "slicer", object())
    arguments = command(a_manifest, an_untrained_model, tmp_path / "out", "--workers", "2")
    assert evaluate.main(arguments) == BadInput.exit_code
    assert "--workers" in capsys.readouterr().err


def test_a_level_that_is_not_in_the_manifest_is_exit_code_2(a_manifest, tmp_path, capsys):
    arguments = ["--manifest", str(a_manifest), "--counts", "5", "--output", str(tmp_path / "out")]
    assert evaluate.main(arguments) == 2
    assert "bad_input" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
