"""Commands as tests say them: short, and all on one made-up calendar counted in days."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chassis.errors import Refusal
from ledger import (
    AccountId,
    AnyCommand,
    Asset,
    ConfirmHold,
    Draw,
    Entry,
    HoldId,
    Ledger,
    LotTerms,
    MakeHold,
    NewAccount,
    Post,
    Posted,
    ReleaseHold,
    Reverse,
    SetFloor,
    Shortfall,
    Source,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

ANNA, BEN = AccountId("points:anna"), AccountId("points:ben")
ISSUED, REDEEMED = AccountId("issued"), AccountId("redeemed")
POINTS = Asset("points")


def day(number: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


NOW = day(1000)


def earn(
    source: str, amount: int, *, on: float = 0, expires: float | None = None, priority: int = 0, account: str = ANNA
) -> Post:
    terms = LotTerms(None if expires is None else day(expires), priority)
    entries = (Entry(ISSUED, -amount), Entry(AccountId(account), amount, terms))
    return Post(source=Source(source), kind="earn", occurred_at=day(on), entries=entries)


def add(source: str, amount: int, *, on: float = 0, account: str = ANNA) -> Post:
    """A credit without a lot, as money is."""
    entries = (Entry(ISSUED, -amount), Entry(AccountId(account), amount))
    return Post(source=Source(source), kind="add", occurred_at=day(on), entries=entries)


def spend(source: str, amount: int, *, on: float = 0, account: str = ANNA) -> Post:
    entries = (Entry(AccountId(account), -amount), Entry(REDEEMED, amount))
    return Post(source=Source(source), kind="spend", occurred_at=day(on), entries=entries)


def pass_on(source: str, amount: int, *, on: float = 0) -> Post:
    entries = (Entry(ANNA, -amount), Entry(BEN, amount))
    return Post(source=Source(source), kind="transfer", occurred_at=day(on), entries=entries)


def draw(
    source: str,
    payers: Sequence[str],
    amount: int | None = None,
    *,
    on: float = 0,
    to: str = BEN,
    at_least: int | None = None,
) -> Draw:
    return Draw(
        source=Source(source),
        kind="draw",
        occurred_at=day(on),
        payers=tuple(AccountId(payer) for payer in payers),
        to=AccountId(to),
        amount=amount,
        at_least=at_least,
    )


def hold(
    source: str,
    amount: int,
    *,
    on: float = 0,
    expires: float = 10,
    account: str = ANNA,
    at_least: int | None = None,
) -> MakeHold:
    return MakeHold(
        source=Source(source),
        kind="hold",
        occurred_at=day(on),
        account=AccountId(account),
        amount=amount,
        expires_at=day(expires),
        at_least=at_least,
    )


def confirm(source: str, of: str, amount: int | None = None, *, on: float = 0) -> ConfirmHold:
    return ConfirmHold(
        source=Source(source), kind="capture", occurred_at=day(on), hold=HoldId(of), to=REDEEMED, amount=amount
    )


def release(source: str, of: str, *, on: float = 0, regrant_days: float = 0) -> ReleaseHold:
    return ReleaseHold(
        source=Source(source),
        kind="release",
        occurred_at=day(on),
        hold=HoldId(of),
        regrant_for=timedelta(days=regrant_days),
    )


def reverse(
    source: str,
    of: str,
    amount: int | None = None,
    *,
    on: float = 0,
    shortfall: Shortfall = Shortfall.REFUSE,
    regrant_days: float = 0,
    most_owed: int = 0,
) -> Reverse:
    return Reverse(
        source=Source(source),
        kind="reversal",
        occurred_at=day(on),
        of=Source(of),
        amount=amount,
        shortfall=shortfall,
        regrant_for=timedelta(days=regrant_days),
        most_owed=most_owed,
    )


def set_floor(source: str, floor: int, *, on: float = 0, account: str = ANNA) -> SetFloor:
    return SetFloor(source=Source(source), kind="floor", occurred_at=day(on), account=AccountId(account), floor=floor)


async def open_accounts(ledger: Ledger, connection: AsyncConnection, *accounts: str) -> None:
    new = [NewAccount(AccountId(account), POINTS) for account in accounts]
    await ledger.open_accounts(connection, new, opened_at=day(0))


async def post(ledger: Ledger, engine: AsyncEngine, *commands: AnyCommand) -> list[Posted | Refusal]:
    """A batch in a transaction of its own."""
    async with engine.begin() as connection:
        return await ledger.post(connection, commands, recorded_at=NOW)
