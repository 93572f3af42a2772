"""The envelope of a model, measured on the images it was trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from AMDiffLib.description.measures import ScanMeasures
from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import SUV_UNITS, read_pet
from AMDiffLib.inference.envelope import KEY, Envelope
from AMDiffLib.inference.weights import model_folder, read_config, write_config
from AMDiffLib.training.manifest import ManifestCase, read_manifest

MOST_SUBJECTS = 32  # measured: some seconds a subject, and what they span is what counts

# By it the simulator names the people it makes.
_SIMULATED = "sim-"


def envelope_of(cases: Iterable[ManifestCase], say: Callable[[str], None] = lambda _: None) -> Envelope:
    """Measure the noisiest and the least noisy image of up to MOST_SUBJECTS people, evenly chosen.

    Raises BadInput where there is no case, or an image cannot be read or shows no patient.
    """
    cases, measures = list(cases), []
    if not cases:
        raise BadInput("There is no case to measure an envelope on. Give the manifest of the training.")
    for case in _spanning(cases):
        measures.append(ScanMeasures.of(read_pet(case.low_count, units=SUV_UNITS)))
        say(f"{case}: {measures[-1]}")
    return Envelope.around(
        measures,
        counts_percent=tuple(sorted({case.counts_percent for case in cases})),
        scanners=tuple(sorted({case.scanner for case in cases})),
        subjects=len({case.subject for case in cases}),
        simulated=all(case.subject.startswith(_SIMULATED) for case in cases),
    )


def _spanning(cases: list[ManifestCase]) -> list[ManifestCase]:
    by_subject: dict[str, list[ManifestCase]] = {}
    for case in sorted(cases, key=lambda case: case.counts_percent):
        by_subject.setdefault(case.subject, []).append(case)
    people = [by_subject[name] for name in sorted(by_subject)]
    step = max(len(people) / MOST_SUBJECTS, 1.0)
    chosen = [people[int(step * k)] for k in range(min(len(people), MOST_SUBJECTS))]
    return [case for levels in chosen for case in {id(c): c for c in (levels[0], levels[-1])}.values()]


def state_envelope_of_training(
    name_or_folder: str | Path, manifest: Path, say: Callable[[str], None] = print
) -> Envelope | None:
    """Measure those cases of `manifest` that a model was trained on, and write the envelope into its
    config.json, in place of an older one.

    Returns None, and says why, where it cannot be measured: the model then states none, which every run
    with it warns of. Raises BadInput where the manifest cannot be read.
    """
    folder = model_folder(name_or_folder)
    config = read_config(folder)
    subjects = set(config.get("training", {}).get("run", {}).get("subjects", []))
    cases = [case for case in read_manifest(manifest) if case.subject in subjects]
    try:
        envelope = envelope_of(cases)
    except BadInput as error:
        say(f"The model states no envelope: {error}")
        return None
    write_config(folder, {**config, KEY: envelope.to_dict()})
    return envelope
