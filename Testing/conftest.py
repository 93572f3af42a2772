"""What the tests share: the real scans, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples in every run, so that a failure is seen again; a shared computer knows no deadline.
settings.register_profile("seeded", derandomize=True, deadline=None, database=None, max_examples=15)
settings.load_profile("seeded")


@pytest.fixture(scope="session")
def pet_data() -> Path:
    """Folder of real PET scans kept beside the repository; tests that need it are skipped without it."""
    folder = REPOSITORY.parent / "shared" / "pet-data"
    if not folder.is_dir():
        pytest.skip("the real PET scans (../shared/pet-data) are not here")
    return folder
