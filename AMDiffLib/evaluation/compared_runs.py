"""The finished runs of a comparison on the cases of a cohort, and the report of all of them."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from AMDiffLib.evaluation.comparison import (
    SeedScores,
    ablation_blocks,
    finding_blocks,
    mean_over_seeds,
    write_seeds,
)
from AMDiffLib.evaluation.passes import passes_blocks
from AMDiffLib.evaluation.report_files import REPORT, write_report
from AMDiffLib.evaluation.runner import CASES_FOLDER, Entry, RunOptions, check_settings, run_cases
from AMDiffLib.evaluation.scores import FILTERS, IMAGES, MODEL, SEGMENTS, Score
from AMDiffLib.evaluation.summary import evaluate_scores
from AMDiffLib.evaluation.terminal import summary_text
from AMDiffLib.inference.pipeline import sampling_timesteps
from AMDiffLib.inference.provenance import installed_versions
from AMDiffLib.inference.weights import read_config
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.progress import OneOfMany, SilentReporter
from AMDiffLib.training.comparators import AMDIFF, BUDGETS, methods_of
from AMDiffLib.training.comparison import Run, model_of

SEEDS = "seeds.csv"


def judge_runs(
    arguments: Namespace, runs: Sequence[Run], chosen: Sequence[Entry], reporter: SilentReporter
) -> SeedScores:
    """Return the scores of all runs by method and seed; finished cases are not computed again.

    `arguments` are those of `AMDiffLib.compare evaluate`. The filters, which no seed changes, are judged
    once, with the first run of AMDiff.
    """
    methods = methods_of(BUDGETS[arguments.budget])
    first = next(run for run in runs if run.method == AMDIFF)
    scores: dict[str, dict[int, list[Score]]] = {}
    for number, run in enumerate(runs):
        method = methods[run.method]
        segments = method.segments and not arguments.images_only
        wanted = {FILTERS: run == first, IMAGES: method.images, SEGMENTS: segments}
        judged = tuple(part for part, yes in wanted.items() if yes)
        model = model_of(arguments.runs, run)
        config = read_config(model)
        output = arguments.output / run.name
        output.mkdir(parents=True, exist_ok=True)
        facts = {"model": {"name": run.name, "sha256": config["sha256"]}, "tile": arguments.tile}
        check_settings(output, facts | {"judged": list(judged)})
        results = run_cases(
            chosen,
            RunOptions(
                model=model,
                model_sha256=config["sha256"],
                output=output,
                steps=None,
                seed=run.seed,
                tile=arguments.tile,
                device=arguments.device,
                threads=arguments.threads,
                judged=judged,
            ),
            workers=arguments.workers,
            reporter=OneOfMany(reporter, run.name, number=number, count=len(runs)),
        )
        name = _name(run)
        found = [score for result in results for score in result.scores]
        renamed = [replace(score, method=name) if score.method == MODEL else score for score in found]
        scores.setdefault(name, {})[run.seed] = renamed
    return scores


def write_comparison(
    arguments: Namespace, runs: Sequence[Run], missing: Sequence[str], scores: SeedScores
) -> str:
    """Write the report of all methods and return the text for the terminal."""
    output = arguments.output
    write_seeds(output / SEEDS, scores)
    together = mean_over_seeds(scores)
    evaluation = evaluate_scores(together)
    training = {run.name: _training_facts(arguments, run) for run in runs}
    steps = sorted({facts["steps"] for facts in training.values()})
    passes = {run.method: _passes(arguments, run) for run in runs}
    findings = [
        *finding_blocks(evaluation, scores),
        *passes_blocks(output, scores, passes),
        f"Budget '{arguments.budget}': {', '.join(map(str, steps))} optimiser steps of each training, "
        f"{_start(arguments.budget)}. "
        + (f"Not trained, and left out: {', '.join(missing)}." if missing else "Every planned run is in."),
    ]
    folders = {_name(run): output / run.name / CASES_FOLDER for run in reversed(runs)}
    manifests = " ".join(map(str, arguments.manifest))
    chosen = "" if arguments.counts is None else f" --counts {arguments.counts:g}"
    chosen += "" if arguments.limit is None else f" --limit {arguments.limit}"
    chosen += " --images-only" if arguments.images_only else ""
    common = f"--methods {arguments.methods} --seeds {arguments.seeds} --budget {arguments.budget}"
    write_report(
        output,
        together,
        evaluation,
        title=f"AMDiff beside other methods on {', '.join(m.parent.name for m in arguments.manifest)}",
        run={"packages": installed_versions(), "training": training, "missing": list(missing)},
        cases=folders,
        commands=[
            f"python -m AMDiffLib.compare train --manifest TRAINING --output {arguments.runs} {common} "
            f"--steps {steps[-1]}",
            f"python -m AMDiffLib.compare evaluate --manifest {manifests} --runs {arguments.runs} "
            f"--output {output} {common}{chosen}",
        ],
        findings=findings,
        ablations=ablation_blocks(evaluation, scores),
    )
    return f"{summary_text(evaluation)}\nwrote {output / REPORT}"


def _start(budget: str) -> str:
    initial = BUDGETS[budget].initial
    return "from nothing" if initial is None else f"all going on from {initial}"


def _name(run: Run) -> str:
    return MODEL if run.method == AMDIFF else run.method


def _passes(arguments: Namespace, run: Run) -> int:
    """How often the denoiser's network is asked for one image."""
    model = AMDiffConfig.from_dict(read_config(model_of(arguments.runs, run))["model"])
    return len(sampling_timesteps(model.diffusion, None))


def _training_facts(arguments: Namespace, run: Run) -> dict[str, object]:
    config = json.loads((arguments.runs / run.name / "config.json").read_text(encoding="utf-8"))
    return {"seed": run.seed, "steps": config["run"]["steps"], "subjects": len(config["run"]["subjects"])}
