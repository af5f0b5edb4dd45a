"""Reconciling and exporting closed days: faults that were planted are found, these and no others, each once; and files
hold what the books hold."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from billing.domain.difference import Difference, DifferenceKind
from billing.domain.reconcile import ImportRecords, ProviderRecord, Reconciled, RecordKind
from billing.exporting import ParquetDay
from billing.use_cases.export import write_day
from billing.use_cases.reconcile import differences_page, import_records, reconcile_day
from chassis.database import async_url
from chassis.money import Money
from chassis.testing import Database
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.work import Transaction, Work
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from touchstone.billing.v1 import proof_service_pb2 as pb

from services.billing.tests.calls import Calls, boss, charged, cny, opened, recharged, refused
from services.billing.tests.factories import ACCOUNT, OCCURRED_AT, Billing, adjustment, charge, opening, recharge
from services.billing.tests.test_statements import DAY, START, close

TODAY = START.date()
PROVIDER = ("billing.read", "billing.write", "billing.jobs", "billing.admin")


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """Days are closed where the test says so, and not by themselves."""
    return {"timed_work": False}


async def reconcile(work: Work, day: date = TODAY) -> Reconciled:
    """Compares a day."""

    async def act(transaction: Transaction) -> Reconciled:
        return await reconcile_day(transaction, day)

    return await work.run(act)


async def found(work: Work) -> list[Difference]:
    """The differences that are listed."""
    async with work.reading() as connection:
        page = await differences_page(connection, None, resolved=True, before=None, limit=500)
    return [each.difference for _, each in page]


async def tamper(fresh: Database, *statements: str) -> None:
    """Changes tables as only their owner can, past their triggers."""
    owner = create_async_engine(async_url(fresh.owner_url))
    async with owner.begin() as connection:
        for table in ("charges", "ledger_transactions"):
            await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement in statements:
            await connection.execute(text(statement))
    await owner.dispose()


async def taken_in(work: Work, *records: ProviderRecord, day: date = TODAY, last: bool = True) -> int:
    """Takes in a provider's file."""

    async def act(transaction: Transaction) -> int:
        return await import_records(transaction, ImportRecords(channel="sandbox", day=day, records=records, last=last))

    return await work.run(act)


async def books(work: Work) -> None:
    """Two accounts with a day of movements of several kinds, closed."""
    billing = Billing(work)
    await billing.open(opening(), opening("acc-2"))
    at = START + timedelta(hours=12)
    for account in (ACCOUNT, "acc-2"):
        await billing.move(replace(recharge(1000, account), occurred_at=at))
        await billing.move(*[charge(n, account, at=at) for n in (10, 20, 30)], charge(0, account, at=at))
        await billing.move(replace(adjustment(-5, account), occurred_at=at))
    await close(work, START + DAY)


async def test_books_that_agree_have_no_differences(work: Work) -> None:
    await books(work)
    assert await reconcile(work) == Reconciled(compared=10, differences=0)
    assert await found(work) == []


FAULTS: Sequence[tuple[str, DifferenceKind, int | None, int | None]] = [
    (
        """UPDATE charges SET amount_minor = 21 WHERE amount_minor = 20 AND account_id = 'acc-2'""",
        DifferenceKind.CHARGE_UNBOOKED,
        -21,
        -20,
    ),
    (
        """DELETE FROM charges WHERE amount_minor = 30 AND account_id = 'acc-1'""",
        DifferenceKind.LEDGER_UNEXPLAINED,
        None,
        -30,
    ),
    (
        """UPDATE charges SET transaction_id = 'charge:none' WHERE amount_minor = 10 AND account_id = 'acc-1'""",
        DifferenceKind.LEDGER_UNEXPLAINED,
        None,
        -10,
    ),
    (
        """UPDATE ledger_transactions SET kind = 'mystery' WHERE kind = 'adjustment' AND source IN
           (SELECT source FROM ledger_entries WHERE account_id = 'balance:acc-1')""",
        DifferenceKind.LEDGER_UNEXPLAINED,
        None,
        -5,
    ),
    (
        """INSERT INTO charges (charge_id, account_id, amount_minor, description, transaction_id, occurred_at,
                                recorded_at)
           VALUES ('made-up', 'acc-1', 7, '', 'charge:made-up', '2026-03-01T12:00:00Z', now())""",
        DifferenceKind.CHARGE_UNBOOKED,
        -7,
        None,
    ),
]


