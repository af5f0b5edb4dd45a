"""Use cases as one step each, in a transaction of their own."""

from typing import Any

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Work
from member.domain.customer import CustomerId
from member.domain.membership import Holder, Standing
from member.domain.points import HoldEnd
from member.domain.program import GENERAL, Program, ProgramId
from member.store.customers import PutCustomer
from member.use_cases import balances, programs, proving, spending
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.use_cases.earning import Booked
from member.use_cases.memberships import EnrolCustomer, enrol_customers
from member.use_cases.programs import PutProgram
from member.use_cases.tiers import EvaluateTiers, Evaluation, evaluate_tiers

from services.member.tests.factories import (
    day,
)

C1 = CustomerId("c-1")


async def put(work: Work, *commands: UpsertCustomer) -> list[PutCustomer]:
    """Customers put in one transaction."""
    outcomes = await work.run(lambda transaction: upsert_customers(transaction, commands))
    assert all(isinstance(outcome, PutCustomer) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, PutCustomer)]


async def enrol(work: Work, *commands: EnrolCustomer) -> list[Standing | Refusal]:
    """Customers enrolled in one transaction."""
    return await work.run(lambda transaction: enrol_customers(transaction, commands))


async def put_program(work: Work, wanted: Program) -> Program:
    """A program put."""
    return await work.run(lambda transaction: programs.put_program(transaction, PutProgram(wanted)))


async def evaluate(work: Work, number: int, program_id: ProgramId = GENERAL, *, most: int = 10_000) -> Evaluation:
    """One round of tiers judged on a day."""
    command = EvaluateTiers(program_id, day(number), most)
    return await work.run(lambda transaction: evaluate_tiers(transaction, command))


async def balance(work: Work, customer_id: CustomerId = C1, *, on: int | None = None) -> tuple[int, int]:
    """Points owned and held, as booked or on a day."""
    async with work.reading() as connection:
        found, _ = await balances.get_balance(
            connection, Holder(customer_id, GENERAL), as_of=None if on is None else day(on)
        )
    return found.balance, found.held


async def hold(work: Work, points: int, **changes: Any) -> Booked:
    """Points set aside on day 2 until day 5."""
    values: dict[str, Any] = {
        "hold_id": "h-1",
        "holder": Holder(C1, GENERAL),
        "occurred_at": day(2),
        "expires_at": day(5),
    }
    command = spending.HoldPoints(points=points, reason="cup", **values | changes)
    return await work.run(lambda transaction: spending.hold_points(transaction, command))


async def confirm(work: Work, points: int | None, *, on: int = 3, customer_id: CustomerId = C1) -> Booked:
    """The hold spent."""
    command = spending.ConfirmHold(customer_id, HoldEnd(new_id(), "h-1", day(on)), points)
    return await work.run(lambda transaction: spending.confirm_hold(transaction, command))


async def release(work: Work, *, on: int = 3, customer_id: CustomerId = C1) -> Booked:
    """The hold freed."""
    command = spending.ReleaseHold(customer_id, HoldEnd(new_id(), "h-1", day(on)))
    return await work.run(lambda transaction: spending.release_hold(transaction, command))


async def expire(work: Work, number: int) -> spending.Expired:
    """One round of expiries booked on a day."""
    return await work.run(lambda transaction: spending.expire_points(transaction, day(number)))


async def prove(work: Work) -> None:
    """Every claim holds."""
    async with work.reading() as connection:
        checks = await proving.prove(connection)
    assert [check for check in checks if not check.holds] == []
