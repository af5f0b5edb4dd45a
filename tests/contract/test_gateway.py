"""The gateway asks what its providers promised and gives on what they answered: fakes made of the same examples."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chassis.testing import Keys
from gateway.schema import to_json
from google.protobuf.json_format import MessageToDict

from tests.contract.billed import order_with_coupons, shapes
from tests.contract.fakes import Sample, faking, sample_of
from tests.contract.gateways import Client, Gateway, gateway_over
from tests.contract.matching import filled
from tests.contract.promises import PROVIDERS, Promise, admitted, promises

ASKED = [promise for promise in promises() if promise.rest is not None]


@pytest.fixture
async def gateway(keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    """The gateway over the fake of one provider; the others are down."""
    async with faking(request.param, keys) as fake, gateway_over(keys, [fake]) as made:
        yield made


@pytest.mark.parametrize("gateway", PROVIDERS, indirect=True)
async def test_the_gateway_speaks_as_promised(gateway: Gateway) -> None:
    (fake,) = gateway.fakes
    faults = []
    for promise in ASKED:
        if promise.provider == fake.provider:
            faults += [f"{promise}: {fault}" for fault in await spoken(gateway.client, promise)]
    assert faults == []
    assert fake.asked


async def spoken(client: Client, promise: Promise) -> list[str]:
    """What is wrong with the gateway's answer to a promise's request."""
    rest, sample = promise.rest, sample_of(promise)
    assert rest is not None
    method, _, path = filled(rest.call, sample.bound).partition(" ")
    key = promise.request.get("request_id")
    answer = await client.send(
        method, path, admitted(promise.method).scopes, key=key, body=filled(rest.body, sample.bound)
    )
    if answer.status_code != rest.status:
        return [f"status {answer.status_code} instead of {rest.status}: {answer.text}"]
    expected, found = expected_of(sample, rest.part), seen_of(promise, answer.json())
    return [] if expected == found else [f"{json.dumps(found)} instead of {json.dumps(expected)}"]


def expected_of(sample: Sample, part: str) -> Any:
    """What the example says, as the gateway is to say it."""
    if sample.promise.refusal is not None:
        refusal = sample.promise.refusal
        return refusal.reason, [{"request_id": "Idempotency-Key"}.get(name, name) for name in refusal.fields]
    reply: Any = sample.answer
    return to_json(getattr(reply, part) if part else reply)


def seen_of(promise: Promise, answer: Any) -> Any:
    """The same of what the gateway said."""
    if promise.refusal is None:
        return answer
    return answer["reason"], [error["field"] for error in answer["errors"]]


def test_every_method_behind_the_gateway_is_promised(keys: Keys) -> None:
    """At least one reply each, and a refusal from each service; a route without fails here."""
    methods = {route.method for route in Gateway.described(keys).routes()}
    answered = {promise.method for promise in ASKED if promise.reply is not None}
    refused = {promise.method.rpartition(".")[0] for promise in ASKED if promise.refusal is not None}
    assert sorted(methods - answered) == []
    assert sorted({method.rpartition(".")[0] for method in methods} - refused) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_request_has_one_answer(provider: str) -> None:
    """A fake goes by the request alone, so no two promises may answer the same request differently."""
    known: dict[tuple[str, bytes], Sample] = {}
    for promise in promises():
        if promise.provider != provider or (promise.refusal is not None and promise.refusal.by_guard):
            continue
        sample = sample_of(promise)
        before = known.setdefault((promise.method, sample.request.SerializeToString(deterministic=True)), sample)
        assert before.answer == sample.answer, f"{promise} and {before.promise}"


def test_names_are_given_once() -> None:
    """A step given is done once in a world, so a name must come from one step alone."""
    given: dict[tuple[str, str], str] = {}
    for promise in promises():
        for step in promise.given:
            for name in names_in(step.reply):
                assert given.setdefault((promise.world, name), repr(step)) == repr(step), name


def names_in(pattern: Any) -> list[str]:
    """The names that a pattern gives."""
    text = json.dumps(pattern)
    return [part.partition(":")[0] for part in text.split("<")[1:] if ":" in part.partition(">")[0]]


def test_what_consumers_hear_is_what_providers_tell() -> None:
    """An event given to a consumer has fields that its provider was seen to tell together, or that billing's facts have
    together: its orders with coupons need member beside it, and no promise has both."""
    told = [(told.event, shape(told.message)) for promise in promises() for told in promise.told]
    told += [
        (each.DESCRIPTOR.full_name, shape(MessageToDict(each, preserving_proto_field_name=True)))
        for each in (*shapes("c-1"), order_with_coupons("c-1"))
    ]
    heard = [step for promise in promises() for step in promise.given if step.event]
    assert heard
    for step in heard:
        assert (step.event, shape(step.message)) in told


def shape(value: Any) -> Any:
    """The fields of a value, without what is in them."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else None
