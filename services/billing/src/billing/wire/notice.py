"""Payment notices and statements on the wire."""

from chassis.calendar import Calendar, Span
from chassis.errors import InvalidArgument
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import notice_pb2
from touchstone.billing.v1 import notice_service_pb2 as pb

from billing.documents.laying_out import Layout
from billing.documents.press import Form
from billing.documents.writing import Language
from billing.domain.notice import NoticeLine, NoticeLineKind, NoticeOf
from billing.domain.statement import StatedEntry, Statement, checked_span, month_span
from billing.wire.account import statement_entry_to_proto
from billing.wire.bill import bill_to_proto
from billing.wire.parts import balance_parts_to_proto
from billing.wire.reckoning import reckoning_to_proto
from billing.wire.value import minor_to_proto, money_to_proto

_LINE_KINDS = {
    NoticeLineKind.CHARGED: notice_pb2.NOTICE_LINE_KIND_CHARGED,
    NoticeLineKind.SUBSCRIPTION: notice_pb2.NOTICE_LINE_KIND_SUBSCRIPTION,
    NoticeLineKind.REFUND: notice_pb2.NOTICE_LINE_KIND_REFUND,
    NoticeLineKind.RECHARGE: notice_pb2.NOTICE_LINE_KIND_RECHARGE,
    NoticeLineKind.BILL: notice_pb2.NOTICE_LINE_KIND_BILL,
    NoticeLineKind.PENDING: notice_pb2.NOTICE_LINE_KIND_PENDING,
}


def language_from_proto(value: str) -> Language:
    """Chinese where none is named."""
    try:
        return Language(value or Language.CHINESE)
    except ValueError:
        raise InvalidArgument("language", "must be zh or en") from None


_FORMS = {notice_pb2.DOCUMENT_FORMAT_HTML: Form.HTML, notice_pb2.DOCUMENT_FORMAT_PDF: Form.PDF}


def form_from_proto(value: "notice_pb2.DocumentFormat.ValueType") -> Form:
    """Refuses a form that there is not."""
    if value not in _FORMS:
        raise InvalidArgument("format", "is required: HTML or PDF")
    return _FORMS[value]


def span_from_proto(request: pb.GetStatementRequest, calendar: Calendar) -> Span:
    """A month, or a span of at most a year; one of the two."""
    if not request.month:
        return checked_span(from_proto(request.start, "start"), from_proto(request.end, "end"))
    if request.HasField("start") or request.HasField("end"):
        raise InvalidArgument("month", "and a span are not asked for together")
    return month_span(calendar, request.month)


def notice_to_proto(of: NoticeOf, layout: Layout) -> notice_pb2.PaymentNotice:
    """The notice, with its lines in the words of the layout's language."""
    notice = of.notice
    return notice_pb2.PaymentNotice(
        account_id=of.account.account_id,
        customer_id=of.account.customer_id,
        as_of=to_proto(of.as_of),
        balance=balance_parts_to_proto(of.balance, of.as_of),
        threshold=None if of.threshold is None else money_to_proto(of.threshold),
        lines=[_line_to_proto(line, layout) for line in notice.lines],
        cut=notice.cut,
        asked=money_to_proto(notice.asked),
        on_its_way=money_to_proto(notice.on_its_way),
        to_pay=money_to_proto(notice.to_pay),
        due_at=None if notice.due_at is None else to_proto(notice.due_at),
        bills=[bill_to_proto(bill) for bill in notice.bills],
    )


def statement_to_proto(statement: Statement, shown: list[StatedEntry]) -> notice_pb2.Statement:
    """The statement with the entries of a page."""
    currency = statement.account.currency
    return notice_pb2.Statement(
        account_id=statement.account.account_id,
        customer_id=statement.account.customer_id,
        start=to_proto(statement.span.start),
        end=to_proto(statement.span.end),
        opening=money_to_proto(statement.opening),
        closing=money_to_proto(statement.closing),
        sections=[
            notice_pb2.StatementSection(
                kind=each.kind, amount=minor_to_proto(each.amount_minor, currency), entries=each.entries
            )
            for each in statement.sections
        ],
        entries=map(statement_entry_to_proto, shown),
        closed=statement.closed,
    )


def _line_to_proto(line: NoticeLine, layout: Layout) -> notice_pb2.NoticeLine:
    return notice_pb2.NoticeLine(
        kind=_LINE_KINDS[line.kind],
        description=layout.describe(line),
        detail="\n".join(layout.details(line)),
        amount=money_to_proto(line.amount),
        occurred_at=to_proto(line.occurred_at),
        reference=line.reference,
        reckoning=None if line.reckoned is None else reckoning_to_proto(line.reckoned),
    )
