"""How this software names itself, its model and its part in an object, in DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

import AMDiffLib
from AMDiffLib.export.codes import code_sequence

if TYPE_CHECKING:
    import highdicom as hd

MANUFACTURER = "The AMDiff developers"
MODEL_NAME = "AMDiff"
NOT_FOR_DIAGNOSIS = "Research use only - not for diagnosis"

_EQUIPMENT_ATTRIBUTES = (
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
)


@dataclass(frozen=True, kw_only=True)
class Software:
    """The software and model that made a result, as report.json says; `checksum` is that of the weights."""

    model: str = "unknown"
    checksum: str = "unknown"
    version: str = AMDiffLib.__version__
    steps: int | None = None

    @classmethod
    def of_report(cls, report: dict) -> Software:
        """Take from the content of report.json what it says."""
        model, run = report.get("model") or {}, report.get("run") or {}
        return cls(
            model=str(model.get("name") or "unknown"),
            checksum=str(model.get("sha256") or "unknown"),
            version=str((report.get("software") or {}).get("version") or AMDiffLib.__version__),
            steps=run.get("steps"),
        )

    @property
    def serial_number(self) -> str:
        """What tells one installation from another: its weights."""
        return self.checksum[:16]

    @property
    def device_uid(self) -> str:
        """The same for the same software and weights."""
        return generate_uid(entropy_srcs=[MODEL_NAME, self.version, self.checksum])

    @property
    def parameters(self) -> dict[str, str]:
        """What the algorithm ran with."""
        steps = {} if self.steps is None else {"sampling steps": str(self.steps)}
        return {"model": self.model, "weights SHA-256": self.checksum, **steps}

    @property
    def algorithm_name(self) -> str:
        """Software and model in one name."""
        return f"{MODEL_NAME} {self.model}"

    def algorithm_identification(self) -> hd.AlgorithmIdentificationSequence:
        """For the segments that it drew."""
        import highdicom as hd

        return hd.AlgorithmIdentificationSequence(
            name=self.algorithm_name,
            family=codes.DCM.ArtificialIntelligence,
            version=self.version,
            source=MANUFACTURER,
            parameters=self.parameters,
        )

    def contribution(self, now: datetime) -> Dataset:
        """An item of the Contributing Equipment Sequence that says that an AI made these voxels."""
        item = _equipment_item(codes.DCM.ProcessingEquipment)
        item.Manufacturer = MANUFACTURER
        item.ManufacturerModelName = MODEL_NAME
        item.DeviceSerialNumber = self.serial_number
        item.SoftwareVersions = [self.version, self.model[:64]]
        item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
        item.ContributionDescription = (
            f"AI-processed: denoised by the neural networks of {self.algorithm_name} {self.version}. "
            f"{NOT_FOR_DIAGNOSIS}."
        )
        return item


def scanner_contribution(header: Dataset) -> Dataset:
    """An item of the Contributing Equipment Sequence for the scanner that acquired the source series."""
    item = _equipment_item(codes.DCM.AcquisitionEquipment)
    for keyword in _EQUIPMENT_ATTRIBUTES:
        if header.get(keyword):
            setattr(item, keyword, header.get(keyword))
    # Mandatory in the sequence, though the source may lack it.
    item.Manufacturer = str(header.get("Manufacturer") or "unknown")
    return item


def _equipment_item(purpose: Code) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = code_sequence(purpose)
    return item
