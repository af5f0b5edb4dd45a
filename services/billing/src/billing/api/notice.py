"""NoticeService: what is to be paid, and statements, as data and as documents."""

from collections.abc import Callable
from typing import Any

import grpc
from chassis import clock
from chassis.calendar import Calendar, Span
from chassis.errors import ResourceExhausted
from chassis.paging import page_from_request
from chassis.work import Work
from touchstone.billing.v1 import notice_service_pb2 as pb
from touchstone.billing.v1.notice_service_pb2_grpc import NoticeServiceServicer

from billing.documents.laying_out import Layout
from billing.documents.paper import Paper
from billing.documents.press import Form, printed
from billing.domain.ids import AccountId, CustomerId
from billing.domain.notice import NoticeOf
from billing.domain.statement import RENDERED_MAX, Statement, month_span
from billing.use_cases.notice import owned_account, payment_notice
from billing.use_cases.statement import position_after, position_key, statement_of
from billing.wire import notice as wire
from billing.wire.value import account_id_from_proto, owner_from_proto

_CONTENT_MAX = 4 * 2**20
Context = grpc.aio.ServicerContext[Any, Any]


class DocumentTooLarge(ResourceExhausted):
    """The document would be larger than an answer may be."""


class NoticeApi(NoticeServiceServicer):
    """Reads alone: nothing of what it answers is stored."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar

    async def GetPaymentNotice(
        self, request: pb.GetPaymentNoticeRequest, context: Context
    ) -> pb.GetPaymentNoticeResponse:
        layout = Layout(wire.language_from_proto(request.language), self._calendar.zone)
        found = await self._notice(account_id_from_proto(request.account_id), owner_from_proto(request.customer_id))
        return pb.GetPaymentNoticeResponse(notice=wire.notice_to_proto(found, layout))

    async def RenderPaymentNotice(
        self, request: pb.RenderPaymentNoticeRequest, context: Context
    ) -> pb.RenderPaymentNoticeResponse:
        layout = Layout(wire.language_from_proto(request.language), self._calendar.zone)
        form = wire.form_from_proto(request.format)
        found = await self._notice(account_id_from_proto(request.account_id), owner_from_proto(request.customer_id))
        content = await _render(form, lambda: layout.notice(found))
        day = self._calendar.day_of(found.as_of).isoformat()
        return pb.RenderPaymentNoticeResponse(
            content_type=form.content_type, content=content, file_name=f"notice-{request.account_id}-{day}.{form}"
        )

    async def GetStatement(self, request: pb.GetStatementRequest, context: Context) -> pb.GetStatementResponse:
        page, span = page_from_request(request), wire.span_from_proto(request, self._calendar)
        after = position_after(page)
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            account = await owned_account(connection, account_id, owner)
            statement = await statement_of(connection, account, span, after=after, limit=page.wanted)
        shown, token = page.cut(statement.entries, position_key)
        return pb.GetStatementResponse(statement=wire.statement_to_proto(statement, shown), next_page_token=token)

    async def RenderStatement(self, request: pb.RenderStatementRequest, context: Context) -> pb.RenderStatementResponse:
        layout = Layout(wire.language_from_proto(request.language), self._calendar.zone)
        form, span = wire.form_from_proto(request.format), month_span(self._calendar, request.month)
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        found = await self._statement(account_id, owner, span)
        content = await _render(form, lambda: layout.statement(found))
        return pb.RenderStatementResponse(
            content_type=form.content_type,
            content=content,
            file_name=f"statement-{request.account_id}-{request.month}.{form}",
        )

    async def _notice(self, account_id: AccountId, owner: CustomerId | None) -> NoticeOf:
        async with self._work.reading() as connection:
            account = await owned_account(connection, account_id, owner)
            return await payment_notice(connection, account, clock.now(), self._calendar)

    async def _statement(self, account_id: AccountId, owner: CustomerId | None, span: Span) -> Statement:
        async with self._work.reading() as connection:
            account = await owned_account(connection, account_id, owner)
            return await statement_of(connection, account, span, after=None, limit=RENDERED_MAX)


async def _render(form: Form, lay_out: Callable[[], Paper]) -> bytes:
    """The document. A long one takes a second: other calls go on."""
    content = await printed(form, lay_out)
    if len(content) > _CONTENT_MAX:
        raise DocumentTooLarge("the document has more than 4 MiB: ask for the statement by pages")
    return content
