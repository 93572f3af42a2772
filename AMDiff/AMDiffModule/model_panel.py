"""The choice of the trained networks: those that come with the module, or a folder of the user's own."""

from __future__ import annotations

from pathlib import Path

from .translation import _
from .worker import installed_models, is_model_folder


class ModelPanel:
    """Keeps the list of models in line with the parameter node's choice."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        ui.modelComboBox.addItems(installed_models())
        ui.modelComboBox.connect("currentTextChanged(QString)", self._on_model_chosen)
        ui.modelFolderButton.connect("clicked(bool)", self._on_folder_button)

    def update(self) -> None:
        """Show the parameter node's model; a scene may name one that is not here."""
        models, parameters = self.ui.modelComboBox, self.host.parameterNode
        if models.findText(parameters.model) < 0 and is_model_folder(Path(parameters.model)):
            models.addItem(parameters.model)
        if models.count and models.findText(parameters.model) < 0:
            parameters.model = models.currentText
        models.setCurrentText(parameters.model)
        idle = not self.host.logic.isRunning
        models.enabled = idle
        self.ui.modelFolderButton.enabled = idle
        if models.count == 0:
            self.host.showStatus(
                _("No model is installed. Install the AMDiff extension again, or choose a model folder.")
            )

    def close(self) -> None:
        """Observe nothing; there is nothing to drop."""

    def _on_model_chosen(self, name) -> None:
        if self.host.parameterNode and name:
            self.host.parameterNode.model = name

    def _on_folder_button(self, checked=False) -> None:
        chosen = self.host.askForFolder(_("Choose a folder with model.safetensors and config.json"))
        if not chosen:
            return
        if not is_model_folder(Path(chosen)):
            self.host.showProblem(
                _("The folder {folder} holds no model: it needs model.safetensors and config.json.").format(
                    folder=chosen
                )
            )
            return
        if self.ui.modelComboBox.findText(chosen) < 0:
            self.ui.modelComboBox.addItem(chosen)
        self.host.parameterNode.model = chosen
        self.ui.modelComboBox.setCurrentText(chosen)
