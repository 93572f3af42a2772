"""What a training tells of its course."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from matplotlib.colors import TABLEAU_COLORS, to_rgb
from matplotlib.figure import Figure
from PIL import Image

from AMDiffLib.errors import MissingPackage
from AMDiffLib.training import run_log, tensorboard_log
from AMDiffLib.training.csv_log import append_row, drop_rows_after, read_rows
from AMDiffLib.training.loss_curves import _draw_validation, write_loss_curves
from AMDiffLib.training.losses import WarmUp
from AMDiffLib.training.run_log import TERMS, RunLog
from AMDiffLib.training.run_settings import RunSettings


def test_steps_that_the_checkpoint_does_not_know_are_dropped(tmp_path):
    path = tmp_path / "losses.csv"
    for step in (10, 20, 30):
        append_row(path, {"step": step, "total": 0.5})
    with path.open("a") as file:
        file.write("4")  # the process was killed while it wrote
    drop_rows_after(path, 20)
    assert [row["step"] for row in read_rows(path)] == ["10", "20"]


def test_a_column_that_comes_later_stands_under_its_own_name(tmp_path):
    path = tmp_path / "losses.csv"
    append_row(path, {"step": 1, "total": 0.5})
    append_row(path, {"step": 2, "uncertainty": 0.1, "total": 0.4})
    with path.open() as file:
        assert list(csv.reader(file)) == [
            ["step", "total", "uncertainty"],
            ["1", "0.5", ""],
            ["2", "0.4", "0.1"],
        ]


def figures(**changed: float) -> dict[str, float]:
    return dict.fromkeys((*TERMS, "warm", "rate_factor"), 0.0) | changed


def test_a_line_says_what_is_trained_and_how_long_it_takes(tmp_path, monkeypatch):
    clock = iter([100.0, 120.0])
    monkeypatch.setattr(run_log.time, "monotonic", lambda: next(clock))
    lines: list[str] = []
    settings = RunSettings(output=tmp_path, steps=1000, log_every=10, say=lines.append)
    log = RunLog(settings, first_step=0)
    for step in range(10):
        log.add(figures(total=0.25 + 0.1 * step, diffusion=0.25))
    log.write_step(10, epoch=0, seconds=20.0, rates={})
    # 20 s for 10 steps leave 990 x 2 s; losses that are not computed yet are not listed.
    assert lines == [
        "step 10/1000  epoch 0  total 0.7000  diffusion 0.2500  warm-up 0.000  2.00 s/step  0:33:00 left"
    ]
    assert read_rows(tmp_path / "losses.csv")[0]["total"] == "0.7"


def test_hours_that_end_earlier_shorten_the_time_left(tmp_path, monkeypatch):
    clock = iter([0.0, 20.0])
    monkeypatch.setattr(run_log.time, "monotonic", lambda: next(clock))
    lines: list[str] = []
    settings = RunSettings(output=tmp_path, steps=1000, hours=0.01, say=lines.append)
    log = RunLog(settings, first_step=0)
    log.add(figures())
    log.write_step(1, epoch=0, seconds=20.0, rates={})
    assert lines[0].endswith("0:00:16 left")


def test_without_the_package_the_log_says_so_once_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard_log.importlib.util, "find_spec", lambda name: None)
    lines: list[str] = []
    RunLog(RunSettings(output=tmp_path, steps=1, tensorboard="auto", say=lines.append), first_step=0)
    assert len(lines) == 1
    assert "pip install tensorboard" in lines[0]
    with pytest.raises(MissingPackage, match="pip install tensorboard"):
        RunLog(RunSettings(output=tmp_path, steps=1, tensorboard="on"), first_step=0)


def test_the_curves_show_losses_and_the_warm_up_of_eq_11(tmp_path):
    warm = WarmUp()
    for epoch in range(0, 800, 10):
        row = {"step": epoch, "total": 1.0 + warm(epoch), "diffusion": 1.0 / (1 + epoch)}
        append_row(tmp_path / "losses.csv", row | {"warm": warm(epoch), "rate_factor": 1.0})
    append_row(tmp_path / "validation.csv", {"step": 400, "body_error": 0.7, "dice_liver": 0.5, "score": 1.2})
    path = write_loss_curves(tmp_path)
    assert path.stat().st_size < 60_000
    assert write_loss_curves(tmp_path / "nothing") is None


def test_no_two_lines_of_the_validation_have_one_colour(tmp_path):
    random = np.random.default_rng(0)
    terms = ("diffusion", "lesion_organ", "revision", "segmentation", "total")
    for step in range(20, 5001, 20):
        losses = {name: 0.01 + random.random() for name in terms}
        append_row(
            tmp_path / "losses.csv", {"step": step, **losses, "warm": 1.0, "rate_factor": 1 - step / 5000}
        )
    shown = (
        "body_error",
        "lesion_error",
        "organ_dice_missing",
        "lesion_dice_missing",
        "false_positive_share",
    )
    for step in (2510, 5000):
        figures = {name: 0.1 * place + 0.2 for place, name in enumerate(shown)}
        append_row(tmp_path / "validation.csv", {"step": step, **figures, "score": 2.0})
    drawn = Image.open(write_loss_curves(tmp_path)).convert("RGB")
    validation = drawn.crop((0, drawn.height * 3 // 4, *drawn.size))
    colours = {colour for _, colour in validation.getcolors(maxcolors=drawn.width * drawn.height)}
    expected = [
        tuple(round(255 * part) for part in to_rgb(name)) for name in list(TABLEAU_COLORS)[: len(shown)]
    ]
    assert [colour for colour in expected if colour not in colours] == []


@pytest.mark.parametrize(
    ("scores", "kept"), [([0.0, 0.0, 0.0], 30), ([2.1, 1.9, 2.0], 20), ([1.9, float("nan"), 1.9], 30)]
)
def test_the_best_score_is_marked_where_its_weights_were_kept(scores, kept):
    axes = Figure().subplots()
    _draw_validation(axes, {"step": np.array([10.0, 20.0, 30.0]), "score": np.array(scores)})
    (line,) = axes.lines
    assert list(line.get_xdata()) == [kept, kept]
