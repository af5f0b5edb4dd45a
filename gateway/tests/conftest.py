"""The gateway over all five fakes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from chassis.testing import Keys

from tests.contract.fakes import Fake, faking
from tests.contract.gateways import Gateway, gateway_over
from tests.contract.promises import PROVIDERS


@pytest.fixture
async def fakes(keys: Keys) -> AsyncIterator[dict[str, Fake]]:
    """Every provider, as its promises make it."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(faking(name, keys)) for name in PROVIDERS}


@pytest.fixture
async def gateway(keys: Keys, fakes: dict[str, Fake]) -> AsyncIterator[Gateway]:
    """The gateway with all services up."""
    async with gateway_over(keys, list(fakes.values())) as made:
        yield made
