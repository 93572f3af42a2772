"""The whole click in the real application, on a small simulated patient; run as `AMDiffTest`."""

from __future__ import annotations

import time
import unittest

import slicer
import vtk

from .node_marks import is_marked_as_suv
from .reading_layout import MIP, PLANES, slice_views
from .simulated_case import add_simulated_case
from .translation import _


class SelfTest:
    """The test methods of `AMDiffTest`, which is a unittest.TestCase."""

    def setUp(self):
        slicer.mrmlScene.Clear()
        if slicer.util.mainWindow():
            slicer.util.selectModule("AMDiff")
        self.widget = slicer.util.getModuleWidget("AMDiff")
        self.widget.enter()

    def tearDown(self):
        self.widget.logic.close()

    def runTest(self):
        """Run every test, one after the other: Slicer's Test button calls this and nothing else."""
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            self.setUp()
            try:
                getattr(self, name)()
            finally:
                self.tearDown()

    def test_click_brings_denoised_volume_segments_and_table(self):
        """Choose, click, wait: what was promised is in the scene."""
        case = self._choose(add_simulated_case())
        self._click_and_wait(timeout_s=300.0)
        status = self.widget.ui.statusLabel.text
        denoised = self._result(case, "denoised")
        self.assertIsNotNone(denoised, status)
        self.assertTrue(is_marked_as_suv(denoised))
        self.assertEqual(denoised.GetImageData().GetDimensions(), case.GetImageData().GetDimensions())
        for there, here in zip(_geometry(denoised), _geometry(case), strict=True):
            self.assertAlmostEqual(there, here, places=4)
        clean, noisy = slicer.util.arrayFromVolume(denoised), slicer.util.arrayFromVolume(case)
        self.assertGreaterEqual(clean.min(), 0.0)
        self.assertAlmostEqual(clean.mean() / noisy.mean(), 1.0, delta=0.2)

        table = self._result(case, "measurements")
        measured = [table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())]
        self.assertIn("All lesions", measured)
        self.assertIn("liver", measured)
        segments = self._result(case, "segmentation").GetSegmentation()
        self.assertGreater(segments.GetNumberOfSegments(), 0)
        for index in range(segments.GetNumberOfSegments()):
            self.assertIn(segments.GetNthSegment(index).GetName(), measured)
        if slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode") is not None:
            self._read(case, denoised)
        self.assertEqual(self.widget.ui.runButton.text, _("Denoise && Segment"))

    def test_cancel_leaves_the_scene_as_it_was(self):
        """Click, click again: the run ends and nothing was added."""
        self._choose(add_simulated_case())
        before = self._node_names()
        self.widget.ui.runButton.click()
        self.assertEqual(self.widget.ui.runButton.text, _("Cancel"))
        self._click_and_wait(timeout_s=60.0)
        self.assertEqual(self._node_names(), before)
        self.assertEqual(self.widget.ui.runButton.text, _("Denoise && Segment"))

    def test_volume_without_unit_is_refused_until_the_user_says_it_is_suv(self):
        """The panel says why the button is off; the tick turns it on."""
        self._choose(add_simulated_case(marked=False))
        self.assertFalse(self.widget.ui.runButton.enabled)
        self.assertIn("SUV", self.widget.ui.inputStatusLabel.text)
        self.widget.ui.valuesAreSuvCheckBox.checked = True
        self.assertTrue(self.widget.ui.runButton.enabled)

    def test_empty_scan_is_refused_by_name_and_leaves_the_scene_as_it_was(self):
        """All zeros pass the panel and are refused by the worker; the panel says so."""
        case = self._choose(add_simulated_case())
        slicer.util.updateVolumeFromArray(case, 0.0 * slicer.util.arrayFromVolume(case))
        before = self._node_names()
        self._click_and_wait(timeout_s=120.0)
        self.assertEqual(self._node_names(), before)
        self.assertIn("zero", self.widget.ui.statusLabel.text)

    def _read(self, low_count, denoised):
        """Low-count and denoised are side by side in one window; every button does what it says."""
        ui, both = self.widget.ui, {low_count.GetID(), denoised.GetID()}
        self.assertEqual(self._shown(), both)
        ui.suv5Button.click()
        for node in (low_count, denoised):
            self.assertEqual(node.GetDisplayNode().GetWindowLevelMax(), 5.0)
        for index, what in ((1, "difference"), (2, "uncertainty"), (3, "count consistency")):
            ui.denoisedViewComboBox.currentIndex = index
            shown = self._result(low_count, what)
            if shown is None:  # a model without uncertainty head makes no such map, and the panel says so
                self.assertEqual((what, ui.denoisedViewComboBox.currentIndex), ("uncertainty", 0))
                self.assertIn("no such map", ui.statusLabel.text)
            else:
                self.assertIn(shown.GetID(), self._shown())
        ui.denoisedViewComboBox.currentIndex = 0
        for button in (ui.mipOnlyButton, ui.denoisedOnlyButton, ui.sideBySideButton):
            button.click()
            slicer.app.processEvents()
            self.assertTrue(button.checked)
            self.assertEqual(self._shown(), both)

    def _shown(self):
        views = slice_views(slicer.mrmlScene, *PLANES, MIP)
        shown = [composite for _volume, _view, _node, composite in views]
        background = {composite.GetBackgroundVolumeID() for composite in shown}
        return background | {composite.GetForegroundVolumeID() for composite in shown} - {None}

    def _choose(self, volume_node):
        self.widget.ui.inputSelector.setCurrentNode(volume_node)
        return volume_node

    def _click_and_wait(self, *, timeout_s):
        self.widget.ui.runButton.click()
        deadline = time.monotonic() + timeout_s
        while self.widget.logic.isRunning:
            self.assertLess(time.monotonic(), deadline, "the run has not ended")
            slicer.app.processEvents()
            time.sleep(0.02)

    def _result(self, case, what):
        return slicer.mrmlScene.GetFirstNodeByName(f"{case.GetName()} {what} (AMDiff)")

    def _node_names(self):
        return sorted(node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode"))


def _geometry(volume_node):
    """Return the 16 numbers of the matrix from voxel indices to RAS."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return [matrix.GetElement(row, column) for row in range(4) for column in range(4)]
