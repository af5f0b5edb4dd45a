"""Makes the probe service importable, here and for the processes that tests start."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH", "")]))

from chassis.embedded import NatsServer  # noqa: E402
from chassis.testing import Databases, Keys  # noqa: E402
from chassis.testing.serving import Serving, serving  # noqa: E402
from probe.service import PROCESS  # noqa: E402 - importable from here on


@pytest.fixture
async def probe(database: Databases, nats: NatsServer, keys: Keys) -> AsyncIterator[Serving]:
    """The probe service, serving."""
    async with serving(PROCESS, await database("probe"), nats, keys) as served:
        yield served
