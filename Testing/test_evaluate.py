"""A whole evaluation: figures of hand-made results, their summary, and the command on a tiny cohort."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib import evaluate
from AMDiffLib.errors import BadInput
from AMDiffLib.evaluation.cases import EvaluationCase, body_region, choose_cases, load_case
from AMDiffLib.evaluation.gaussian import gaussian_filter
from AMDiffLib.evaluation.report import as_text, write_json
from AMDiffLib.evaluation.scores import Score, score_case
from AMDiffLib.evaluation.summary import summarise

SIDE = 32
LIVER = 2


def a_subject(seed: int) -> dict[str, np.ndarray]:
    """A warm cylinder with a liver that holds a lesion; the noise of the high-count image is a third."""
    _, y, x = np.indices((SIDE, SIDE, SIDE))
    body = (y - 15.5) ** 2 + (x - 15.5) ** 2 < 13**2
    truth = np.where(body, 1.0, 0.0).astype(np.float32)
    organs = np.zeros(truth.shape, np.uint8)
    organs[8:20, 8:18, 6:16] = LIVER
    lesions = np.zeros(truth.shape, np.uint8)
    lesions[12:15, 12:15, 9:12] = 1
    truth[organs == LIVER] = 2.0
    truth[lesions > 0] = 8.0
    random = np.random.default_rng(seed)

    def noisy(sd: float) -> np.ndarray:
        return np.clip(truth + sd * body * random.normal(size=truth.shape), 0, None).astype(np.float32)

    return {
        "low_count": noisy(0.6),
        "high_count": noisy(0.2),
        "truth": truth,
        "organs": organs,
        "lesions": lesions,
    }


@pytest.fixture
def a_manifest(tmp_path) -> Path:
    cases = []
    for number in (1, 2):
        entry = {"subject": f"subject-{number}", "scanner": "mct", "counts_percent": 10}
        for name, array in a_subject(number).items():
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((4.0, 4.0, 4.0))
            entry[name] = f"{number}-{name}.nrrd"
            sitk.WriteImage(image, str(tmp_path / entry[name]))
        cases.append(entry)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format": "amdiff-manifest", "version": 1, "cases": cases}))
    return path


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
    scores = score_case(a_case, truth, a_case.lesions, a_case.organs)
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
    scores = score_case(a_case, a_case.references["truth"], a_case.lesions, a_case.organs)
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


def test_the_summary_is_mean_deviation_and_median_and_the_best_gaussian_is_named():
    def score(subject: int, method: str, value: float) -> Score:
        return Score(
            subject=str(subject),
            counts_percent=10,
            method=method,
            metric="nrmse_range",
            region="liver",
            reference="truth",
            value=value,
        )

    scores = [score(n, "gaussian_3mm", v) for n, v in enumerate((0.1, 0.2, 0.6))]
    scores += [score(n, "gaussian_5mm", v) for n, v in enumerate((0.2, 0.2, 0.3))]
    scores += [score(n, "model", v) for n, v in enumerate((0.1, math.nan, 0.3))]
    by_method = {summary.method: summary for summary in summarise(scores)}
    best = by_method["gaussian_best"]
    assert (best.width_mm, best.n) == (5.0, 3)
    assert best.mean == pytest.approx(0.7 / 3)
    assert by_method["gaussian_3mm"].median == 0.2
    assert by_method["gaussian_3mm"].sd == pytest.approx(math.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert (by_method["model"].n, by_method["model"].mean) == (2, pytest.approx(0.2))


def test_the_tables_and_the_json_state_the_figures(a_case, tmp_path):
    scores = score_case(a_case, a_case.references["truth"], a_case.lesions, a_case.organs)
    summaries = summarise(scores)
    text = as_text(summaries)
    assert text.startswith("10 % counts, 1 subject, ")
    assert "found, all: 1 of 1 (100 %)" in text
    assert "TLG bias against the noise-free truth" in text
    write_json(tmp_path / "evaluation.json", summaries, run={"model": "perfect"})
    content = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert {row["metric"] for row in content["summary"]} <= set(content["definitions"])


def test_cases_are_chosen_by_level_and_number(a_manifest):
    assert [case.subject for case, _ in choose_cases(a_manifest, counts_percent=10)] == [
        "subject-1",
        "subject-2",
    ]
    assert len(choose_cases(a_manifest, limit=1)) == 1
    with pytest.raises(BadInput, match=r"no case at 5 %.*levels: 10"):
        choose_cases(a_manifest, counts_percent=5)


def test_an_image_on_another_grid_is_bad_input(a_manifest):
    truth = a_manifest.parent / "1-truth.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4, 4), np.float32)), str(truth))
    with pytest.raises(BadInput, match="one grid"):
        load_case(*choose_cases(a_manifest)[0])


@pytest.fixture
def an_untrained_model(tmp_path) -> Path:
    torch = pytest.importorskip("torch")
    from AMDiffLib.inference.weights import save_model
    from AMDiffLib.networks.amdiff import AMDiff
    from AMDiffLib.networks.config import AMDiffConfig, DenoiserConfig, RevisionConfig, SegmenterConfig

    config = AMDiffConfig(
        name="tiny",
        denoiser=DenoiserConfig(channels=(8, 8, 8, 8), num_head_channels=8),
        revision=RevisionConfig(channels=4, layers=1),
        segmenter=SegmenterConfig(channels=8, blocks=1, d_state=2),
    )
    torch.manual_seed(0)
    save_model(AMDiff(config), tmp_path / "tiny")
    return tmp_path / "tiny"


def test_the_command_writes_figures_pictures_and_tables(a_manifest, an_untrained_model, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["--manifest", str(a_manifest), "--model", str(an_untrained_model), "--counts", "10"]
    arguments += ["--output", str(output), "--limit", "1", "--tile", "32", "--device", "cpu", "--steps", "1"]
    assert evaluate.main(arguments) == 0
    assert "NRMSE (by range) against the high-count image" in capsys.readouterr().out
    assert (output / "subject-1-10.png").stat().st_size > 10_000
    with (output / "evaluation.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    low = [
        r for r in rows if (r["method"], r["metric"], r["region"]) == ("low_count", "nrmse_range", "whole")
    ]
    assert {row["reference"] for row in low} == {"high_count", "truth"}
    content = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    assert content["run"]["model"]["name"] == "tiny"
    assert content["run"]["cases"][0]["steps"] == 1
    best = [row for row in content["summary"] if row["method"] == "gaussian_best"]
    assert {row["width_mm"] for row in best} <= set(range(3, 11))


def test_a_level_that_is_not_in_the_manifest_is_exit_code_2(a_manifest, tmp_path, capsys):
    arguments = ["--manifest", str(a_manifest), "--counts", "5", "--output", str(tmp_path / "out")]
    assert evaluate.main(arguments) == 2
    assert "bad_input" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