@pytest.mark.parametrize(("fault", "kind", "here", "there"), FAULTS)
async def test_a_planted_fault_is_found_once(
    work: Work, fresh: Database, fault: str, kind: DifferenceKind, here: int | None, there: int | None
) -> None:
    await books(work)
    await tamper(fresh, fault)
    await reconcile(work)
    await reconcile(work)
    faults = [(each.kind, _minor(each.here), _minor(each.there)) for each in await found(work)]
    assert (kind, here, there) in faults
    others = [each for each in faults if each != (kind, here, there)]
    # A charge that names another transaction is one that the ledger does not know as well.
    assert others == ([(DifferenceKind.CHARGE_UNBOOKED, -10, None)] if "charge:none" in fault else [])


def _minor(money: Money | None) -> int | None:
    return None if money is None else money.minor_units


def _payment(payment_id: str, reference: str, state: str, source: str | None) -> str:
    booked = "NULL" if source is None else f"'{source}'"
    return f"""
        INSERT INTO payments (payment_id, account_id, customer_id, amount_minor, currency, channel, return_url, origin,
                              state, provider_reference, transaction_id, requested_at, settled_at, expires_at,
                              recorded_at)
        SELECT '{payment_id}', 'acc-1', 'cus-1', 100, 'CNY', 'sandbox', '', 'customer', '{state}', '{reference}',
               {booked}, at, at, at, at
        FROM (SELECT '2026-03-01T12:00:00Z'::timestamptz AS at) AS occurred"""


def _booked(source: str) -> str:
    return f"""
        INSERT INTO ledger_transactions (source, kind, asset, occurred_at, recorded_at, metadata)
        VALUES ('{source}', 'recharge', 'CNY', '2026-03-01T12:00:00Z', now(), '{{}}')"""


async def test_payments_are_compared_with_their_providers_files(work: Work, fresh: Database) -> None:
    await books(work)
    rows = [
        ("p-same", "r-same", "succeeded", "recharge:same"),
        ("p-less", "r-less", "succeeded", "recharge:less"),
        ("p-only", "r-only", "succeeded", "recharge:only"),
        ("p-declined", "r-declined", "declined", None),
    ]
    await tamper(fresh, *(_payment(*row) for row in rows), *(_booked(source) for *_, source in rows if source))

    def record(reference: str, amount: int, kind: RecordKind = RecordKind.PAYMENT) -> ProviderRecord:
        return ProviderRecord(reference, kind, Money(amount, "CNY"), OCCURRED_AT)

    file = [record("r-same", 100), record("r-less", 90), record("r-declined", 100), record("r-theirs", 70)]
    assert await taken_in(work, *file[:2], last=False) == 2
    await reconcile(work)
    assert DifferenceKind.PAYMENT_MISSING_THERE not in {each.kind for each in await found(work)}, (
        "the file is not complete"
    )
    assert await taken_in(work, *file) == 2
    await taken_in(work, record("r-same", -40, RecordKind.REFUND))
    await reconcile(work)
    assert {(each.kind, each.reference, _minor(each.here), _minor(each.there)) for each in await found(work)} == {
        (DifferenceKind.AMOUNT_DIFFERS, "p-less", 100, 90),
        (DifferenceKind.AMOUNT_DIFFERS, "p-same", 0, -40),
        (DifferenceKind.STATE_DIFFERS, "p-declined", 100, 100),
        (DifferenceKind.PAYMENT_MISSING_HERE, "sandbox r-theirs", None, 70),
        (DifferenceKind.PAYMENT_MISSING_THERE, "p-only", 100, None),
    }


def _refund(refund_id: str, amount: int, at: str) -> str:
    return f"""
        INSERT INTO payment_refunds (refund_id, payment_id, amount_minor, reason, state, hold_id, transaction_id,
                                     requested_at, settled_at, recorded_at)
        VALUES ('{refund_id}', 'p-1', {amount}, 'why', 'succeeded', 'h-{refund_id}', 't-{refund_id}', '{at}', '{at}',
                '{at}')"""


async def test_what_went_back_in_parts_agrees_day_by_day_and_is_missed_where_it_has_no_line(
    work: Work, fresh: Database
) -> None:
    await books(work)
    await Billing(work).move(replace(recharge(1), occurred_at=START + DAY))
    await close(work, START + 2 * DAY)
    tomorrow = TODAY + timedelta(days=1)
    paid = _payment("p-1", "r-1", "succeeded", "recharge:one")
    await tamper(fresh, _booked("recharge:one"), paid, _refund("f-1", 30, "2026-03-01T13:00:00Z"))
    await tamper(fresh, _refund("f-2", 20, "2026-03-02T09:00:00Z"))

    def line(amount: int, kind: RecordKind) -> ProviderRecord:
        return ProviderRecord("r-1", kind, Money(amount, "CNY"), OCCURRED_AT)

    await taken_in(work, line(100, RecordKind.PAYMENT), line(-30, RecordKind.REFUND))
    assert (await reconcile(work)).differences == 0, "of the two parts one had gone back by the end of the day"
    assert (await reconcile(work, tomorrow)).differences == 0, "the file of the second day has not come"
    await taken_in(work, day=tomorrow)
    await reconcile(work, tomorrow)
    assert [(each.kind, each.reference, _minor(each.here), _minor(each.there)) for each in await found(work)] == [
        (DifferenceKind.AMOUNT_DIFFERS, "p-1", -50, -30)
    ]


