"""The ledger as a service uses it: inside the caller's transaction, which the ledger neither begins nor ends."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.errors import InvalidArgument, Refusal
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain.command import AMOUNT_LIMIT, AccountId, AnyCommand
from ledger.domain.engine import EXPIRED
from ledger.domain.posting import Posted
from ledger.store.posting import load_accounts_for_update, load_for_update, save
from ledger.store.proof import Proof, prove_books
from ledger.store.reading import (
    EVERY_ENTRY,
    Balance,
    EntryFilter,
    EntryRecord,
    NewAccount,
    OpenLot,
    find_due_accounts,
    insert_accounts,
    load_balances,
    load_entries,
    load_lots,
)
from ledger.store.sealing import BLOCK, Seal, seal_block


class Expiry(NamedTuple):
    """One round of the expiry job. Call again while `more`."""

    posted: tuple[Posted, ...]
    more: bool


class Ledger:
    """One double-entry ledger in the service's own database. Holds no state, so one instance serves all.

    `system_accounts` are the other sides (issued, redeemed, revenue …): entries only, no balance row, no lock.
    `expired` is always one of them. Any other account must be opened before it is used.
    """

    def __init__(self, system_accounts: Iterable[str]) -> None:
        self._system_accounts = frozenset(AccountId(name) for name in system_accounts) | {EXPIRED}

    async def open_accounts(
        self, connection: AsyncConnection, accounts: Sequence[NewAccount], *, opened_at: datetime
    ) -> None:
        """Open accounts that are not open yet. Refuses AssetMismatch when one is open in another asset."""
        for position, account in enumerate(accounts):
            if account.id in self._system_accounts:
                raise InvalidArgument(f"accounts[{position}].id", "is the name of a system account")
            if not -AMOUNT_LIMIT <= account.floor <= 0:
                raise InvalidArgument(f"accounts[{position}].floor", "must be 0, or minus a credit limit")
        await insert_accounts(connection, accounts, opened_at)

    async def post(
        self, connection: AsyncConnection, commands: Sequence[AnyCommand], *, recorded_at: datetime
    ) -> list[Posted | Refusal]:
        """Carry out a batch in its order: one outcome for each command. A refused one leaves no trace.

        Accounts stay locked until the caller's transaction ends; call once per transaction, with all it has to post,
        so that locks are always taken in one order.
        """
        if not commands:
            return []
        books = await load_for_update(connection, commands, self._system_accounts)
        outcomes = books.decide(commands)
        await save(connection, books, recorded_at)
        return outcomes

    async def post_one(self, connection: AsyncConnection, command: AnyCommand, *, recorded_at: datetime) -> Posted:
        """A batch of one; raises its refusal."""
        (outcome,) = await self.post(connection, [command], recorded_at=recorded_at)
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def expire_due(
        self, connection: AsyncConnection, as_of: datetime, *, recorded_at: datetime, limit: int = 500
    ) -> Expiry:
        """Book the expiries that came by `as_of`, about `limit` of them, each dated at its own instant. Postings book
        what is due on their accounts anyhow: this job is for the accounts nobody touches."""
        accounts, more = await self.due(connection, as_of, limit=limit)
        return Expiry(await self.expire(connection, accounts, as_of, recorded_at=recorded_at), more)

    async def due(
        self, connection: AsyncConnection, as_of: datetime, *, limit: int = 500
    ) -> tuple[list[AccountId], bool]:
        """The accounts of about `limit` expiries that came first by `as_of`, and whether there may be more. For a
        caller that has locks of its own to take between finding and booking them."""
        return await find_due_accounts(connection, as_of, limit)

    async def expire(
        self, connection: AsyncConnection, accounts: Sequence[AccountId], as_of: datetime, *, recorded_at: datetime
    ) -> tuple[Posted, ...]:
        """Book what has expired by `as_of` on these accounts, each dated at its own instant."""
        books = await load_accounts_for_update(connection, accounts, self._system_accounts)
        posted = [posted for account in books.accounts for posted in books.settle(account, as_of)]
        await save(connection, books, recorded_at)
        return tuple(posted)

    async def balance(self, connection: AsyncConnection, account: AccountId, as_of: datetime) -> Balance:
        """The balance at an instant of business time: what was entered up to it, less what expires until then."""
        return (await load_balances(connection, [account], as_of))[account]

    async def balances(
        self, connection: AsyncConnection, accounts: Sequence[AccountId], as_of: datetime
    ) -> Mapping[AccountId, Balance]:
        """Many balances at once. Refuses AccountNotFound."""
        return await load_balances(connection, accounts, as_of)

    async def entries(
        self,
        connection: AsyncConnection,
        account: AccountId,
        *,
        before: int | None = None,
        limit: int = 50,
        among: EntryFilter = EVERY_ENTRY,
    ) -> list[EntryRecord]:
        """The account's steps, newest first, from below the version `before`: the last one's version is the next
        page's `before`."""
        return await load_entries(connection, account, among, before=before, limit=limit)

    async def lots(self, connection: AsyncConnection, account: AccountId) -> list[OpenLot]:
        """What is left of the account's grants, in the order in which debits take them."""
        return await load_lots(connection, account)

    async def seal(self, connection: AsyncConnection, *, sealed_at: datetime, limit: int = BLOCK) -> Seal | None:
        """Seal the transactions that are next, about `limit` of them, as far as nothing can come between them any more:
        the caller's own never. None when there are none; call again while as many as the limit were sealed."""
        return await seal_block(connection, sealed_at, limit)

    async def prove(self, connection: AsyncConnection) -> Proof:
        """Check every rule against the tables."""
        return await prove_books(connection)
