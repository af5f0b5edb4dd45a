"""The tables as the migrations make them: what nobody may change, what lists show, and a proof that sees damage."""

from collections.abc import AsyncIterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from billing.domain.bill import Bill, BillState
from billing.domain.ids import AccountId, CustomerId
from billing.domain.movement import Moved
from billing.store import METADATA
from billing.store.account import list_accounts
from billing.store.balance import statement_entries
from billing.store.bill import BillFilter, list_bills
from billing.use_cases.proof import prove
from chassis.database import async_url
from chassis.testing import Database
from chassis.work import Work
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.billing.tests.factories import (
    PLAN,
    Billing,
    a_plan,
    an_account,
    charge,
    opening,
    payment,
    recharge,
)


@pytest.fixture
async def billing(work: Work) -> Billing:
    """Three accounts of two customers, each billed once; the first has paid."""
    made = Billing(work)
    await made.put_plan(a_plan())
    await made.open(
        opening("a1", plan_id=PLAN), opening("a2", plan_id=PLAN), opening("b1", customer_id="cus-2", plan_id=PLAN)
    )
    names = ("a1", "a2", "b1")
    issued = await made.move(*(recharge(80_00, name) for name in names), *(charge(40_00, name) for name in names))
    first = issued[3]
    assert isinstance(first, Moved)
    assert first.bill is not None
    await made.pay(payment(first.bill.bill_id))
    return made


@pytest.fixture
async def service(fresh: Database) -> AsyncIterator[AsyncEngine]:
    """The database with the service's login."""
    engine = create_async_engine(async_url(fresh.url))
    yield engine
    await engine.dispose()


@pytest.fixture
async def owner(fresh: Database) -> AsyncIterator[AsyncEngine]:
    """The database with its owner's login, for damage that the service cannot do."""
    engine = create_async_engine(async_url(fresh.owner_url))
    yield engine
    await engine.dispose()


