"""The main job, start to end, outside Slicer: a low-count PET in; denoised PET, segments, table, scene out.

Without --input it simulates a patient that training never saw and prints the results beside the truth. The
job runner, the scene import and the display are those of the Slicer module.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "AMDiff"), str(REPOSITORY / "Testing")]

# Training cohorts have small seeds. From 9,000,000 up, this is the first whose patient has at least three
# lesions of more than 1 mL.
UNSEEN_SEED = 9_000_000
COUNTS_PERCENT = 10
PRINTED_COLUMNS = (
    "name",
    "location",
    "suv_max_g_per_ml",
    "suv_mean_g_per_ml",
    "suv_peak_g_per_ml",
    "mtv_ml",
    "tlg_g",
    "volume_ml",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scan in SUV on disk, how the job is to read it, and its simulated truth if it has one."""

    name: str
    suv_file: Path
    dicom: Path | None = None
    truth: dict[str, Path] | None = None


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    command.add_argument("--input", type=Path, help="your own scan: DICOM folder, NRRD, NIfTI or MetaImage")
    command.add_argument("--units", help="unit of an NRRD, NIfTI or MetaImage: SUVbw; DICOM says its own")
    command.add_argument("--series-uid", help="which series, where a DICOM folder holds several PET series")
    command.add_argument("--output", type=Path, default=Path("demo-output"), help="default: demo-output")
    command.add_argument("--model", default="amdiff-compact", help="an installed model, or a folder")
    command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    options = parser().parse_args(arguments)
    from AMDiffLib.errors import AMDiffError

    with tempfile.TemporaryDirectory(prefix="AMDiff-demo-") as folder:
        try:
            case = own_case(options, Path(folder)) if options.input else simulated_case(Path(folder))
        except AMDiffError as error:
            print(f"Error ({error.kind}): {error}", file=sys.stderr)
            return error.exit_code
        return run_case(case, options, Path(folder))


def simulated_case(folder: Path) -> Case:
    """Simulate one patient at a tenth of the counts."""
    cohort = folder / "cohort"
    command = [sys.executable, "-m", "AMDiffLib.simulate", "--scanner", "mct", "--subjects", "1"]
    command += ["--levels", str(COUNTS_PERCENT), "--seed", str(UNSEEN_SEED), "--output", str(cohort)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    manifest = json.loads((cohort / "manifest.json").read_text(encoding="utf-8"))
    entry = next(entry for entry in manifest["cases"] if entry["counts_percent"] == COUNTS_PERCENT)
    truth = {name: cohort / entry[name] for name in ("truth", "lesions", "organs")}
    return Case(name=f"PET {COUNTS_PERCENT} % counts", suv_file=cohort / entry["low_count"], truth=truth)


def own_case(options: argparse.Namespace, folder: Path) -> Case:
    """Read the user's scan into SUV, as the job will."""
    import numpy as np
    import SimpleITK as sitk

    from AMDiffLib.image.reading import read_pet

    volume = read_pet(options.input, units=options.units, series_uid=options.series_uid)
    suv_file = folder / "low_count.nrrd"
    sitk.WriteImage(volume.with_array(np.asarray(volume.suv, np.float32)), str(suv_file))
    is_dicom = not options.units
    return Case(
        name=options.input.resolve().name,
        suv_file=suv_file,
        dicom=options.input.resolve() if is_dicom else None,
    )


def run_case(case: Case, options: argparse.Namespace, folder: Path) -> int:
    """Denoise, segment and measure; write everything into the output folder; return the exit code."""
    from AMDiffModule.export import JobInput
    from AMDiffModule.job import JobState
    from AMDiffModule.node_marks import mark_as_suv
    from AMDiffModule.reading_views import show_side_by_side
    from AMDiffModule.run import Run
    from AMDiffModule.worker import WorkerOptions
    from slicer_host import open_host

    host = open_host(folder / "cache")
    low_count = host.load_volume(case.suv_file, case.name)
    mark_as_suv(low_count)
    series = ("--series-uid", options.series_uid) if options.series_uid else ()
    run = Run(
        low_count,
        options=WorkerOptions(model=options.model, device=options.device),
        job_input=case.dicom and JobInput(path=case.dicom, arguments=series),
        temporary_folder=folder,
    )
    try:
        show_progress(run)
        if run.state is not JobState.DONE:
            print(f"Error ({run.outcome.kind}): {run.outcome.text}", file=sys.stderr)
            return run.outcome.exit_code or 1
        nodes = run.import_results(host.scene)
        shutil.copytree(run.folder.results, options.output, dirs_exist_ok=True)
        # An earlier demo's comparison would be one of another patient.
        (options.output / "comparison.png").unlink(missing_ok=True)
    finally:
        run.close()
    show_side_by_side(host.scene, nodes)
    show_without_the_module(host, nodes)
    print_table(nodes.table)
    if case.truth:
        from demo_truth import compare_with_truth

        compare_with_truth(case.truth, low_count, nodes, options.output / "comparison.png")
    host.write_bundle(options.output / "scene.mrb")
    print(f"\nAll files are in {options.output.resolve()}; scene.mrb opens in 3D Slicer.")
    return 0


def show_without_the_module(host, nodes) -> None:
    """Leave the scene in a layout of Slicer's own, for those who open it without AMDiff."""
    import slicer

    layout = host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    for name in ("Red", "Yellow", "Green"):
        composite = host.scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode")
        composite.SetBackgroundVolumeID(nodes.denoised.GetID())
        slice_node = host.scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        host.application_logic.GetSliceLogic(slice_node).FitSliceToAll()
    host.scene.GetFirstNodeByClass("vtkMRMLSelectionNode").SetActiveTableID(nodes.table.GetID())
    host.application_logic.PropagateTableSelection()


def show_progress(run) -> None:
    """Show the job's progress as a bar on the terminal, and its warnings and log above it."""
    from tqdm import tqdm

    with tqdm(total=100, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}") as bar:
        for event in run.job.wait():
            if event.type == "stage":
                bar.set_description_str(event.text)
            elif event.type == "progress":
                bar.update(100 * event.value - bar.n)
            elif event.text:
                bar.write(event.text, file=sys.stderr)


def print_table(table_node) -> None:
    """Print the columns of the table node that fit a terminal."""
    available = [table_node.GetColumnName(index) for index in range(table_node.GetNumberOfColumns())]
    columns = [name for name in PRINTED_COLUMNS if name in available]
    units = [table_node.GetColumnUnitLabel(name) for name in columns]
    titles = [table_node.GetColumnTitle(name) for name in columns]
    lines = [[f"{title} [{unit}]" if unit else title for title, unit in zip(titles, units, strict=True)]]
    for row in range(table_node.GetNumberOfRows()):
        cells = [table_node.GetCellText(row, available.index(name)) for name in columns]
        lines.append(["" if cell == "nan" else cell for cell in cells])
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    print("\nMeasured in the denoised PET")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
