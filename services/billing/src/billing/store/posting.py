"""Movements in the ledger's words: which account holds a balance, what an act asks for, and what an answer says.

Pure, so that the rules can be played without a database. The other side of every entry is a system account named after
the movement's kind, which has no balance row and so is no hot spot.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, assert_never

import ledger
from chassis.errors import Refusal
from chassis.money import Money

from billing.domain.account import Account
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import (
    Booking,
    Capture,
    Credit,
    Debit,
    Expired,
    Free,
    Limit,
    Movement,
    MovementKind,
    SetAside,
    Share,
    Shortfall,
    Stand,
    Undo,
    credit_limit_in_use,
    insufficient_balance,
)
from billing.domain.threshold import CrossingCause, Step

LEDGER = ledger.Ledger(MovementKind)
BALANCE_PREFIX = "balance:"
NOTE = "note"

_MOST_OWED = 10**15
_KINDS = {kind: ledger.AccountId(kind) for kind in MovementKind}


def balance_of(account_id: AccountId) -> ledger.AccountId:
    """The ledger's account that holds an account's balance."""
    return ledger.AccountId(BALANCE_PREFIX + account_id)


def account_of(balance: ledger.AccountId) -> AccountId:
    """The account whose balance a ledger's account holds."""
    return AccountId(balance.removeprefix(BALANCE_PREFIX))


def command_of(movement: Movement) -> ledger.AnyCommand:
    """The one command that carries a movement out."""
    match movement.act:
        case Credit() | Debit():
            return _entered(movement, movement.act)
        case SetAside() | Capture() | Free():
            return _held(movement, movement.act)
        case Undo(of, amount, shortfall, regrant_for):
            return ledger.Reverse(
                source=ledger.Source(movement.transaction_id),
                kind=movement.kind,
                occurred_at=movement.occurred_at,
                metadata=_metadata(movement),
                of=ledger.Source(of),
                amount=None if amount is None else amount.minor_units,
                shortfall=ledger.Shortfall(shortfall),
                regrant_for=regrant_for,
                most_owed=_MOST_OWED if shortfall is Shortfall.OWE else 0,
            )
        case Limit(credit_limit):
            return ledger.SetFloor(
                source=ledger.Source(movement.transaction_id),
                kind=movement.kind,
                occurred_at=movement.occurred_at,
                metadata=_metadata(movement),
                account=balance_of(movement.account_id),
                floor=-credit_limit.minor_units,
            )
        case _:
            assert_never(movement.act)


def _metadata(movement: Movement) -> Mapping[str, str]:
    return {NOTE: movement.note, **movement.about}


def _entered(movement: Movement, act: Credit | Debit) -> ledger.Post | ledger.Draw:
    own, source = balance_of(movement.account_id), ledger.Source(movement.transaction_id)
    amount, other = act.amount.minor_units, _KINDS[movement.kind]
    match act:
        case Credit(_, terms):
            lot = None if terms is None else ledger.LotTerms(terms.expires_at, terms.priority)
            entries = (ledger.Entry(own, amount, lot), ledger.Entry(other, -amount))
        case Debit(_, payers, at_least) if payers or at_least is not None:
            return ledger.Draw(
                source=source,
                kind=movement.kind,
                occurred_at=movement.occurred_at,
                metadata=_metadata(movement),
                payers=(*map(balance_of, payers), own),
                to=other,
                amount=amount,
                at_least=None if at_least is None else at_least.minor_units,
            )
        case Debit():
            entries = (ledger.Entry(own, -amount), ledger.Entry(other, amount))
        case _:
            assert_never(act)
    return ledger.Post(
        source=source,
        kind=movement.kind,
        occurred_at=movement.occurred_at,
        metadata=_metadata(movement),
        entries=entries,
    )


def _held(
    movement: Movement, act: SetAside | Capture | Free
) -> ledger.MakeHold | ledger.ConfirmHold | ledger.ReleaseHold:
    source, metadata = ledger.Source(movement.transaction_id), _metadata(movement)
    match act:
        case SetAside(amount, expires_at, at_least):
            return ledger.MakeHold(
                source=source,
                kind=movement.kind,
                occurred_at=movement.occurred_at,
                metadata=metadata,
                account=balance_of(movement.account_id),
                amount=amount.minor_units,
                expires_at=expires_at,
                at_least=None if at_least is None else at_least.minor_units,
            )
        case Capture(hold, amount):
            return ledger.ConfirmHold(
                source=source,
                kind=movement.kind,
                occurred_at=movement.occurred_at,
                metadata=metadata,
                hold=ledger.HoldId(hold),
                to=_KINDS[movement.kind],
                amount=amount.minor_units,
            )
        case Free(hold):
            return ledger.ReleaseHold(
                source=source,
                kind=movement.kind,
                occurred_at=movement.occurred_at,
                metadata=metadata,
                hold=ledger.HoldId(hold),
            )
        case _:
            assert_never(act)


def refusal_of(refusal: Refusal, account: Account) -> Refusal:
    """The ledger's refusal in billing's words, where it has some."""
    match refusal:
        case ledger.InsufficientBalance():
            return insufficient_balance(account, max(int(refusal.metadata["available"]), 0))
        case ledger.FloorAboveBalance():
            return credit_limit_in_use(account)
        case _:
            return refusal


