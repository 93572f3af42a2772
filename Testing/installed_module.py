"""One click in an installed extension, in a process that knows nothing of the sources: what it brings.

`python installed_module.py MODULE CACHE` with the folder that holds AMDiff.py; Testing is where the stand-ins
for Slicer's Qt come from, and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(module_folder: Path, cache: Path) -> None:
    """Open the panel, click, wait for the run's end, and print the scene's results as JSON."""
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
        deadline = time.monotonic() + 300
        while widget.logic.isRunning and time.monotonic() < deadline:
            slicer_stand_ins.process_events()
            time.sleep(0.02)
        nodes = widget.results()
        found = {
            "status": widget.ui.statusLabel.text,
            "module": str(Path(module.__file__).parent),
            "library": str(worker.library_root()),
            "models": worker.installed_models(),
            "sample": str(sample),
            "library_in_this_process": str(Path(sys.modules["AMDiffLib"].__file__).parent),
            "torch_in_this_process": "torch" in sys.modules,
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
