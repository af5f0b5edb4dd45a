"""Refunds and reservations on the real database: what is set aside, taken and given back, also in races."""

import asyncio
from datetime import timedelta

import pytest
from billing.domain.account import AccountNotFound
from billing.domain.charge import ChargeFullyRefunded, ChargeNotFound, RefundCharge, RefundExceedsCharge
from billing.domain.ids import ChargeId
from billing.domain.movement import InsufficientBalance
from billing.domain.reservation import (
    ReservationEnded,
    ReservationExists,
    ReservationExpired,
    ReservationNotFound,
    ReservationState,
)
from billing.use_cases.refund_charge import refund_charges
from chassis.errors import InvalidArgument, Refusal
from chassis.money import Money
from chassis.work import Work
from sqlalchemy import text

from services.billing.tests.charging import Charging, accepted, committing, reserving
from services.billing.tests.factories import (
    ACCOUNT,
    CALENDAR,
    OCCURRED_AT,
    PLAN,
    Billing,
    a_plan,
    cny,
    opening,
    recharge,
)

LATER = OCCURRED_AT + timedelta(hours=1)


@pytest.fixture
async def charging(work: Work) -> Charging:
    """An account with 100 yuan, billed below 50, and another with none."""
    billing = Billing(work)
    await billing.put_plan(a_plan())
    await billing.open(opening(plan_id=PLAN), opening("poor"))
    await billing.move(recharge(100_00))
    return Charging(billing)


async def balance(charging: Charging, account_id: str = ACCOUNT) -> tuple[int, int]:
    """What there is, and what of it is set aside."""
    async with charging.billing.work.reading() as connection:
        asked = {"id": f"balance:{account_id}"}
        row = (await connection.execute(text("SELECT balance, held FROM ledger_accounts WHERE id = :id"), asked)).one()
        return row.balance, row.held


async def test_a_charge_is_given_back_in_parts_and_never_beyond_itself(charging: Charging) -> None:
    charge_id = (await charging.charge(30_00)).movement.identity
    first = accepted((await charging.refund((charge_id, 10_00)))[0])
    assert (first.refund.amount, first.moved.balance_after) == (cny(10_00), cny(80_00))
    (beyond,) = await charging.refund((charge_id, 20_01))
    assert isinstance(beyond, RefundExceedsCharge)
    assert beyond.metadata["left_minor"] == "2000"
    rest = accepted((await charging.refund((charge_id, None)))[0])
    assert (rest.refund.amount, rest.refund.charge.refunded_minor) == (cny(20_00), 10_00)
    (nothing,) = await charging.refund((charge_id, None))
    assert isinstance(nothing, ChargeFullyRefunded)
    assert (await charging.kept(charge_id)).refunded == cny(30_00)
    assert await balance(charging) == (100_00, 0)
    assert await charging.billing.proof() == []


async def test_refunds_of_a_batch_see_those_before_them(charging: Charging) -> None:
    charge_id = (await charging.charge(30_00)).movement.identity
    outcomes = await charging.refund((charge_id, 20_00), (charge_id, 20_00), (charge_id, None), ("missing", None))
    kinds = [type(each) for each in outcomes if isinstance(each, Refusal)]
    assert kinds == [RefundExceedsCharge, ChargeNotFound]
    assert await balance(charging) == (100_00, 0)


async def test_a_refund_in_another_currency_leaves_those_behind_it_all_there_is(charging: Charging) -> None:
    taken = await charging.charge(10_00)
    charge_id = ChargeId(taken.movement.identity)
    wrong, right = (
        RefundCharge(charge_id=charge_id, amount=amount, reason="wrong price", occurred_at=OCCURRED_AT)
        for amount in (Money(6_00, "USD"), cny(6_00))
    )
    refused, given = await charging.run(lambda transaction: refund_charges(transaction, [wrong, right], CALENDAR))
    assert isinstance(refused, InvalidArgument)
    assert accepted(given).refund.charge.refunded_minor == 0
    assert await balance(charging) == (96_00, 0)


async def test_a_charge_of_zero_has_nothing_to_give_back(charging: Charging) -> None:
    charge_id = (await charging.charge(0)).movement.identity
    (refusal,) = await charging.refund((charge_id, None))
    assert isinstance(refusal, ChargeFullyRefunded)


