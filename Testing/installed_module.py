"""A run and an export in an installed extension, in a process that knows nothing of the sources.

`python installed_module.py MODULE CACHE` with the folder that holds AMDiff.py; Testing is where the stand-ins
for Slicer's Qt come from, and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

# What belongs into the background process; another extension may need another torch or ITK.
HEAVY = {"torch", "monai", "SimpleITK", "pydicom", "highdicom", "scipy", "matplotlib", "slicerio"}


def wait_while(condition, process_events) -> None:
    """Let the timers fire while the condition holds, for five minutes at most."""
    deadline = time.monotonic() + 300
    while condition() and time.monotonic() < deadline:
        process_events()
        time.sleep(0.02)


def main(module_folder: Path, cache: Path) -> None:
    """Open the panel, run, export, and print what came of it as JSON."""
    sys.path.insert(0, str(module_folder))
    import pytest
    import slicer_stand_ins

    slicer_stand_ins.MODULE_FOLDER = module_folder
    from AMDiffModule import sample_data, simulated_case, worker
    from slicer_host import open_host

    sample = sample_data.sample_file()
    host = open_host(cache)
    with pytest.MonkeyPatch.context() as patch:
        module, widget = slicer_stand_ins.open_module(host, patch, models=worker.installed_models())
        simulated_case.add_simulated_case()
        widget.enter()
        widget.ui.runButton.click()
        wait_while(lambda: widget.logic.isRunning, slicer_stand_ins.process_events)
        nodes = widget.results()
        exports = cache / "exports"
        exports.mkdir(parents=True)
        export_panel = widget.panels[-1]
        widget.askForFolder = lambda title: str(exports)
        widget.ui.exportButton.click()
        wait_while(lambda: export_panel.job is not None, slicer_stand_ins.process_events)
        found = {
            "status": widget.ui.statusLabel.text,
            "module": str(Path(module.__file__).parent),
            "library": str(worker.library_root()),
            "models": worker.installed_models(),
            "sample": str(sample),
            "library_in_this_process": str(Path(sys.modules["AMDiffLib"].__file__).parent),
            "heavy_packages_in_this_process": sorted(HEAVY & set(sys.modules)),
            "exported": sorted(path.name for path in exports.glob("*/*")),
            "export_status": widget.ui.exportStatusLabel.text,
        }
        if nodes is not None:
            table = nodes.table
            found["size"] = nodes.denoised.GetImageData().GetDimensions()
            found["segments"] = nodes.segmentation.GetSegmentation().GetNumberOfSegments()
            found["measured"] = [table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())]
        widget.cleanup()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
