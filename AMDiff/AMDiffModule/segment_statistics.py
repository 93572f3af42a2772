"""SUVpeak, MTV, TLG and the ratios to liver and blood pool as a plugin of Slicer's Segment Statistics."""

from __future__ import annotations

import slicer

from .measuring_library import quantification
from .node_marks import is_marked_as_suv
from .scene_measurement import organ_label, read_anatomy_in_steps
from .translation import _

PLUGIN_NAME = "AMDiffSegmentStatisticsPlugin"

_SUV = ("126401", "DCM", "SUVbw")
_METABOLIC_VOLUME = ("126032", "DCM", "Metabolic Volume")
_GLYCOLYSIS = ("126033", "DCM", "Total Lesion Glycolysis")
_SUV_UNIT = ("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
_MILLILITRE = ("ml", "UCUM", "milliliter")
_GRAM = ("g", "UCUM", "gram")
# Key: title, unit as shown, column of the measurements that defines it, quantity, unit.
_MEASUREMENTS = {
    "suv_max": (_("SUVmax"), "g/mL", "suv_max_g_per_ml", _SUV, _SUV_UNIT),
    "suv_mean": (_("SUVmean"), "g/mL", "suv_mean_g_per_ml", _SUV, _SUV_UNIT),
    "suv_peak": (_("SUVpeak"), "g/mL", "suv_peak_g_per_ml", _SUV, _SUV_UNIT),
    "mtv_ml": (_("MTV"), "mL", "mtv_ml", _METABOLIC_VOLUME, _MILLILITRE),
    "tlg_g": (_("TLG"), "g", "tlg_g", _GLYCOLYSIS, _GRAM),
    "mtv_suv_4_ml": (_("MTV at SUV 4.0"), "mL", "mtv_suv_4_ml", _METABOLIC_VOLUME, _MILLILITRE),
    "tlg_suv_4_g": (_("TLG at SUV 4.0"), "g", "tlg_suv_4_g", _GLYCOLYSIS, _GRAM),
    "mtv_41_percent_ml": (_("MTV at 41 %"), "mL", "mtv_41_percent_ml", _METABOLIC_VOLUME, _MILLILITRE),
    "tlg_41_percent_g": (_("TLG at 41 %"), "g", "tlg_41_percent_g", _GLYCOLYSIS, _GRAM),
    "suv_max_to_liver": (_("SUVmax / liver"), "", "suv_max_to_liver_ratio", None, None),
    "suv_max_to_blood_pool": (_("SUVmax / blood pool"), "", "suv_max_to_blood_pool_ratio", None, None),
}


def register() -> bool:
    """Add the plugin to Segment Statistics, in place of an older one; return whether that module is there."""
    try:
        from SegmentStatistics import SegmentStatisticsLogic
        from SegmentStatisticsPlugins import SegmentStatisticsPluginBase
    except ImportError:
        return False
    plugins = SegmentStatisticsLogic.registeredPlugins
    plugins[:] = [plugin for plugin in plugins if plugin.__name__ != PLUGIN_NAME]
    SegmentStatisticsLogic.registerPlugin(plugin_class(SegmentStatisticsPluginBase)())
    return True


def plugin_class(base: type) -> type:
    """Return the plugin as a subclass of Slicer's SegmentStatisticsPluginBase."""

    class AMDiffSegmentStatisticsPlugin(base):
        """Uptake of lesions, by the definitions of AMDiffLib.quantification."""

        def __init__(self):
            super().__init__()
            self.name = "AMDiff"
            self.title = _("AMDiff lesion uptake")
            self.keys = list(_MEASUREMENTS)
            self.defaultKeys = self.keys
            self._measure = SegmentMeasurement()

        def computeStatistics(self, segmentID):
            parameters, requested = self.getParameterNode(), self.getRequestedKeys()
            nodes = (
                slicer.mrmlScene.GetNodeByID(parameters.GetParameter(role))
                for role in ("Segmentation", "ScalarVolume")
            )
            found = self._measure(*nodes, segmentID) if requested else {}
            return {key: value for key, value in found.items() if key in requested}

        def getMeasurementInfo(self, key):
            return measurement_info(key)

    return AMDiffSegmentStatisticsPlugin


def measurement_info(key: str) -> dict | None:
    """Return name, title, description, unit and DICOM codes of a measurement, as Segment Statistics asks."""
    if key not in _MEASUREMENTS:
        return None
    title, unit, column, quantity, coded_unit = _MEASUREMENTS[key]
    definitions = quantification("column_definitions")
    description = definitions.UPTAKE.get(column) or definitions.COLUMNS[column]
    info = {"name": title, "title": title, "description": description, "units": unit}
    if quantity is not None:
        info |= {"DICOM.QuantityCode": _code(quantity), "DICOM.UnitsCode": _code(coded_unit)}
    return info


class SegmentMeasurement:
    """Measures single segments as lesions; the anatomy is read again only when a segment has changed."""

    def __init__(self) -> None:
        self._state: tuple | None = None
        self._measured: dict[str, object] = {}

    def __call__(self, segmentation_node, volume_node, segment_id: str) -> dict[str, float]:
        """Return the measurements of a segment by key; none without SUV, of an organ, or of an empty one."""
        if segmentation_node is None or volume_node is None or not is_marked_as_suv(volume_node):
            return {}
        state = _state(segmentation_node, volume_node)
        if state != self._state:
            self._state, self._measured = state, _measure(segmentation_node, volume_node)
        measured = self._measured.get(segment_id)
        values = {} if measured is None else {key: getattr(measured, key) for key in _MEASUREMENTS}
        return {key: value for key, value in values.items() if value is not None}


def _measure(segmentation_node, volume_node) -> dict[str, object]:
    """Return the LesionMeasurement of every segment that is no organ, by segment id."""
    segmentation = segmentation_node.GetSegmentation()
    others = [
        each for each in segmentation.GetSegmentIDs() if organ_label(segmentation.GetSegment(each)) is None
    ]
    numbers = {segment_id: number for number, segment_id in enumerate(others, start=1)}
    finished = quantification("steps").finished
    anatomy = finished(read_anatomy_in_steps(segmentation_node, volume_node, numbers))
    suv = slicer.util.arrayFromVolume(volume_node)
    measured = quantification("measurements").measure_anatomy(suv, anatomy)
    by_number = {lesion.number: lesion for lesion in measured.lesions}
    return {segment_id: by_number.get(number) for segment_id, number in numbers.items()}


def _state(segmentation_node, volume_node) -> tuple:
    """Return what changes when a segment, its type or the volume does."""
    segmentation = segmentation_node.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    times = []
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        labelmap = segment.GetRepresentation(name)
        times.append((segment_id, segment.GetMTime(), labelmap.GetMTime() if labelmap else 0))
    return (segmentation_node.GetID(), volume_node.GetID(), volume_node.GetImageData().GetMTime(), *times)


def _code(triple: tuple[str, str, str]) -> str:
    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(*triple)
    return entry.GetAsString()