def charge_of(record: ledger.EntryRecord) -> str:
    """The charge that an entry belongs to; empty for others."""
    if record.kind == MovementKind.CHARGE:
        return record.source.removeprefix(f"{MovementKind.CHARGE}:")
    return str(record.metadata.get("charge_id", ""))


class Lapse(NamedTuple):
    """Something that expired, and was booked by itself."""

    account_id: AccountId
    transaction_id: TransactionId
    occurred_at: datetime
    booking: Booking


class Limits:
    """The credit limits of accounts as they stand while a batch is read: an act that sets one changes it."""

    def __init__(self, accounts: Mapping[AccountId, Account]) -> None:
        self._now = {account_id: account.credit_limit_minor for account_id, account in accounts.items()}

    def booking_of(self, movement: Movement, posted: ledger.Posted) -> Booking:
        """What was booked for a movement; to be asked in the order of booking."""
        if not posted.settled and len(posted.lines) == 1 and not isinstance(movement.act, Limit):
            line = posted.lines[0]
            step = self._step(posted, line, CrossingCause.DEBIT)
            stands = {account_of(line.account): Stand(line.balance_after, line.account_version)}
            return Booking((_share(movement, posted, line),), () if step is None else (step,), (), stands)
        around = [*posted.settled, posted]
        steps = self._steps(around)
        if isinstance(movement.act, Limit):
            steps = (*steps, self._limited(movement, movement.act, posted))
            return Booking((), steps, tuple(_expired_of(posted.settled)), _stands(around))
        shares = tuple(_share(movement, posted, each) for each in posted.lines)
        return Booking(shares, steps, tuple(_expired_of(posted.settled)), _stands(around))

    def lapse_of(self, posted: ledger.Posted) -> Lapse:
        """What an expiry that was booked by itself came to."""
        booking = Booking((), self._steps([posted]), tuple(_expired_of([posted])), _stands([posted]))
        account_id = account_of(posted.lines[0].account)
        return Lapse(account_id, TransactionId(posted.source), posted.occurred_at, booking)

    def _steps(self, posted: Sequence[ledger.Posted]) -> tuple[Step, ...]:
        """The changes of measures, those of one account by its versions: an expiry may come behind what freed it."""
        found = [
            (line.account_version, step)
            for each in posted
            for line in each.lines
            if (step := self._step(each, line, _cause(each))) is not None
        ]
        return tuple(step for _, step in sorted(found, key=lambda one: one[0]))

    def _step(self, posted: ledger.Posted, line: ledger.Line, cause: CrossingCause) -> Step | None:
        if not line.amount:
            return None
        account_id = account_of(line.account)
        limit = self._now[account_id]
        return Step(
            account_id=account_id,
            cause=cause,
            measured_before=line.balance_after - line.amount + limit,
            measured_after=line.balance_after + limit,
            balance_after=line.balance_after,
            account_version=line.account_version,
            occurred_at=posted.occurred_at,
            transaction_id=TransactionId(posted.source),
        )

    def _limited(self, movement: Movement, act: Limit, posted: ledger.Posted) -> Step:
        before, limit = self._now[movement.account_id], act.credit_limit.minor_units
        self._now[movement.account_id] = limit
        (line,) = posted.lines
        return Step(
            account_id=movement.account_id,
            cause=CrossingCause.CREDIT_LIMIT,
            measured_before=line.balance_after + before,
            measured_after=line.balance_after + limit,
            balance_after=line.balance_after,
            account_version=line.account_version,
            occurred_at=posted.occurred_at,
            transaction_id=TransactionId(posted.source),
        )


def _stands(posted: Sequence[ledger.Posted]) -> dict[AccountId, Stand]:
    """How the last step of each account left it."""
    lines = sorted((line for each in posted for line in each.lines), key=lambda line: line.account_version)
    return {account_of(line.account): Stand(line.balance_after, line.account_version) for line in lines}


def _cause(posted: ledger.Posted) -> CrossingCause:
    return CrossingCause.EXPIRY if posted.kind == ledger.LOT_EXPIRY else CrossingCause.DEBIT


def _share(movement: Movement, posted: ledger.Posted, line: ledger.Line) -> Share:
    """For what was set aside and freed the line's amount is 0: nothing left the balance."""
    currency = posted.asset
    moved = abs(line.amount) if line.amount else abs(line.held_change)
    gift = -sum(move.amount for move in (posted.taken if isinstance(movement.act, Capture) else line.moves))
    return Share(
        account_of(line.account),
        Money(moved, currency),
        Money(abs(gift), currency),
        Money(line.balance_after, currency),
        line.account_version,
    )


def _expired_of(settled: Sequence[ledger.Posted]) -> Iterator[Expired]:
    for posted in settled:
        for line in posted.lines:
            if posted.kind == ledger.LOT_EXPIRY:
                yield Expired(
                    TransactionId(posted.source),
                    account_of(line.account),
                    Money(-line.amount, posted.asset),
                    Money(line.balance_after, posted.asset),
                    line.account_version,
                    posted.occurred_at,
                )