async def test_fifty_refunds_at_once_give_back_the_charge_once(charging: Charging) -> None:
    charge_id = (await charging.charge(30_00)).movement.identity
    outcomes = await asyncio.gather(*(charging.refund((charge_id, 10_00)) for _ in range(50)))
    assert sum(not isinstance(outcome, Refusal) for (outcome,) in outcomes) == 3
    assert await balance(charging) == (100_00, 0)
    assert await charging.billing.proof() == []


async def test_what_is_set_aside_is_taken_as_far_as_it_was_used(charging: Charging) -> None:
    (reserved,) = await charging.reserve(reserving(amount=40_00))
    made = accepted(reserved)
    assert (made.reservation.granted, made.reservation.final, made.spendable) == (cny(40_00), False, cny(60_00))
    assert await balance(charging) == (100_00, 40_00)
    (ended,) = await charging.commit(committing(used=25_00))
    reservation = accepted(ended).reservation
    assert (reservation.committed, reservation.overrun) == (cny(25_00), cny(0))
    assert await balance(charging) == (75_00, 0)
    stored = await charging.reservation()
    assert stored == reservation
    kept = await charging.kept(reservation.charge_id or "")
    assert (kept.amount, kept.category, kept.description) == (cny(25_00), "reservation", "a call")
    assert await charging.billing.proof() == []


async def test_a_grant_ends_where_the_balance_does(charging: Charging) -> None:
    outcomes = await charging.reserve(
        reserving("r-1", 70_00), reserving("r-2", 70_00), reserving("r-3", 70_00), reserving("r-4", 1, "poor")
    )
    first, second = accepted(outcomes[0]), accepted(outcomes[1])
    assert (first.reservation.granted, first.reservation.final) == (cny(70_00), False)
    assert (second.reservation.granted, second.reservation.final) == (cny(30_00), True)
    assert first.spendable == second.spendable == cny(0)
    assert [type(each) for each in outcomes[2:]] == [InsufficientBalance, InsufficientBalance]


async def test_a_grant_below_the_minimum_is_refused(charging: Charging) -> None:
    below, at = await charging.reserve(
        reserving("r-1", 200_00, minimum=100_01), reserving("r-2", 200_00, minimum=100_00)
    )
    assert isinstance(below, InsufficientBalance)
    assert accepted(at).reservation.granted == cny(100_00)


async def test_what_is_set_aside_cannot_be_spent_and_does_not_cross(charging: Charging) -> None:
    await charging.reserve(reserving(amount=90_00))
    with pytest.raises(InsufficientBalance):
        await charging.charge(10_01)
    (ended,) = await charging.commit(committing(used=60_00))
    bill = accepted(ended).bill
    assert bill is not None
    assert bill.balance_at_issue == cny(40_00)


async def test_what_was_used_beyond_is_taken_as_far_as_the_balance_goes(charging: Charging) -> None:
    await charging.reserve(reserving(amount=80_00))
    (ended,) = await charging.commit(committing(used=130_00))
    reservation = accepted(ended).reservation
    assert (reservation.committed, reservation.overrun) == (cny(100_00), cny(30_00))
    assert await balance(charging) == (0, 0)
    assert await charging.billing.proof() == []


async def test_nothing_beyond_may_be_there_to_take(charging: Charging) -> None:
    await charging.reserve(reserving(amount=100_00))
    (ended,) = await charging.commit(committing(used=100_01))
    assert accepted(ended).reservation.overrun == cny(1)
    assert accepted(ended).beyond is None


async def test_nothing_used_frees_all(charging: Charging) -> None:
    await charging.reserve(reserving())
    (ended,) = await charging.commit(committing(used=0))
    assert accepted(ended).reservation.state is ReservationState.RELEASED
    assert await balance(charging) == (100_00, 0)


async def test_a_reservation_ends_once(charging: Charging) -> None:
    await charging.reserve(reserving())
    await charging.release()
    (again,) = await charging.commit(committing())
    assert isinstance(again, ReservationEnded)
    assert again.metadata["state"] == "released"
    with pytest.raises(ReservationEnded):
        await charging.release()
    with pytest.raises(ReservationNotFound):
        await charging.release("missing")
    (taken,) = await charging.reserve(reserving())
    assert isinstance(taken, ReservationExists)


