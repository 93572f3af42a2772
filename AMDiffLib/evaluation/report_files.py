"""The report of an evaluation with its tables and pictures, written beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from AMDiffLib.evaluation.agreement_figure import write_agreement_figure
from AMDiffLib.evaluation.case_pictures import RankedCase, load_scene, ranked_cases, write_case_pictures
from AMDiffLib.evaluation.coronal_slices import CoronalSections, load_sections
from AMDiffLib.evaluation.document import Block, as_markdown
from AMDiffLib.evaluation.filters import FAMILIES
from AMDiffLib.evaluation.html_page import as_html
from AMDiffLib.evaluation.methods import DENOISERS, SEGMENTERS
from AMDiffLib.evaluation.model_card import AGREEMENT, DENOISING, LESIONS, ORGANS, report_blocks
from AMDiffLib.evaluation.regions import LESION
from AMDiffLib.evaluation.report import write_json, write_scores, write_tables
from AMDiffLib.evaluation.runner import scene_file, sections_file
from AMDiffLib.evaluation.scores import DICE, HIGH_COUNT, LABELS, MODEL, NRMSE_RANGE, Score, best_member
from AMDiffLib.evaluation.summary import Evaluation
from AMDiffLib.labels import ORGANS as ORGAN_CLASSES

REPORT, CARD = "report.html", "model_card.md"


def write_report(
    folder: Path,
    scores: Sequence[Score],
    evaluation: Evaluation,
    *,
    title: str,
    run: dict[str, Any],
    cases: Mapping[str, Path],
    commands: Sequence[str],
    findings: Sequence[Block] = (),
    ablations: Sequence[Block] = (),
) -> None:
    """Write report.html and model_card.md, the CSVs and JSON behind them, and the pictures.

    `cases` maps each method whose images or segments are shown to the folder with its cases; MODEL is one of
    them. `run` are the facts about model, software and data; `commands` repeat the evaluation.
    """
    write_scores(folder / "evaluation.csv", scores)
    write_tables(folder, evaluation)
    write_json(folder / "evaluation.json", evaluation, run=run)
    _write_pictures(folder, scores, cases)
    packages = run.get("packages", {})
    blocks = report_blocks(
        evaluation,
        title=title,
        folder=folder,
        commands=commands,
        findings=findings,
        ablations=ablations,
        about={"with": ", ".join(f"{name} {version}" for name, version in packages.items())}
        if packages
        else {},
    )
    (folder / CARD).write_text(as_markdown(blocks), encoding="utf-8")
    (folder / REPORT).write_text(as_html(blocks, title=title), encoding="utf-8")


def _write_pictures(folder: Path, scores: Sequence[Score], cases: Mapping[str, Path]) -> None:
    shown = ranked_cases(scores)
    sections = {
        case: {
            method: load_sections(sections_file(place, _name(case)))
            for method, place in cases.items()
            if sections_file(place, _name(case)).is_file()
        }
        for case in shown
    }
    _write_denoising(folder / DENOISING, scores, sections)
    if not any(score.metric == DICE for score in scores):
        return
    scenes = [(case, load_scene(scene_file(cases[MODEL], _name(case)))) for case in shown]
    write_case_pictures(folder / LESIONS, scenes)
    _write_organs(folder / ORGANS, scores, sections)
    of_model = [score for score in scores if score.method in (MODEL, HIGH_COUNT, LABELS)]
    write_agreement_figure(folder / AGREEMENT, of_model)


def _write_denoising(
    path: Path, scores: Sequence[Score], sections: Mapping[RankedCase, Mapping[str, CoronalSections]]
) -> None:
    from AMDiffLib.evaluation.section_figures import write_denoising_figure

    rows, found = [], set()
    for case, by_method in sections.items():
        base = by_method[MODEL]
        images = dict(base.images)
        images |= {method: each.images[MODEL] for method, each in by_method.items() if method in DENOISERS}
        found |= images.keys()
        own = [score for score in scores if _is_of(score, case)]
        captions = {method: _image_caption(own, method) for method in images if method != HIGH_COUNT}
        merged = CoronalSections(**{**vars(base), "images": images})
        rows.append((case, merged, captions))
    titles = {method: title.strip("*") for method, title in DENOISERS.items() if method in found}
    write_denoising_figure(path, rows, titles | {HIGH_COUNT: "high-count"})


def _write_organs(
    path: Path, scores: Sequence[Score], sections: Mapping[RankedCase, Mapping[str, CoronalSections]]
) -> None:
    from AMDiffLib.evaluation.section_figures import write_organ_figure

    rows, found = [], set()
    for case, by_method in sections.items():
        base = by_method[MODEL]
        organs = {method: each.organs for method, each in by_method.items() if method in SEGMENTERS}
        found |= organs.keys()
        own = [score for score in scores if _is_of(score, case)]
        captions = {method: _organ_caption(own, method) for method in organs}
        rows.append((case, organs | {LABELS: base.true_organs}, base, captions))
    titles = {method: title.strip("*") for method, title in SEGMENTERS.items() if method in found}
    write_organ_figure(path, rows, titles | {LABELS: "true organs"})


def _name(case: RankedCase) -> str:
    return f"{case.subject}-{case.counts_percent:g}"


def _is_of(score: Score, case: RankedCase) -> bool:
    return (score.subject, score.counts_percent) == (case.subject, case.counts_percent)


def _image_caption(scores: Sequence[Score], method: str) -> str:
    families = {family.best: family for family in FAMILIES}
    name = best_member(scores, families[method]) if method in families else method
    parts = []
    for region in (LESION, "liver"):
        value = _mean(scores, name, NRMSE_RANGE, region, HIGH_COUNT)
        if math.isfinite(value):
            parts.append(f"{region} {value:.3f}")
    return ", ".join(parts)


def _organ_caption(scores: Sequence[Score], method: str) -> str:
    values = [_mean(scores, method, DICE, organ.name, LABELS) for organ in ORGAN_CLASSES]
    finite = [value for value in values if math.isfinite(value)]
    return f"mean Dice of organs {np.mean(finite):.2f}" if finite else ""


def _mean(scores: Sequence[Score], method: str | None, metric: str, region: str, reference: str) -> float:
    """Of several seeds the mean."""
    wanted = (method, metric, region, reference)
    found = [s.value for s in scores if (s.method, s.metric, s.region, s.reference) == wanted]
    return float(np.mean(found)) if found else math.nan
