"""Every case of a cohort through the model, subject by subject, in one process or several; resumable.

A finished case leaves a file with its figures and one with its projections; it is not done again.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AMDiffLib.errors import BadInput
from AMDiffLib.evaluation.scores import EVERYTHING, HIGH_COUNT, LOW_COUNT, MODEL, SEGMENTS, Score
from AMDiffLib.inference.living_process import end_with_parent
from AMDiffLib.progress import OneOfMany, Reporter, SilentReporter

if TYPE_CHECKING:
    from AMDiffLib.evaluation.cases import EvaluationCase
    from AMDiffLib.training.dataset import ManifestCase

CASES_FOLDER = "cases"
SETTINGS = "settings.json"
_FORMAT = 3

Entry = tuple["ManifestCase", "Path | None"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How cases are computed; `threads` of each process, None for torch's choice; `judged` as in `score`."""

    model: Path
    model_sha256: str
    output: Path
    steps: int | None
    seed: int
    tile: int
    device: str
    threads: int | None
    judged: tuple[str, ...] = EVERYTHING


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The figures of one case and the facts of its run."""

    name: str
    scores: list[Score]
    facts: dict[str, Any]


def case_name(case: ManifestCase) -> str:
    """Name of a case's files."""
    return f"{case.subject}-{case.counts_percent:g}"


def check_settings(output: Path, settings: dict[str, Any]) -> None:
    """Write what the figures in a folder rest on, or hold it against what an earlier run wrote.

    Raises BadInput where they differ: figures of two models would be mixed.
    """
    path = output / SETTINGS
    settings = {"format": _FORMAT, **settings}
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for key in sorted(settings.keys() | before.keys()):
            if before.get(key) != settings.get(key):
                raise BadInput(
                    f"{output} holds an evaluation with {key} {before.get(key)}, now {settings.get(key)} is "
                    "asked for. Choose another folder, or delete that one."
                )
        return
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def run_cases(
    entries: Sequence[Entry], options: RunOptions, *, workers: int, reporter: Reporter
) -> list[CaseResult]:
    """Return the results of all cases, in the order of `entries`; what is on file is not computed.

    With more than one worker, each process takes a subject with all its levels and has its own model.

    Raises BadInput, BadCheckpoint, OutOfMemory, Cancelled.
    """
    folder = options.output / CASES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    open_entries = [entry for entry in entries if not _figures_file(folder, entry[0]).is_file()]
    by_subject = [
        list(group) for _, group in itertools.groupby(open_entries, key=lambda entry: entry[0].subject)
    ]
    if workers == 1 or len(by_subject) < 2:
        _run_here(by_subject, options, len(open_entries), reporter)
    else:
        _run_in_processes(by_subject, options, min(workers, len(by_subject)), reporter)
    return [_read(_figures_file(folder, case), case_name(case)) for case, _ in entries]


def _run_here(by_subject: Sequence[list[Entry]], options: RunOptions, count: int, reporter: Reporter) -> None:
    if not by_subject:
        return
    model, device = _load(options, reporter)
    number = 0
    for entries in by_subject:
        parts = [
            OneOfMany(reporter, str(case), number=number + place, count=count)
            for place, (case, _) in enumerate(entries)
        ]
        number += len(entries)
        _run_subject(entries, options, model, device, parts)


def _run_in_processes(
    by_subject: Sequence[list[Entry]], options: RunOptions, workers: int, reporter: Reporter
) -> None:
    reporter.stage("evaluate", f"{len(by_subject)} subjects in {workers} processes")
    # Not forked: torch's threads do not survive that.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        waiting = {pool.submit(_work, entries, options) for entries in by_subject}
        try:
            for done, future in enumerate(as_completed(waiting), start=1):
                for warning in future.result():
                    reporter.warning(warning)
                reporter.progress(done / len(by_subject))
                reporter.check_cancelled()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_loaded: dict[RunOptions, tuple[Any, Any]] = {}
"""The model of a worker process, which serves all its subjects."""


def _work(entries: list[Entry], options: RunOptions) -> list[str]:
    reporter = SilentReporter()
    if options not in _loaded:
        _loaded[options] = _load(options, reporter)
    model, device = _loaded[options]
    parts = [OneOfMany(reporter, str(case), number=0, count=1) for case, _ in entries]
    _run_subject(entries, options, model, device, parts)
    return reporter.warnings


def _load(options: RunOptions, reporter: Reporter) -> tuple[Any, Any]:
    from AMDiffLib.inference.device import choose_device
    from AMDiffLib.inference.weights import load_model
    from AMDiffLib.options import set_threads

    set_threads(options.threads)
    device = choose_device(options.device, reporter)
    return load_model(options.model, device), device