async def test_after_its_end_a_reservation_is_free(charging: Charging) -> None:
    await charging.reserve(reserving(amount=100_00))
    (late,) = await charging.commit(committing(at=LATER))
    assert isinstance(late, ReservationExpired)
    await charging.charge(100_00, at=LATER)
    assert (await charging.reservation()).state is ReservationState.EXPIRED
    (early,) = await charging.commit(committing())
    assert isinstance(early, ReservationExpired)
    assert await balance(charging) == (0, 0)


async def test_after_its_end_nothing_is_taken_beyond_it_either(charging: Charging) -> None:
    """What was used is sent as a charge then: it is not to be paid twice."""
    await charging.reserve(reserving(amount=10_00))
    with pytest.raises(ReservationExpired):
        await charging.commit(committing(used=15_00, at=LATER))
    assert await balance(charging) == (100_00, 10_00)
    await charging.charge(15_00, at=LATER)
    assert await balance(charging) == (85_00, 0)
    assert await charging.billing.proof() == []


async def test_renewing_takes_and_sets_aside_in_one_step(charging: Charging) -> None:
    await charging.reserve(reserving(amount=60_00))
    renewed = await charging.renew(50_00, reserving("r-2", 60_00))
    assert renewed.ended.reservation.committed == cny(50_00)
    assert renewed.next is not None
    assert (renewed.next.granted, renewed.next.final) == (cny(50_00), True)
    ended = await charging.renew(50_00, reserving("r-3", 60_00), reservation_id="r-2")
    assert (ended.ended.reservation.committed, ended.next) == (cny(50_00), None)
    assert await balance(charging) == (0, 0)
    assert await charging.billing.proof() == []


async def test_a_renewal_needs_a_new_name(charging: Charging) -> None:
    await charging.reserve(reserving(), reserving("r-2"))
    with pytest.raises(ReservationExists):
        await charging.renew(5_00, reserving("r-2"))
    assert (await charging.reservation()).state is ReservationState.OPEN


async def test_a_commit_in_another_currency_is_refused(charging: Charging) -> None:
    await charging.reserve(reserving())
    wrong = committing()
    (refusal,) = await charging.commit(
        type(wrong)(reservation_id=wrong.reservation_id, used=type(wrong.used)(1, "USD"), occurred_at=OCCURRED_AT)
    )
    assert isinstance(refusal, InvalidArgument)
    (missing,) = await charging.reserve(reserving("r-9", account_id="missing"))
    assert isinstance(missing, AccountNotFound)


async def test_fifty_ways_to_end_a_reservation_have_one_end(charging: Charging) -> None:
    await charging.reserve(reserving(amount=50_00))

    async def way(number: int) -> bool:
        if number % 2:
            (outcome,) = await charging.commit(committing(used=number))
            return not isinstance(outcome, Refusal)
        try:
            await charging.release()
        except ReservationEnded:
            return False
        return True

    assert sum(await asyncio.gather(*map(way, range(1, 51)))) == 1
    reservation = await charging.reservation()
    assert await balance(charging) == (100_00 - reservation.committed.minor_units, 0)
    assert await charging.billing.proof() == []


async def test_one_name_on_ten_accounts_at_once_is_one_reservation(charging: Charging) -> None:
    """Their accounts are no lock in common."""
    names = [f"other-{number}" for number in range(10)]
    await charging.billing.open(*map(opening, names))
    await charging.billing.move(*(recharge(100_00, name) for name in names))
    outcomes = await asyncio.gather(*(charging.reserve(reserving(account_id=name)) for name in names))
    refused = [outcome for (outcome,) in outcomes if isinstance(outcome, Refusal)]
    assert [type(each) for each in refused] == [ReservationExists] * 9
    assert await charging.billing.proof() == []


async def test_a_hundred_reservations_at_once_grant_what_there_is(charging: Charging) -> None:
    outcomes = await asyncio.gather(*(charging.reserve(reserving(f"r-{number}", 3_00)) for number in range(100)))
    granted = [outcome.reservation.granted.minor_units for (outcome,) in outcomes if not isinstance(outcome, Refusal)]
    assert (sum(granted), min(granted), len(granted)) == (100_00, 1_00, 34)
    assert await balance(charging) == (100_00, 100_00)
