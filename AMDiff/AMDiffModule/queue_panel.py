"""The section for several patients: volumes are picked, processed in turn, and their state is shown."""

from __future__ import annotations

import slicer
import vtk

from .export import reason_unusable
from .node_marks import is_in_suv
from .run_queue import ItemState, RunQueue
from .subject_hierarchy import modality_of, subject_name, volumes_under
from .translation import _


class QueuePanel:
    """Fills a queue from the subject hierarchy and hands it to the run panel."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        self.queue = RunQueue()
        ui.addSelectedButton.connect("clicked(bool)", self._on_add_selected)
        ui.addAllPetButton.connect("clicked(bool)", self._on_add_all_pet)
        ui.removeFromQueueButton.connect("clicked(bool)", self._on_remove)
        ui.clearQueueButton.connect("clicked(bool)", self._on_clear)
        ui.runQueueButton.connect("clicked(bool)", self._on_run)
        self._shown: list[str] = []

    def update(self) -> None:
        """Bring the section in line with the queue, the run and the scene."""
        for item in list(self.queue.items):
            if item.state is not ItemState.RUNNING and not slicer.mrmlScene.IsNodePresent(item.volume):
                self.queue.items.remove(item)
        running = self.host.logic.isRunning
        labels = [
            f"{number}. {_whose(item.volume)}{item.label()}"
            for number, item in enumerate(self.queue.items, start=1)
            if slicer.mrmlScene.IsNodePresent(item.volume)
        ]
        if labels != self._shown:
            # Only when it changed: filling a list takes its selection away.
            row = self.ui.queueListWidget.currentRow
            self.ui.queueListWidget.clear()
            self.ui.queueListWidget.addItems(labels)
            self.ui.queueListWidget.setCurrentRow(min(row, len(labels) - 1))
            self._shown = labels
        self.ui.runQueueButton.enabled = not running and self.queue.count(ItemState.WAITING) > 0
        self.ui.clearQueueButton.enabled = not running and bool(self.queue.items)
        self.ui.removeFromQueueButton.enabled = bool(self.queue.items)

    def close(self) -> None:
        """Forget the queue: its volumes are about to go."""
        self.queue = RunQueue()
        self._shown = []
        self.ui.queueListWidget.clear()

    def _on_add_selected(self, checked=False) -> None:
        selected = vtk.vtkIdList()
        self.ui.queueTreeView.currentItems(selected)
        items = [selected.GetId(index) for index in range(selected.GetNumberOfIds())]
        self._add(volumes_under(slicer.mrmlScene, items), _("No volume is selected in the list above."))

    def _on_add_all_pet(self, checked=False) -> None:
        scene = slicer.mrmlScene
        count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        volumes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
        pets = [node for node in volumes if is_in_suv(node) or modality_of(node) == "PT"]
        self._add(pets, _("The scene holds no volume that is known to be PET."))

    def _add(self, volumes: list, nothing: str) -> None:
        """Append those that can be used; say why the others cannot, if they were not chosen among others."""
        usable = [volume for volume in volumes if not reason_unusable(volume)]
        added = self.queue.add(usable)
        if not volumes:
            self.host.showStatus(nothing)
        elif not usable:
            self.host.showStatus(reason_unusable(volumes[0]))
        else:
            self.host.showStatus(_("{count} volume(s) added to the list.").format(count=added))
        self.update()

    def _on_remove(self, checked=False) -> None:
        self.queue.remove(self.ui.queueListWidget.currentRow)
        self.update()

    def _on_clear(self, checked=False) -> None:
        self.queue.items.clear()
        self.update()

    def _on_run(self, checked=False) -> None:
        self.host.runPanel.run(self.queue)


def _whose(volume) -> str:
    """The patient's name, which tells volumes of one name apart; in this list only, never in the log."""
    name = subject_name(volume)
    return f"{name}, " if name else ""
