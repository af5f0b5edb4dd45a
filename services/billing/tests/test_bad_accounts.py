"""Bad input to the calls about gifts, limits, payers and what is taken back: clear refusals, and nothing stored."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from chassis.money import AMOUNT_MAX
from chassis.paging import encode_token
from chassis.rpc.errors import from_status
from chassis.testing.calls import methods_of, refuses_bad_input
from chassis.testing.serving import Serving
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import account_pb2
from touchstone.billing.v1 import account_service_pb2 as pb
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests import test_bad_input
from services.billing.tests.calls import AT, Calls, boss, cny, fields, opened, recharged, refused
from services.billing.tests.factories import ACCOUNT

Bad = tuple[str, Message, list[str]]
SCOPES = ("billing.read", "billing.write", "billing.admin", "billing.jobs")
NOT_IDS = test_bad_input.NOT_IDS
NOT_INSTANTS = [each for each in test_bad_input.NOT_INSTANTS if each != Timestamp()]
TOO_MUCH = [AMOUNT_MAX + 1, 2**63 - 1]
USD = Money(minor_units=1, currency="USD")
NOT_TEXTS = ["", "   ", "x" * 501, "a\x00b"]
# The next decode: to no number, to one below 0, to an instant without a zone, and to one past every version.
TOKENS = ["?", "!!!!", "a", "LTE", "eC8vMQ", "LTEvLzE", "MS8yMDI2LTAxLTAxLzE", "MC8vOTIyMzM3MjAzNjg1NDc3NTgwOA"]
TOKENS += map(encode_token, ("1/0001-01-01T00:00:00+05:00/1", "1/9999-12-31T23:59:59-05:00/1"))

GRANT: dict[str, Any] = {"account_id": ACCOUNT, "amount": cny(1), "reason": "welcome", "occurred_at": AT}
LIMIT: dict[str, Any] = {"account_id": ACCOUNT, "credit_limit": cny(1), "reason": "asked", "occurred_at": AT}
REVOKE: dict[str, Any] = {"gift_id": "gift:missing", "reason": "typed twice", "occurred_at": AT}
REVERSE: dict[str, Any] = {"transaction_id": "recharge:missing", "reason": "typed twice", "occurred_at": AT}
OLD = ("OpenAccount", "BatchOpenAccounts", "GetAccount", "ListAccounts", "Recharge", "BatchRecharge", "AdjustBalance")
TRIED_ELSEWHERE = {*OLD, "ListStatementEntries"}


def wrong(make: Any, base: dict[str, Any], field: str, values: Sequence[Any], named: str = "") -> Iterator[Bad]:
    """The request with one field after the other set to what it must not be."""
    method = make.DESCRIPTOR.name.removesuffix("Request")
    for value in values:
        request = make(**{"request_id": "bad-1"} | base | {field: value})
        yield method, request, [named or field]


def money(field: str, make: Any, base: dict[str, Any], *, least: int) -> Iterator[Bad]:
    """Amounts past their bounds, and one in another currency."""
    yield from wrong(
        make, base, field, [cny(each) for each in [least - 1, -(2**63), *TOO_MUCH]], f"{field}.minor_units"
    )
    yield from wrong(make, base, field, [None], f"{field}.currency")


def bad_gifts() -> Iterator[Bad]:
    yield from wrong(pb.GrantGiftRequest, GRANT, "request_id", ["", "a b", "x" * 129])
    yield from wrong(pb.GrantGiftRequest, GRANT, "account_id", NOT_IDS)
    yield from wrong(pb.GrantGiftRequest, GRANT, "reason", NOT_TEXTS)
    yield from wrong(pb.GrantGiftRequest, GRANT, "priority", [-1, 1001, 2**31 - 1])
    yield from wrong(pb.GrantGiftRequest, GRANT, "occurred_at", [Timestamp(), *NOT_INSTANTS])
    yield from wrong(pb.GrantGiftRequest, GRANT, "expires_at", [AT, *NOT_INSTANTS])
    yield from money("amount", pb.GrantGiftRequest, GRANT, least=1)
    yield from wrong(pb.GrantGiftRequest, GRANT, "amount", [USD], "amount.currency")
    yield from wrong(pb.RevokeGiftRequest, REVOKE, "gift_id", NOT_IDS)
    yield from wrong(pb.RevokeGiftRequest, REVOKE, "reason", NOT_TEXTS)
    yield from wrong(pb.RevokeGiftRequest, REVOKE, "request_id", [""])
    yield from wrong(pb.RevokeGiftRequest, REVOKE, "occurred_at", [Timestamp(), *NOT_INSTANTS])
    yield from wrong(pb.ExpireGiftsRequest, {}, "as_of", [Timestamp(), *NOT_INSTANTS])
    yield from wrong(pb.ExpireGiftsRequest, {"as_of": AT}, "request_id", [""])


def bad_limits_and_reversals() -> Iterator[Bad]:
    yield from wrong(pb.SetCreditLimitRequest, LIMIT, "account_id", NOT_IDS)
    yield from wrong(pb.SetCreditLimitRequest, LIMIT, "reason", NOT_TEXTS)
    yield from wrong(pb.SetCreditLimitRequest, LIMIT, "request_id", [""])
    yield from wrong(pb.SetCreditLimitRequest, LIMIT, "occurred_at", [Timestamp(), *NOT_INSTANTS])
    yield from money("credit_limit", pb.SetCreditLimitRequest, LIMIT, least=0)
    yield from wrong(pb.SetCreditLimitRequest, LIMIT, "credit_limit", [USD], "credit_limit.currency")
    yield from wrong(pb.ReverseRechargeRequest, REVERSE, "transaction_id", NOT_IDS)
    yield from wrong(pb.ReverseRechargeRequest, REVERSE, "reason", NOT_TEXTS)
    yield from wrong(pb.ReverseRechargeRequest, REVERSE, "request_id", [""])
    yield from wrong(pb.ReverseRechargeRequest, REVERSE, "amount", [cny(0), cny(-1), cny(2**62)], "amount.minor_units")
    yield from wrong(pb.ReverseRechargeRequest, REVERSE, "occurred_at", [Timestamp(), *NOT_INSTANTS])


def bad_payers() -> Iterator[Bad]:
    base: dict[str, Any] = {"account_id": ACCOUNT, "occurred_at": AT}
    parent = account_pb2.Payer(payer_account_id="parent")
    listed: list[tuple[list[account_pb2.Payer], str]] = [
        ([account_pb2.Payer(payer_account_id=each)], "payers[0].payer_account_id") for each in NOT_IDS
    ]
    listed += [
        ([account_pb2.Payer(payer_account_id=f"p{number}") for number in range(5)], "payers"),
        ([parent, parent], "payers[1].payer_account_id"),
        ([account_pb2.Payer(payer_account_id="parent", families=["a b"])], "payers[0].families[0]"),
        ([account_pb2.Payer(payer_account_id="parent", families=["tv"] * 51)], "payers[0].families"),
        ([account_pb2.Payer(payer_account_id="parent", monthly_limit=cny(-1))], "payers[0].monthly_limit.minor_units"),
        ([account_pb2.Payer(payer_account_id="parent", monthly_limit=USD)], "payers[0].monthly_limit.currency"),
    ]
    for payers, named in listed:
        yield from wrong(pb.PutPayersRequest, base, "payers", [payers], named)
    yield from wrong(pb.PutPayersRequest, base, "account_id", NOT_IDS)
    yield from wrong(pb.PutPayersRequest, base, "request_id", [""])
    yield from wrong(pb.PutPayersRequest, base, "occurred_at", [Timestamp(), *NOT_INSTANTS])


def bad_looks() -> Iterator[Bad]:
    for make in (pb.GetBalanceRequest, pb.ListGiftsRequest, pb.GetPayersRequest):
        method = make.DESCRIPTOR.name.removesuffix("Request")
        yield from ((method, make(account_id=each), ["account_id"]) for each in NOT_IDS)
        yield method, make(account_id=ACCOUNT, customer_id="a b"), ["customer_id"]
    yield from (("GetBalance", pb.GetBalanceRequest(account_id=ACCOUNT, as_of=at), ["as_of"]) for at in NOT_INSTANTS)
    for size in (-1, 501):
        yield "ListGifts", pb.ListGiftsRequest(account_id=ACCOUNT, page_size=size), ["page_size"]
    for token in TOKENS:
        yield "ListGifts", pb.ListGiftsRequest(account_id=ACCOUNT, page_token=token), ["page_token"]


UNKNOWN: list[tuple[str, Message, str]] = [
    ("GrantGift", pb.GrantGiftRequest(request_id="u1", **GRANT | {"account_id": "missing"}), "ACCOUNT_NOT_FOUND"),
    ("RevokeGift", pb.RevokeGiftRequest(request_id="u2", **REVOKE), "GIFT_NOT_FOUND"),
    ("SetCreditLimit", pb.SetCreditLimitRequest(request_id="u3", **LIMIT | {"account_id": "no"}), "ACCOUNT_NOT_FOUND"),
    ("PutPayers", pb.PutPayersRequest(request_id="u4", account_id="missing", occurred_at=AT), "ACCOUNT_NOT_FOUND"),
    ("ReverseRecharge", pb.ReverseRechargeRequest(request_id="u5", **REVERSE), "RECHARGE_NOT_FOUND"),
    ("GetBalance", pb.GetBalanceRequest(account_id="missing"), "ACCOUNT_NOT_FOUND"),
    ("ListGifts", pb.ListGiftsRequest(account_id=ACCOUNT, customer_id="another"), "ACCOUNT_NOT_FOUND"),
    ("GetPayers", pb.GetPayersRequest(account_id="missing"), "ACCOUNT_NOT_FOUND"),
]
BATCHES = {"BatchGrantGifts", "BatchSetCreditLimits"}


@pytest.fixture
async def calls(served: Serving) -> Calls:
    """An account with 100 yuan, and one that may pay for it."""
    made = Calls(served, *SCOPES)
    await made.accounts.OpenAccount(opened(plan_id=""))
    await made.accounts.OpenAccount(opened("open-2", account_id="parent", plan_id=""))
    await made.accounts.Recharge(recharged())
    return made


async def test_bad_requests_name_their_fields_and_store_nothing(served: Serving, calls: Calls) -> None:
    bad = [*bad_gifts(), *bad_limits_and_reversals(), *bad_payers(), *bad_looks()]

    await refuses_bad_input(served, calls, bad, UNKNOWN)

    tried = {method for method, _, _ in bad} | {method for method, _, _ in UNKNOWN}
    assert tried | BATCHES | TRIED_ELSEWHERE == methods_of(pb)
    assert len(bad) > 120


async def test_items_of_a_batch_are_refused_alone(calls: Calls) -> None:
    gifts: Any = [request for method, request, _ in bad_gifts() if method == "GrantGift"]
    limits: Any = [request for method, request, _ in bad_limits_and_reversals() if method == "SetCreditLimit"]

    given = await calls.accounts.BatchGrantGifts(pb.BatchGrantGiftsRequest(requests=gifts))
    limited = await calls.accounts.BatchSetCreditLimits(pb.BatchSetCreditLimitsRequest(requests=limits))

    codes = {from_status(result.error).code for result in [*given.results, *limited.results]}
    assert codes == {"INVALID_ARGUMENT"}
    assert len(given.results) == len(gifts)


async def test_gifts_are_paged_in_the_order_of_spending(calls: Calls) -> None:
    for number, priority in enumerate([2, 0, 1]):
        await calls.accounts.GrantGift(pb.GrantGiftRequest(request_id=f"g{number}", **GRANT | {"priority": priority}))
    seen, token = [], ""
    while True:
        page = await calls.accounts.ListGifts(pb.ListGiftsRequest(account_id=ACCOUNT, page_size=1, page_token=token))
        seen += [gift.priority for gift in page.gifts]
        token = page.next_page_token
        if not token:
            break

    assert seen == [0, 1, 2]


async def test_what_expired_is_booked_off_by_a_call(calls: Calls) -> None:
    soon = Timestamp(seconds=AT.seconds + 1)
    await calls.accounts.GrantGift(pb.GrantGiftRequest(request_id="g", **GRANT | {"expires_at": soon}))
    request = pb.ExpireGiftsRequest(request_id="e", as_of=soon)

    assert [(await calls.accounts.ExpireGifts(request)).accounts for _ in range(2)] == [1, 1], "a repeat says the same"
    balance = (await calls.accounts.GetBalance(pb.GetBalanceRequest(account_id=ACCOUNT))).balance
    assert (balance.gift, balance.spendable) == (cny(0), cny(100_00))


@pytest.mark.parametrize("minor_units", [1, AMOUNT_MAX])
async def test_who_may_not_set_a_credit_limit_opens_no_account_with_one(served: Serving, minor_units: int) -> None:
    clerk = Calls(served, "billing.write", "billing.read")
    wanted = opened(plan_id="", credit_limit=cny(minor_units))

    alone = await refused(clerk.accounts.OpenAccount, wanted)
    batch = pb.BatchOpenAccountsRequest(requests=[wanted, opened("plain", account_id="plain", plan_id="")])
    limited, plain = (await clerk.accounts.BatchOpenAccounts(batch)).results

    for refusal in (alone, from_status(limited.error)):
        assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "CREDIT_LIMIT_DENIED")
        assert fields(refusal) == ["credit_limit"]
    assert plain.response.account.account_id == "plain"
    assert (await clerk.accounts.ListAccounts(pb.ListAccountsRequest())).accounts == [plain.response.account]


async def test_who_may_set_a_credit_limit_opens_an_account_with_one(served: Serving) -> None:
    clerk = Calls(served, "billing.write", "billing.read")
    limited = (await boss(served).accounts.OpenAccount(opened(plan_id="", credit_limit=cny(30_00)))).account
    of_nothing = await clerk.accounts.OpenAccount(opened("o-2", account_id="acc-2", plan_id="", credit_limit=cny(0)))
    assert (limited.credit_limit, limited.spendable) == (cny(30_00), cny(30_00))
    assert of_nothing.account.credit_limit == cny(0)
