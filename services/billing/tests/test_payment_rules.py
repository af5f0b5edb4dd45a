"""The rules of payments, call-backs and top-up by themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from billing.domain.callback import CallbackRefused, SignedCallback
from billing.domain.ids import BillId, TransactionId
from billing.domain.payment import (
    Chargeback,
    Payment,
    PaymentId,
    PaymentOrigin,
    PaymentState,
    Refund,
    RefundId,
    RefundState,
    Report,
    ReportType,
    TokenId,
    Verdict,
    judge,
    next_ask,
)
from billing.domain.top_up import (
    Attempt,
    Occasion,
    Pause,
    Token,
    TopUpRule,
    TopUpState,
    check_display_name,
    next_attempt,
)
from chassis.errors import InvalidArgument
from chassis.money import Money
from hypothesis import given
from hypothesis import strategies as st

from services.billing.tests.factories import ACCOUNT, CUSTOMER, OCCURRED_AT, cny

ID, REFUND = PaymentId("pay-1"), RefundId("ref-1")


def a_payment(**changed: object) -> Payment:
    """A payment of 50 yuan at its provider."""
    made = Payment(
        payment_id=ID,
        account_id=ACCOUNT,
        customer_id=CUSTOMER,
        amount=cny(50_00),
        channel="sandbox",
        bill_id=None,
        token_id=None,
        return_url="",
        origin=PaymentOrigin.CUSTOMER,
        state=PaymentState.PENDING,
        provider_reference="r-1",
        redirect_url="",
        decline_code="",
        transaction_id=None,
        bill_missed=False,
        requested_at=OCCURRED_AT,
        settled_at=None,
        expires_at=OCCURRED_AT + timedelta(days=1),
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def a_report(kind: ReportType, amount: Money | None = None, **changed: object) -> Report:
    """What the provider says of it."""
    made = Report(
        type=kind,
        payment_id=ID,
        channel="sandbox",
        reference="r-1",
        amount=amount or cny(50_00),
        sequence=1,
        occurred_at=OCCURRED_AT,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def after(payment: Payment, report: Report, verdict: Verdict) -> Payment:
    """The payment once the verdict was carried out."""
    match verdict:
        case Verdict.SUCCEED:
            return replace(payment, state=PaymentState.SUCCEEDED, transaction_id=TransactionId("recharge:pay-1"))
        case Verdict.DECLINE:
            return replace(payment, state=PaymentState.DECLINED)
        case Verdict.PEND:
            return replace(payment, state=PaymentState.PENDING)
        case Verdict.CHARGE_BACK:
            back = Chargeback(report.sequence, report.amount.minor_units)
            return replace(payment, chargebacks=(*payment.chargebacks, back))
        case Verdict.REFUND | Verdict.KEEP:
            state = RefundState.SUCCEEDED if verdict is Verdict.REFUND else RefundState.DECLINED
            return replace(payment, refunds=tuple(replace(each, state=state) for each in payment.refunds))
        case _:
            return payment


def played(payment: Payment, reports: list[Report]) -> tuple[Payment, list[Verdict]]:
    """The end, and what was done on the way. What waits is looked at again after every step."""
    waiting: list[Report] = []
    done: list[Verdict] = []
    for report in reports:
        for each in [report, *waiting]:
            verdict = judge(payment, each)
            if verdict is Verdict.WAIT:
                waiting = [*waiting, each] if each not in waiting else waiting
                continue
            waiting = [other for other in waiting if other is not each]
            payment = after(payment, each, verdict)
            done.append(verdict)
    assert waiting == []
    return payment, done


SAID = [
    a_report(ReportType.PENDING),
    a_report(ReportType.DECLINED),
    a_report(ReportType.SUCCEEDED),
    a_report(ReportType.SUCCEEDED, sequence=2),
    a_report(ReportType.CHARGEBACK, cny(20_00), sequence=3),
    a_report(ReportType.CHARGEBACK, cny(30_00), sequence=4),
]


def test_reports_in_every_order_come_to_the_same_end() -> None:
    for order in permutations(SAID):
        ended, done = played(a_payment(state=PaymentState.REQUESTED), list(order))
        assert (ended.state, ended.charged_back_minor) == (PaymentState.SUCCEEDED, 50_00), order
        assert done.count(Verdict.SUCCEED) == 1, order
        assert done.count(Verdict.CHARGE_BACK) == 2, order


@given(st.lists(st.sampled_from(SAID), max_size=12))
def test_reports_any_number_of_times_never_book_more_than_once(reports: list[Report]) -> None:
    paid = any(each.type is ReportType.SUCCEEDED for each in reports)
    ended, done = played(a_payment(), [*reports, *([] if paid else [SAID[2]])])
    assert ended.state is PaymentState.SUCCEEDED
    assert done.count(Verdict.SUCCEED) == 1
    said_back = {each.sequence: each.amount.minor_units for each in reports if each.type is ReportType.CHARGEBACK}
    assert ended.charged_back_minor == sum(said_back.values())


@pytest.mark.parametrize("state", [each for each in PaymentState if each is not PaymentState.SUCCEEDED])
def test_what_was_paid_succeeds_from_every_state(state: PaymentState) -> None:
    assert judge(a_payment(state=state), a_report(ReportType.SUCCEEDED)) is Verdict.SUCCEED


@pytest.mark.parametrize("amount", [cny(49_99), cny(50_01), Money(50_00, "USD")])
def test_another_amount_is_no_success(amount: Money) -> None:
    assert judge(a_payment(), a_report(ReportType.SUCCEEDED, amount)) is Verdict.DIFFER


@pytest.mark.parametrize(
    ("state", "said", "verdict"),
    [
        (RefundState.PENDING, ReportType.REFUND_SUCCEEDED, Verdict.REFUND),
        (RefundState.PENDING, ReportType.REFUND_DECLINED, Verdict.KEEP),
        (RefundState.SUCCEEDED, ReportType.REFUND_SUCCEEDED, Verdict.NOTHING),
        (RefundState.SUCCEEDED, ReportType.REFUND_DECLINED, Verdict.NOTHING),
        (RefundState.DECLINED, ReportType.REFUND_SUCCEEDED, Verdict.REFUND),
        (RefundState.DECLINED, ReportType.REFUND_DECLINED, Verdict.NOTHING),
    ],
)
def test_a_refund_that_was_given_counts_whatever_was_said_before(
    state: RefundState, said: ReportType, verdict: Verdict
) -> None:
    refund = Refund(
        refund_id=REFUND,
        payment_id=ID,
        amount=cny(10_00),
        state=state,
        reason="r",
        hold_id=TransactionId("hold"),
        requested_at=OCCURRED_AT,
    )
    payment = a_payment(state=PaymentState.SUCCEEDED, refunds=(refund,))
    assert judge(payment, a_report(said, cny(10_00), refund_id=REFUND)) is verdict
    assert judge(payment, a_report(said, cny(10_01), refund_id=REFUND)) is Verdict.DIFFER
    assert judge(payment, a_report(said, cny(10_00), refund_id=RefundId("other"))) is Verdict.DIFFER


def test_a_provider_is_asked_later_and_later_but_every_hour() -> None:
    waits = [next_ask(asked, OCCURRED_AT) - OCCURRED_AT for asked in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (timedelta(seconds=15), timedelta(seconds=30), timedelta(hours=1))


@pytest.mark.parametrize(("seconds", "good"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_signature_is_good_for_five_minutes(seconds: int, good: bool) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    stamp = str(int(now.timestamp()) + seconds)
    made = SignedCallback(channel="c", webhook_id="w", webhook_timestamp=stamp, webhook_signature="", body=b"")
    if good:
        assert made.signed_at(now) == now + timedelta(seconds=seconds)
    else:
        with pytest.raises(CallbackRefused):
            made.signed_at(now)


def a_token(**changed: object) -> Token:
    """A means of payment."""
    made = Token(
        account_id=ACCOUNT,
        token_id=TokenId("card"),
        channel="sandbox",
        provider_token="alias",
        display_name="**** 4821",
        expires_at=None,
        stored_at=OCCURRED_AT,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def a_rule(**changed: object) -> TopUpRule:
    """A rule without limits."""
    made = TopUpRule(
        account_id=ACCOUNT,
        token_id=TokenId("card"),
        currency="CNY",
        minimum_minor=0,
        monthly_limit_minor=None,
        enabled=True,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def an_occasion(**changed: object) -> Occasion:
    """A bill for 60 yuan, with nothing else going on."""
    made = Occasion(
        bill_id=BillId("b-1"),
        remaining_minor=60_00,
        missing_minor=60_00,
        this_month_minor=0,
        lately=0,
        token=a_token(),
    )
    return made._replace(**changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "occasion", "decision"),
    [
        ({}, {}, Attempt(60_00, pays_bill=True)),
        ({"minimum_minor": 60_01}, {}, Attempt(60_01, pays_bill=False)),
        ({}, {"missing_minor": 40_00}, Attempt(40_00, pays_bill=False)),
        ({}, {"missing_minor": 75_00}, Attempt(75_00, pays_bill=False)),
        ({}, {"token": None}, Pause.TOKEN),
        ({}, {"token": a_token(removed_at=OCCURRED_AT)}, Pause.TOKEN),
        ({}, {"token": a_token(expires_at=OCCURRED_AT)}, Pause.TOKEN),
        ({}, {"lately": 2}, Attempt(60_00, pays_bill=True)),
        ({}, {"lately": 3}, Pause.TOO_MANY),
        ({"monthly_limit_minor": 100_00}, {"this_month_minor": 40_00}, Attempt(60_00, pays_bill=True)),
        ({"monthly_limit_minor": 100_00}, {"this_month_minor": 40_01}, Pause.MONTHLY_LIMIT),
        ({"monthly_limit_minor": 59_99, "minimum_minor": 1}, {}, Pause.MONTHLY_LIMIT),
    ],
)
def test_what_a_rule_does_about_a_bill(
    rule: dict[str, object], occasion: dict[str, object], decision: Attempt | Pause
) -> None:
    assert next_attempt(a_rule(**rule), an_occasion(**occasion), OCCURRED_AT) == decision


def test_a_rule_says_where_it_stands() -> None:
    waiting = a_rule().after(PaymentState.DECLINED, OCCURRED_AT)
    assert waiting.state_at(OCCURRED_AT + timedelta(minutes=59)) is TopUpState.BACKING_OFF
    assert waiting.state_at(OCCURRED_AT + timedelta(hours=1)) is TopUpState.READY
    assert replace(waiting, in_flight=True).state_at(OCCURRED_AT) is TopUpState.IN_FLIGHT
    stopped = waiting.paused(Pause.TOKEN).paused(Pause.CHARGEBACK)
    assert (stopped.state_at(OCCURRED_AT), stopped.paused_because) == (TopUpState.PAUSED, Pause.TOKEN)


@pytest.mark.parametrize(
    "shown", ["4111111111111111", "card 41111", "12345", "4111 1111 1111 1111", "4111-11", "４１１１１"]
)
def test_no_number_of_a_card_is_shown(shown: str) -> None:
    with pytest.raises(InvalidArgument):
        check_display_name(shown)


@pytest.mark.parametrize("shown", ["Bank of China **** 4821", "Visa 4821, to 12/27", "尾号 4821"])
def test_a_card_is_known_by_its_last_digits(shown: str) -> None:
    assert check_display_name(shown) == shown
