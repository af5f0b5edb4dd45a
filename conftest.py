"""What holds for every test of the repository, wherever it lies."""

import gc
import importlib
import os

import pytest
from hypothesis import HealthCheck, settings

# Spinning OpenMP threads take the cores from the servers that run beside the tests; read when a library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# No promise of ours is a duration on a loaded machine, so no example has a deadline; a failure prints how to repeat it.
settings.register_profile("touchstone", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("touchstone")

# The folders of these members are named like their packages. Imported before pytest names the folders' tests after
# them, the package is what `import gateway` finds.
for package in ("demo", "gateway"):
    importlib.import_module(package)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported and collected stays: the collector need not look through it again for every test."""
    gc.collect()
    gc.freeze()