async def test_what_went_back_around_midnight_may_be_in_the_file_of_the_day_before(work: Work, fresh: Database) -> None:
    await books(work)
    paid = _payment("p-1", "r-1", "succeeded", "recharge:one")
    await tamper(fresh, _booked("recharge:one"), paid, _refund("f-1", 30, "2026-03-02T00:00:01Z"))
    payment = ProviderRecord("r-1", RecordKind.PAYMENT, Money(100, "CNY"), OCCURRED_AT)
    await taken_in(work, payment, payment._replace(kind=RecordKind.REFUND, amount=Money(-30, "CNY")))
    assert (await reconcile(work)).differences == 0


async def test_many_who_reconcile_at_once_find_each_difference_once(work: Work, fresh: Database) -> None:
    await books(work)
    await tamper(fresh, "DELETE FROM charges WHERE amount_minor > 0")
    answers = await asyncio.gather(*[reconcile(work) for _ in range(5)])
    assert {answer.differences for answer in answers} == {6}
    assert len(await found(work)) == 6
    async with work.reading() as connection:
        told = await connection.execute(text("SELECT count(*) FROM outbox WHERE subject LIKE '%DifferenceFound'"))
        assert told.scalar_one() == 6


async def test_a_days_files_hold_what_the_books_hold(work: Work, tmp_path: Path) -> None:
    await books(work)
    async with work.reading() as connection:
        async with ParquetDay(tmp_path, TODAY, "mark") as writer:
            files = await write_day(connection, TODAY, writer)
        totals = (await connection.execute(text("SELECT balances_minor, entries FROM snapshots"))).one()
    read = {
        name: pq.read_table(tmp_path / f"{TODAY}" / f"{name}.parquet")
        for name in ("entries", "charges", "bills", "payments")
    }
    assert sum(read["entries"].column("amount_minor").to_pylist()) == totals.balances_minor
    assert read["entries"].num_rows == totals.entries == 10
    assert sorted(read["charges"].column("amount_minor").to_pylist()) == [0, 0, 10, 10, 20, 20, 30, 30]
    assert str(read["entries"].schema.field("occurred_at").type) == "timestamp[us, tz=UTC]"
    assert sorted(each.name for each in (tmp_path / f"{TODAY}").iterdir()) == [
        "bills.parquet",
        "charges.parquet",
        "entries.parquet",
        "manifest.json",
        "payments.parquet",
    ]
    for each in files:
        content = (tmp_path / each.name).read_bytes()
        assert (each.size, each.sha256) == (len(content), sha256(content).hexdigest())
    manifest = json.loads((tmp_path / f"{TODAY}" / "manifest.json").read_text())
    assert manifest["files"] == [each._asdict() for each in files]


async def test_what_is_not_finished_leaves_no_file(work: Work, tmp_path: Path) -> None:
    await books(work)
    with pytest.raises(RuntimeError):
        async with ParquetDay(tmp_path, TODAY, "mark"):
            raise RuntimeError
    assert list((tmp_path / f"{TODAY}").iterdir()) == []


async def test_an_operator_closes_and_reconciles(served: Serving) -> None:
    calls, operator = boss(served), Calls(served, *PROVIDER)
    await calls.accounts.OpenAccount(opened(plan_id=""))
    await calls.accounts.Recharge(recharged())
    await calls.charging.Charge(charged())
    as_of = to_proto(START + DAY)
    (snapshot,) = (await operator.proof.TakeSnapshot(pb.TakeSnapshotRequest(request_id="s", as_of=as_of))).snapshots
    assert (snapshot.day, snapshot.balances, snapshot.accounts) == ("2026-03-01", cny(90_00), 1)
    again = await operator.proof.TakeSnapshot(pb.TakeSnapshotRequest(request_id="s", as_of=as_of))
    assert list(again.snapshots) == [snapshot]
    exporting = pb.ExportDayRequest(request_id="e", day="2026-03-01")
    assert (await refused(operator.proof.ExportDay, exporting)).reason == "EXPORT_UNAVAILABLE"
    reply = await operator.proof.Reconcile(pb.ReconcileRequest(request_id="r", day="2026-03-01"))
    assert (reply.compared, reply.differences) == (2, 0)
