"""The engine: locked state and commands in, outcomes out. Pure, and sequential inside a batch.

A command works on copies of the accounts it touches. When it is refused the copies are dropped, so it leaves no trace
(not even the expiries it would have booked) and its neighbours go on as if it had never been asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from chassis.errors import InvalidArgument, Refusal

from ledger.domain.account import Account, Hold, HoldState, Lot, first_taken, insufficient, undone
from ledger.domain.command import (
    AMOUNT_LIMIT,
    SOURCE_LENGTH,
    AccountId,
    AnyCommand,
    Asset,
    Command,
    ConfirmHold,
    Draw,
    Entry,
    HoldId,
    LotTerms,
    MakeHold,
    Post,
    ReleaseHold,
    Reverse,
    SetFloor,
    Source,
)
from ledger.domain.posting import Line, Posted, SystemLine
from ledger.domain.refusal import (
    AccountNotFound,
    AssetMismatch,
    HoldEnded,
    HoldExpired,
    HoldNotFound,
    SourceReused,
    TransactionNotFound,
)
from ledger.domain.reversal import Leg, Original

EXPIRED = AccountId("expired")
"""The system account that takes what expires. Every ledger has it."""

LOT_EXPIRY = "lot_expiry"
HOLD_EXPIRY = "hold_expiry"


@dataclass(slots=True)
class Books:
    """The part of the ledger one batch may see, and what the batch has booked so far."""

    system_accounts: frozenset[AccountId]
    accounts: dict[AccountId, Account] = field(default_factory=dict)
    sources: set[Source] = field(default_factory=set)
    holds: dict[HoldId, AccountId] = field(default_factory=dict)
    originals: dict[Source, Original] = field(default_factory=dict)
    booked: dict[Source, Posted] = field(default_factory=dict)

    def decide(self, commands: Iterable[AnyCommand]) -> list[Posted | Refusal]:
        """One outcome per command, in order."""
        return [self._decide(command) for command in commands]

    def settle(self, account: AccountId, instant: datetime) -> tuple[Posted, ...]:
        """Book every expiry of one account that has come by `instant`."""
        draft = Draft(self)
        draft.settle(draft.account(account), instant)
        draft.keep()
        return tuple(draft.booked)

    def _decide(self, command: AnyCommand) -> Posted | Refusal:
        draft = Draft(self)
        try:
            posted = draft.book(command)
        except Refusal as refusal:
            return refusal.with_traceback(None)
        draft.keep()
        return posted


class Draft:
    """One command at work: sees the books through its own copies."""

    __slots__ = ("_accounts", "_books", "_originals", "booked")

    def __init__(self, books: Books) -> None:
        self._books = books
        self._accounts: dict[AccountId, Account] = {}
        self._originals: dict[Source, Original] = {}
        self.booked: list[Posted] = []

    def keep(self) -> None:
        """Make the command's work part of the books."""
        books = self._books
        books.accounts.update(self._accounts)
        for posted in self.booked:
            books.booked[posted.source] = posted
        if self._originals:
            books.originals.update(self._originals)
        for account in self._accounts.values():
            if account.holds:
                books.holds.update(dict.fromkeys(account.holds, account.id))

    def account(self, account_id: AccountId) -> Account:
        """The command's own copy. Refuses AccountNotFound."""
        mine = self._accounts.get(account_id)
        if mine is None:
            theirs = self._books.accounts.get(account_id)
            if theirs is None:
                raise AccountNotFound(f"account {account_id} was never opened", account=account_id)
            mine = self._accounts[account_id] = theirs.copy()
        return mine

    def settle(self, account: Account, instant: datetime) -> None:
        """Book what has expired by `instant`, oldest first, each dated at its own expiry. A hold that expires may free
        a part of a lot that is gone as well, hence the second look."""
        if not account.lots and not account.holds:
            return
        while due := account.due(instant):
            for item in due:
                self._expire(account, item)

    def book(self, command: AnyCommand) -> Posted:
        """Check the name, book the command and whatever expires around it."""
        source = command.source
        if not 0 < len(source) <= SOURCE_LENGTH:
            raise InvalidArgument("source", f"must have 1 to {SOURCE_LENGTH} characters")
        if source in self._books.sources or source in self._books.booked:
            raise SourceReused(f"{source} is already in the books", source=source)
        posted = self._dispatch(command)
        before = len(self.booked)
        self.booked.append(posted)
        for account_id in dict.fromkeys(line.account for line in posted.lines):
            self.settle(self._accounts[account_id], command.occurred_at)
        if len(self.booked) == 1:
            return posted
        return posted._replace(settled=(*self.booked[:before], *self.booked[before + 1 :]))

    def _dispatch(self, command: AnyCommand) -> Posted:
        match command:
            case Post():
                return self._post(command)
            case Draw():
                return self._draw(command)
            case MakeHold():
                return self._make_hold(command)
            case ConfirmHold():
                return self._confirm_hold(command)
            case ReleaseHold():
                return self._release_hold(command)
            case Reverse():
                return self._reverse(command)
            case SetFloor():
                return self._set_floor(command)
            case _:
                assert_never(command)

    def _post(self, command: Post) -> Posted:
        occurred_at, system_accounts = command.occurred_at, self._books.system_accounts
        lines: list[Line] = []
        system_lines: list[SystemLine] = []
        asset: Asset | None = None
        total = 0
        for position, entry in enumerate(command.entries):
            account_id, amount, terms = entry
            if terms is not None or not amount or not -AMOUNT_LIMIT <= amount <= AMOUNT_LIMIT:
                _check_entry(position, entry, occurred_at)
            total += amount
            if account_id in system_accounts:
                system_lines.append(SystemLine(account_id, amount))
                continue
            account = self._settled(account_id, occurred_at)
            _check_asset(account, asset or account.asset)
            asset = account.asset
            lines.append(account.debit(-amount) if amount < 0 else account.credit(amount, terms))
        if total:
            raise InvalidArgument("entries", "must sum to zero")
        if asset is None:
            raise InvalidArgument("entries", "must touch at least one account with a balance")
        return _posted(command, asset, lines, system_lines)

    def _make_hold(self, command: MakeHold) -> Posted:
        _check_amount("amount", command.amount)
        if command.expires_at <= command.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")
        account = self._settled(command.account, command.occurred_at)
        amount = _as_far_as_it_goes(command.amount, command.at_least, account.available)
        line = account.hold(HoldId(command.source), amount, command.expires_at)
        return _posted(command, account.asset, [line])

    def _confirm_hold(self, command: ConfirmHold) -> Posted:
        account, hold = self._open_hold(command.hold, command.occurred_at)
        amount = hold.amount if command.amount is None else command.amount
        _check_amount("amount", amount)
        regrant_until = command.occurred_at + command.regrant_for
        lines = [
            account.end_hold(
                hold, HoldState.CAPTURED, captured=amount, at=command.occurred_at, regrant_until=regrant_until
            )
        ]
        system_lines = []
        if command.to in self._books.system_accounts:
            system_lines.append(SystemLine(command.to, amount))
        else:
            receiver = self._settled(command.to, command.occurred_at)
            _check_asset(receiver, account.asset)
            lines.append(receiver.credit(amount))
        taken = first_taken(hold.taken, amount)
        return _posted(command, account.asset, lines, system_lines)._replace(ends=hold.id, taken=taken)

    def _release_hold(self, command: ReleaseHold) -> Posted:
        account, hold = self._open_hold(command.hold, command.occurred_at)
        regrant_until = command.occurred_at + command.regrant_for
        line = account.end_hold(
            hold, HoldState.RELEASED, captured=0, at=command.occurred_at, regrant_until=regrant_until
        )
        return _posted(command, account.asset, [line])._replace(ends=hold.id)

    def _set_floor(self, command: SetFloor) -> Posted:
        if not -AMOUNT_LIMIT <= command.floor <= 0:
            raise InvalidArgument("floor", "must be 0, or minus a credit limit")
        account = self._settled(command.account, command.occurred_at)
        return _posted(command, account.asset, [account.set_floor(command.floor)])

    def _draw(self, command: Draw) -> Posted:
        if len(set(command.payers)) < max(len(command.payers), 1) or command.to in command.payers:
            raise InvalidArgument("payers", "must be accounts, each named once, and not the one that receives")
        payers = [self._settled(payer, command.occurred_at) for payer in command.payers]
        available = sum(max(payer.available, 0) for payer in payers)
        amount = _as_far_as_it_goes(command.amount, command.at_least, available)
        if amount > available or (command.amount is None and not available):
            raise insufficient(payers, max(amount, 1))
        _check_amount("amount", amount)
        lines: list[Line] = []
        parts: list[tuple[LotTerms | None, int]] = []
        for payer in payers:
            _check_asset(payer, payers[0].asset)
            paid = min(amount - sum(-line.amount for line in lines), payer.available)
            if paid > 0:
                lines.append(payer.debit(paid))
                parts += payer.terms_of(lines[-1])
        if command.to in self._books.system_accounts:
            return _posted(command, payers[0].asset, lines, [SystemLine(command.to, amount)])
        receiver = self._settled(command.to, command.occurred_at)
        _check_asset(receiver, payers[0].asset)
        lines += [receiver.credit(part, terms) for terms, part in _merged(parts)]
        return _posted(command, receiver.asset, lines)

    def _reverse(self, command: Reverse) -> Posted:
        original = self._original(command.of)
        amount = original.reversible_amount(command.amount)
        moved = 0
        lines: list[Line] = []
        system_lines: list[SystemLine] = []
        # Credits are taken back before debits are given back, as money must be there before it is passed on.
        for leg, _, part in original.credits_undone(amount):
            if leg.account in self._books.system_accounts:
                system_lines.append(SystemLine(leg.account, -part))
                moved += part
                continue
            account = self._settled(leg.account, command.occurred_at)
            taken = account.reclaimable(part, command.shortfall, lot=leg.lot, most_owed=command.most_owed)
            moved += taken
            lines.append(account.take_back(taken, first=leg.lot))
        for leg, skip, part in original.debits_undone(moved):
            if leg.account in self._books.system_accounts:
                system_lines.append(SystemLine(leg.account, part))
                continue
            back = undone(leg.taken, -leg.amount, skip=skip, amount=part)
            account = self._settled(leg.account, command.occurred_at)
            lines.append(account.give_back(part, back, at=command.occurred_at, regrant_for=command.regrant_for))
        dealt_with = original.reversed_amount + amount
        self._originals[original.source] = original._replace(reversed_amount=dealt_with)
        return _posted(command, self.account(lines[0].account).asset, lines, system_lines)._replace(
            reverses=original.source, reversed_before=original.reversed_amount, reversed_amount=amount
        )

    def _original(self, source: Source) -> Original:
        original = self._books.originals.get(source)
        if original is not None:
            return original
        posted = self._books.booked.get(source)
        if posted is None:
            raise TransactionNotFound(f"there is no transaction {source}", source=source)
        return self._original_of(posted)

    def _original_of(self, posted: Posted) -> Original:
        """A transaction of this very batch, seen as one that may be reversed."""
        legs = [Leg(line.account, line.amount) for line in posted.system_lines]
        for line in posted.lines:
            account = self._books.accounts[line.account]
            taken = account.holds[posted.ends].taken if posted.ends in account.holds else line.moves
            lot = line.account_version if line.amount > 0 and line.account_version in account.lots else None
            legs.append(Leg(line.account, line.amount, lot, first_taken(taken, max(-line.amount, 0))))
        reversible = posted.reverses is None and posted.kind not in (LOT_EXPIRY, HOLD_EXPIRY)
        return Original(posted.source, tuple(legs), reversible, 0)

    def _settled(self, account_id: AccountId, instant: datetime) -> Account:
        account = self.account(account_id)
        self.settle(account, instant)
        return account

    def _open_hold(self, hold_id: HoldId, instant: datetime) -> tuple[Account, Hold]:
        """Refuses HoldNotFound, HoldEnded, HoldExpired: at exactly its expiry a hold is over."""
        holder = self._books.holds.get(hold_id)
        if holder is None:
            raise HoldNotFound(f"there is no hold {hold_id}", hold=hold_id)
        account = self._settled(holder, instant)
        hold = account.holds[hold_id]
        if hold.state is HoldState.EXPIRED:
            raise HoldExpired(f"hold {hold_id} expired at {hold.expires_at.isoformat()}", hold=hold_id)
        if hold.state is not HoldState.OPEN:
            raise HoldEnded(f"hold {hold_id} was {hold.state} before", hold=hold_id, state=hold.state)
        return account, hold

    def _expire(self, account: Account, item: Lot | Hold) -> None:
        if isinstance(item, Hold):
            line = account.end_hold(
                item, HoldState.EXPIRED, captured=0, at=item.expires_at, regrant_until=item.expires_at
            )
            source = Source(f"{HOLD_EXPIRY}:{item.id}")
            posted = Posted(source, HOLD_EXPIRY, account.asset, item.expires_at, (line,), ends=item.id)
        else:
            lot = account.lots[item.version]
            assert lot.terms.expires_at is not None, "only a lot with an expiry is ever due"
            line = account.expire_lot(lot)
            source = Source(f"{LOT_EXPIRY}:{account.id}/{lot.version}")
            gone = (SystemLine(EXPIRED, lot.remaining),)
            posted = Posted(source, LOT_EXPIRY, account.asset, lot.terms.expires_at, (line,), gone)
        self.booked.append(posted)


