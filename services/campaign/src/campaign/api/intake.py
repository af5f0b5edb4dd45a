"""IntakeService: events and tag values in, with an outcome for each item."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from chassis.auth import current_caller
from chassis.errors import InvalidArgument, Refusal
from chassis.rpc.errors import status_proto
from chassis.work import Transaction, Work, ask
from touchstone.campaign.v1 import campaign_service_pb2 as proto
from touchstone.campaign.v1.campaign_service_pb2_grpc import IntakeServiceServicer

from campaign.domain.intake import MAX_BATCH, CustomerEvent, TagValue
from campaign.use_cases.intake import customer_tags, submit_events, submit_tags
from campaign.use_cases.live import LiveRules
from campaign.wire.intake import (
    customer_id_from_proto,
    customer_tag_to_proto,
    event_from_proto,
    tag_value_from_proto,
)

T = TypeVar("T")
M = TypeVar("M")


class IntakeApi(IntakeServiceServicer):
    """Events and tag values in, each with its own outcome."""

    def __init__(self, work: Work, live: LiveRules) -> None:
        self._work = work
        self._live = live

    async def SubmitEvents(self, request: proto.SubmitEventsRequest, context: object) -> proto.SubmitEventsResponse:
        """The events themselves are the claims, by source and identity; the call needs none of its own."""
        _check_size("events", len(request.events))
        source = current_caller().subject
        read, outcomes = _read(request.events, lambda event: event_from_proto(event, source))

        async def act(transaction: Transaction) -> list[Refusal | None]:
            return await submit_events(transaction, self._live, [event for _, event in read])

        _fill(outcomes, read, await self._work.run(act) if read else [])
        return proto.SubmitEventsResponse(results=[_event_result(outcome) for outcome in outcomes])

    async def SubmitTags(self, request: proto.SubmitTagsRequest, context: object) -> proto.SubmitTagsResponse:
        _check_size("values", len(request.values))
        read, outcomes = _read(request.values, tag_value_from_proto)

        async def act(transaction: Transaction, values: Sequence[tuple[int, TagValue]]) -> proto.SubmitTagsResponse:
            _fill(outcomes, read, await submit_tags(transaction, self._live, [value for _, value in values]))
            return proto.SubmitTagsResponse(results=[_tag_result(outcome) for outcome in outcomes])

        return await self._work.answer("submit_tags", ask(request, read), act, proto.SubmitTagsResponse)

    async def GetCustomerTags(
        self, request: proto.GetCustomerTagsRequest, context: object
    ) -> proto.GetCustomerTagsResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            tags = await customer_tags(connection, self._live, customer_id)
        return proto.GetCustomerTagsResponse(tags=[customer_tag_to_proto(tag) for tag in tags])


def _check_size(field: str, size: int) -> None:
    if size > MAX_BATCH:
        raise InvalidArgument(field, f"at most {MAX_BATCH} in one call, here are {size}")


def _read(messages: Sequence[M], read: Callable[[M], T]) -> tuple[list[tuple[int, T]], list[Refusal | None]]:
    """What could be read with its place, and the outcome of every item so far."""
    found: list[tuple[int, T]] = []
    outcomes: list[Refusal | None] = [None] * len(messages)
    for place, message in enumerate(messages):
        try:
            found.append((place, read(message)))
        except Refusal as refusal:
            outcomes[place] = refusal
    return found, outcomes


def _fill(
    outcomes: list[Refusal | None],
    read: Sequence[tuple[int, CustomerEvent]] | Sequence[tuple[int, TagValue]],
    found: Sequence[Refusal | None],
) -> None:
    for (place, _), outcome in zip(read, found, strict=True):
        outcomes[place] = outcome


def _event_result(outcome: Refusal | None) -> proto.SubmitEventResult:
    return proto.SubmitEventResult(error=None if outcome is None else status_proto(outcome))


def _tag_result(outcome: Refusal | None) -> proto.SubmitTagResult:
    return proto.SubmitTagResult(error=None if outcome is None else status_proto(outcome))
