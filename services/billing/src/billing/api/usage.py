"""UsageService: what was used, from BOSS."""

from functools import partial
from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from touchstone.billing.v1 import usage_service_pb2 as pb
from touchstone.billing.v1.usage_service_pb2_grpc import UsageServiceServicer

from billing.api.acting import replying
from billing.use_cases.usage import get_usage, record_usage, usage_page
from billing.wire import usage as wire
from billing.wire.value import number_after, owner_from_proto

Context = grpc.aio.ServicerContext[Any, Any]


class UsageApi(UsageServiceServicer):
    """A record and a batch of them are one use case and share their claims."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        record = replying(partial(record_usage, calendar=calendar), wire.used_to_proto)
        self._recording = Gatherer(work, "record_usage", record, pb.RecordUsageResponse)

    async def RecordUsage(self, request: pb.RecordUsageRequest, context: Context) -> pb.RecordUsageResponse:
        return await self._recording.answer(ask(request, wire.usage_from_proto(request)))

    async def BatchRecordUsage(
        self, request: pb.BatchRecordUsageRequest, context: Context
    ) -> pb.BatchRecordUsageResponse:
        results = await self._recording.answer_batch(
            request.requests, read=wire.usage_from_proto, result=item_result(pb.RecordUsageResult)
        )
        return pb.BatchRecordUsageResponse(results=results)

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        usage_id = wire.usage_id_from_proto(request.usage_id)
        async with self._work.reading() as connection:
            standing = await get_usage(connection, usage_id)
        return pb.GetUsageResponse(standing=wire.standing_to_proto(standing))

    async def ListUsage(self, request: pb.ListUsageRequest, context: Context) -> pb.ListUsageResponse:
        page, wanted = page_from_request(request), wire.usage_filter_from_proto(request)
        owner, before = owner_from_proto(request.customer_id), number_after(page)
        async with self._work.reading() as connection:
            found = await usage_page(connection, wanted, owner, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.number))
        return pb.ListUsageResponse(
            standings=[wire.standing_to_proto(one.standing) for one in shown], next_page_token=token
        )