async def test_the_migrations_make_what_the_store_declares(owner: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
        # A column's comment is for readers of the code; the ledger's are not written into the database.
        return [each for each in found if not (isinstance(each, list) and each[0][0] == "modify_comment")]

    async with owner.connect() as connection:
        assert await connection.run_sync(differences) == []


CHANGES = {
    "charges": "UPDATE charges SET description = 'x'",
    "bills": "UPDATE bills SET due_at = issued_at",
    "bill_plan_versions": "UPDATE bill_plan_versions SET due_days = 0",
    "bill_closures": "UPDATE bill_closures SET because = 'credited'",
    "ended_dues": "UPDATE ended_dues SET due_minor = 1",
    "overdue_steps_done": "UPDATE overdue_steps_done SET action = 'remind'",
    "account_states": "UPDATE account_states SET state = 'active'",
    "bill_payments": "UPDATE bill_payments SET paid_at = recorded_at",
    "payment_steps": "UPDATE payment_steps SET because = 'x'",
    "payment_chargebacks": "UPDATE payment_chargebacks SET owed_minor = 0",
    "top_up_attempts": "UPDATE top_up_attempts SET attempt = attempt + 1",
    "ledger_entries": "UPDATE ledger_entries SET amount = 0",
    "ledger_transactions": "UPDATE ledger_transactions SET kind = 'x'",
}


async def refusals(engine: AsyncEngine) -> set[str]:
    """What the database says to every attempt to change or take away what was appended."""
    said = set()
    for table, update in CHANGES.items():
        for attempt in (update, f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            async with engine.connect() as connection:
                with pytest.raises(DBAPIError) as refused:
                    await connection.execute(text(attempt))
            said.add(str(refused.value.orig).rsplit(":", 1)[-1].replace(table, "it").strip())
    return said


async def test_what_was_appended_stays(service: AsyncEngine, owner: AsyncEngine) -> None:
    assert await refusals(service) == {"permission denied for table it"}
    assert await refusals(owner) == {"rows of it are append-only"}


async def listed(billing: Billing, *, before: int | None = None, limit: int = 10, **wanted: str) -> list[str]:
    """Accounts of the bills found."""
    chosen = BillFilter(
        customer_id=CustomerId(wanted["customer"]) if "customer" in wanted else None,
        account_id=AccountId(wanted["account"]) if "account" in wanted else None,
        state=BillState(wanted["state"]) if "state" in wanted else None,
    )
    async with billing.work.reading() as connection:
        found: list[Bill] = await list_bills(connection, chosen, before=before, limit=limit)
    return [bill.account_id for bill in found]


async def test_bills_are_listed_by_what_is_asked(billing: Billing) -> None:
    assert await listed(billing) == ["b1", "a2", "a1"]
    assert await listed(billing, limit=2) == ["b1", "a2"]
    assert await listed(billing, before=2) == ["a1"]
    assert await listed(billing, customer="cus-1") == ["a2", "a1"]
    assert await listed(billing, account="b1") == ["b1"]
    assert await listed(billing, customer="cus-1", account="b1") == []
    assert await listed(billing, state="open") == ["b1", "a2"]
    assert await listed(billing, state="paid") == ["a1"]
    assert await listed(billing, customer="cus-1", state="open") == ["a2"]


async def test_accounts_are_listed_by_id(billing: Billing) -> None:
    async with billing.work.reading() as connection:
        everybodys = await list_accounts(connection, None, after=AccountId("a1"), limit=10)
        of_one = await list_accounts(connection, CustomerId("cus-1"), after=None, limit=10)
        cut = await list_accounts(connection, None, after=None, limit=2)

    assert [account.account_id for account in everybodys] == ["a2", "b1"]
    assert [account.account_id for account in of_one] == ["a1", "a2"]
    assert [account.account_id for account in cut] == ["a1", "a2"]


async def test_a_statement_shows_the_newest_first(billing: Billing) -> None:
    async with billing.work.reading() as connection:
        entries = await statement_entries(connection, an_account("a1"), before=None, limit=10)
        older = await statement_entries(connection, an_account("a1"), before=2, limit=10)

    shown = [(e.kind, e.amount.minor_units, e.balance_after.minor_units, e.account_version, e.note) for e in entries]
    assert shown == [
        ("bill_payment", 60_00, 100_00, 3, "app"),
        ("charge", -40_00, 40_00, 2, "TV basic"),
        ("recharge", 80_00, 80_00, 1, "counter"),
    ]
    assert older == entries[2:]


DAMAGE = {
    "a bill whose debit is another's": (
        "UPDATE bills SET account_id = 'a2', crossing_version = 9 WHERE account_id = 'b1'"
    ),
    "a bill that states another balance": "UPDATE bills SET balance_at_issue_minor = 1 WHERE account_id = 'a2'",
    "a gap in the book": "UPDATE bills SET bill_number = 9 WHERE account_id = 'a2'",
    "a book that ends elsewhere": "UPDATE bill_books SET last_number = 7",
    "a lost bill": "DELETE FROM bills WHERE account_id = 'b1'",
    "a crossing forgotten": "UPDATE accounts SET crossed_threshold_minor = NULL, crossed_version = NULL, "
    "crossed_cause = NULL, crossed_at = NULL",
    "a crossing that never was": "UPDATE accounts SET crossed_threshold_minor = 5000, crossed_version = 1, "
    "crossed_cause = 'debit', crossed_at = now()",
    "a bill closed though it is paid": "INSERT INTO bill_closures SELECT bill_id, 'restored', 3, paid_at, paid_at "
    "FROM bill_payments",
    "a bill credited away without a note": "INSERT INTO bill_closures SELECT bill_id, 'credited', 2, due_at, due_at "
    "FROM bills WHERE account_id = 'b1'",
    "a due of nobody's": "UPDATE accounts SET due_minor = 1, due_of = 'nobody' WHERE crossed_version IS NOT NULL",
    "a due that nothing ended": "INSERT INTO ended_dues SELECT account_id, crossing_version, 'nobody', 1, "
    "crossing_version + 1, due_at, due_at FROM bills WHERE account_id = 'b1'",
    "a supplement to another's bill": "UPDATE bills SET kind = 'supplement', corrects_bill_id = "
    "(SELECT bill_id FROM bills WHERE account_id = 'a1') WHERE account_id = 'b1'",
    "a state that nobody set": "UPDATE accounts SET state = 'suspended', state_revision = 1, "
    "state_because = 'overdue', state_since = now()",
    "a charge of another amount": "UPDATE charges SET amount_minor = 1 WHERE account_id = 'b1'",
    "a charge lost": "DELETE FROM charges WHERE account_id = 'a2'",
    "a payment lost": "DELETE FROM bill_payments",
    "an account without a balance": "DELETE FROM ledger_accounts WHERE id = 'balance:b1'",
    "a balance of another currency": "UPDATE ledger_accounts SET asset = 'USD' WHERE id = 'balance:b1'",
    "a balance that is not its entries": "UPDATE ledger_accounts SET balance = 1 WHERE id = 'balance:b1'",
}


async def test_the_proof_sees_damage(billing: Billing, owner: AsyncEngine) -> None:
    assert await billing.proof() == []
    unseen = []
    for damage, statement in DAMAGE.items():
        async with owner.connect() as connection:
            for table in ("bills", "charges", "bill_payments", "bill_closures"):
                await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            await connection.execute(text(statement))
            broken = [check for check in await prove(connection) if not check.holds]
            if not broken or not all(check.offenders for check in broken):
                unseen.append(damage)

    assert unseen == []


async def test_a_second_bill_in_one_stay_is_seen(billing: Billing, owner: AsyncEngine) -> None:
    await billing.move(charge(1_00, "b1"))
    async with owner.begin() as connection:
        await connection.execute(
            text("""
            INSERT INTO bills SELECT 'forged', 4, account_id, customer_id, currency, 1, 3900, threshold_minor,
                   (SELECT source FROM ledger_entries WHERE account_id = 'balance:b1' AND account_version = 3),
                   issued_at, due_at, recorded_at, kind, NULL, cause, plan_id, plan_revision, 3
            FROM bills WHERE account_id = 'b1'""")
        )
        await connection.execute(text("UPDATE bill_books SET last_number = 4"))

    (broken,) = await billing.proof()

    assert broken.offenders == ("forged",)


async def test_a_transaction_has_one_bill(billing: Billing, owner: AsyncEngine) -> None:
    async with owner.connect() as connection:
        with pytest.raises(DBAPIError, match="bills_transaction"):
            await connection.execute(
                text("""
                INSERT INTO bills SELECT 'twin', 99, account_id, customer_id, currency, 1, balance_at_issue_minor,
                       threshold_minor, transaction_id, issued_at, due_at, recorded_at
                FROM bills WHERE account_id = 'b1'""")
            )
