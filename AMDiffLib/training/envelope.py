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

# By it the simulator names the people it makes.
_SIMULATED = "sim-"


def envelope_of(cases: Iterable[ManifestCase], say: Callable[[str], None] = lambda _: None) -> Envelope:
    """Measure every low-count image of `cases`: about a second each.

    Raises BadInput where there is no case, or an image cannot be read or shows no patient.
    """
    cases, measures = list(cases), []
    if not cases:
        raise BadInput("There is no case to measure an envelope on. Give the manifest of the training.")
    for case in cases:
        measures.append(ScanMeasures.of(read_pet(case.low_count, units=SUV_UNITS)))
        say(f"{case}: {measures[-1]}")
    return Envelope.around(
        measures,
        counts_percent=tuple(sorted({case.counts_percent for case in cases})),
        scanners=tuple(sorted({case.scanner for case in cases})),
        subjects=len({case.subject for case in cases}),
        simulated=all(case.subject.startswith(_SIMULATED) for case in cases),
    )


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