def _posted(command: Command, asset: Asset, lines: Sequence[Line], system_lines: Sequence[SystemLine] = ()) -> Posted:
    return Posted(
        command.source, command.kind, asset, command.occurred_at, tuple(lines), tuple(system_lines), command.metadata
    )


def _check_amount(name: str, amount: int) -> None:
    if not 0 < amount <= AMOUNT_LIMIT:
        raise InvalidArgument(name, f"must be from 1 to {AMOUNT_LIMIT}")


def _as_far_as_it_goes(asked: int | None, at_least: int | None, available: int) -> int:
    """What is to be taken of the amount asked, None being all there is. Where less will do, what there is, but no less
    than `at_least`."""
    wished = available if asked is None else asked
    if at_least is None:
        return wished
    if not 0 < at_least <= (AMOUNT_LIMIT if asked is None else asked):
        raise InvalidArgument("at_least", "must be from 1 to the amount")
    return max(at_least, min(available, wished))


def _check_asset(account: Account, asset: Asset) -> None:
    if account.asset != asset:
        raise AssetMismatch(f"{account.id} is kept in {account.asset}, not in {asset}", account=account.id)


def _merged(parts: Iterable[tuple[LotTerms | None, int]]) -> Iterable[tuple[LotTerms | None, int]]:
    """One part for each of the terms, in the order in which they came."""
    merged: dict[LotTerms | None, int] = {}
    for terms, part in parts:
        merged[terms] = merged.get(terms, 0) + part
    return merged.items()


def _check_entry(position: int, entry: Entry, occurred_at: datetime) -> None:
    if not 0 < abs(entry.amount) <= AMOUNT_LIMIT:
        raise InvalidArgument(f"entries[{position}].amount", f"must be from 1 to {AMOUNT_LIMIT} either way")
    if entry.lot is None:
        return
    if entry.amount < 0:
        raise InvalidArgument(f"entries[{position}].lot", "only a credit opens a lot")
    if entry.lot.expires_at is not None and entry.lot.expires_at <= occurred_at:
        raise InvalidArgument(f"entries[{position}].lot.expires_at", "must be after occurred_at")