def _run_subject(
    entries: Sequence[Entry], options: RunOptions, model: Any, device: Any, parts: Sequence[OneOfMany]
) -> None:
    from AMDiffLib.evaluation.cases import load_case
    from AMDiffLib.evaluation.scores import CaseScorer

    case, scorer = None, None
    for (entry, truth), part in zip(entries, parts, strict=True):
        case = load_case(entry, truth, same_subject=case)
        scorer = scorer or CaseScorer(case)
        _run_case(entry, case, scorer, options, model, device, part)


def _run_case(
    entry: ManifestCase,
    case: EvaluationCase,
    scorer: Any,
    options: RunOptions,
    model: Any,
    device: Any,
    reporter: OneOfMany,
) -> None:
    from AMDiffLib.calibration.observations import observe_case, write_observations
    from AMDiffLib.evaluation.case_pictures import save_scene
    from AMDiffLib.evaluation.coronal_slices import save_sections
    from AMDiffLib.inference.config import InferenceConfig
    from AMDiffLib.inference.lesions import label_lesions
    from AMDiffLib.inference.pipeline import denoise_and_segment

    began = time.monotonic()
    volume = case.low_count
    segments = SEGMENTS in options.judged
    result = denoise_and_segment(
        volume,
        model,
        steps=options.steps,
        seed=options.seed,
        device=device,
        tile=options.tile,
        reporter=reporter,
        config=InferenceConfig(segment=segments),
    )
    inferred = time.monotonic()
    reporter.stage("score", "Comparing")
    lesions = label_lesions(result.lesions, spacing=volume.spacing, suv=result.denoised)
    scores = scorer.score(case, result.denoised, lesions, result.organs, judged=options.judged)
    folder = options.output / CASES_FOLDER
    save_scene(scene_file(folder, case_name(entry)), case, result.denoised, lesions, result.organs)
    images = {LOW_COUNT: volume.suv, **scorer.best_filtered, MODEL: result.denoised}
    images[HIGH_COUNT] = case.references[HIGH_COUNT]
    save_sections(sections_file(folder, case_name(entry)), case, images, lesions, result.organs)
    if result.sd is not None and segments:
        observed = observe_case(case, result.denoised, result.sd, lesions, result.organs)
        write_observations(_observations_file(folder, entry), observed, run={"sha256": options.model_sha256})
    facts = {
        "case": case_name(entry),
        **result.details,
        "seconds": {
            "inference": round(inferred - began, 1),
            "scoring": round(time.monotonic() - inferred, 1),
            **result.details["seconds"],
        },
    }
    # Figures last and in one move: the file says that the case is finished.
    path = _figures_file(folder, entry)
    partial = path.with_suffix(".partial")
    partial.write_text(
        json.dumps({"facts": facts, "scores": [_plain(score) for score in scores]}) + "\n", encoding="utf-8"
    )
    partial.replace(path)
    reporter.progress(1.0)


def write_all_observations(
    path: Path, entries: Sequence[Entry], options: RunOptions, *, run: Mapping[str, Any]
) -> bool:
    """Gather what was measured beside what is true in all cases; False without uncertainty head."""
    from AMDiffLib.calibration.observations import read_observations, write_observations

    files = [_observations_file(options.output / CASES_FOLDER, case) for case, _ in entries]
    if not all(file.is_file() for file in files):
        return False
    found = [observation for file in files for observation in read_observations([file])[0]]
    write_observations(path, found, run=run)
    return True


def _observations_file(folder: Path, case: ManifestCase) -> Path:
    return folder / f"{case_name(case)}.observations.json"


def scene_file(folder: Path, name: str) -> Path:
    """Where the projections of a case are kept."""
    return folder / f"{name}.npz"


def sections_file(folder: Path, name: str) -> Path:
    """Where the sections of a case are kept."""
    return folder / f"{name}.sections.npz"


def _figures_file(folder: Path, case: ManifestCase) -> Path:
    return folder / f"{case_name(case)}.json"


def _plain(score: Score) -> list[Any]:
    return list(dataclasses.astuple(score))


def _read(path: Path, name: str) -> CaseResult:
    content = json.loads(path.read_text(encoding="utf-8"))
    return CaseResult(
        name=name,
        scores=[
            Score(**dict(zip((f.name for f in dataclasses.fields(Score)), row, strict=True)))
            for row in content["scores"]
        ],
        facts=content["facts"],
    )
