"""The parts of the AMDiff module that need no Qt: the background job and what it brings into the scene."""
