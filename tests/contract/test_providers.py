"""Every promise is kept by its provider: the real process, asked over gRPC."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from chassis.rpc.errors import RemoteRefusal
from chassis.testing import Keys, Templates
from chassis.testing.servers import fresh_broker

from tests.contract.matching import differences, plain
from tests.contract.promises import PROVIDERS, Promise, admitted, promises
from tests.contract.worlds import World, world_of

# A test for each promise, world by world.
EACH = [
    pytest.param(promise.world, promise, id=str(promise).replace(" ", "-"))
    for promise in sorted(promises(), key=lambda promise: promise.world)
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    request: pytest.FixtureRequest, database_templates: Templates, scratch: Path, keys: Keys
) -> AsyncIterator[World]:
    """A provider, for all promises that are tried in this world."""
    first = next(promise for promise in promises() if promise.world == request.param)
    with fresh_broker(scratch) as nats:
        async with world_of(first, database_templates, nats, keys) as made:
            yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("world", "promise"), EACH, indirect=["world"], scope="module")
async def test_the_provider_keeps_its_promise(world: World, promise: Promise) -> None:
    await world.prepare(promise)
    answer = await world.call(promise.method, promise.request, promise.caller)
    if promise.refusal is not None:
        assert isinstance(answer, RemoteRefusal), f"answered instead of refused: {answer}"
        named = tuple(violation.field for violation in answer.violations)
        expected = promise.refusal
        assert (answer.code.value, answer.reason, named) == (expected.code, expected.reason, expected.fields)
    else:
        assert not isinstance(answer, RemoteRefusal), f"refused: {answer} {answer.violations}"
        assert list(differences(promise.reply, plain(answer), world.bound)) == []
    for told in promise.told:
        found = await world.told(told.event)
        missed = [list(differences(told.message, one, dict(world.bound))) for one in found]
        assert [] in missed, f"{told.event} was not told as promised: {missed}"


def test_every_provider_promises() -> None:
    assert {promise.provider for promise in promises()} == set(PROVIDERS)


def test_a_promise_says_one_thing() -> None:
    for promise in promises():
        assert (promise.reply is None) != (promise.refusal is None), promise
        scopes = promise.caller.scopes
        admits = scopes is None or bool(set(scopes) & admitted(promise.method).scopes)
        assert admits or promise.refusal is not None, promise
