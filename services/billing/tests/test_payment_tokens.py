"""Whose a stored means of payment is: a provider's alias is one customer's, while it lives, whoever else names it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from chassis.database import async_url
from chassis.rpc.errors import remote_refusal
from chassis.testing import Database
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from touchstone.billing.v1 import top_up_service_pb2 as pb

from services.billing.tests.calls import AT, fields, member, opened, refused
from services.billing.tests.factories import ACCOUNT
from services.billing.tests.payments import CHANNEL, Paying
from services.billing.tests.test_thresholds_migration import migrate

ALIAS = "alias-of-the-provider"
BEFORE_REVISION = "0012"
MINE, ALSO_MINE, THEIRS = ACCOUNT, "acc-2", "acc-3"


def stored(request_id: str, account_id: str, token_id: str = "card", **changed: Any) -> pb.PutPaymentTokenRequest:
    """Stores the alias for an account."""
    values: dict[str, Any] = {"channel": CHANNEL, "provider_token": ALIAS, "display_name": "a card", "occurred_at": AT}
    return pb.PutPaymentTokenRequest(
        request_id=request_id, account_id=account_id, token_id=token_id, **values | changed
    )


def removed(request_id: str, account_id: str, token_id: str = "card") -> pb.RemovePaymentTokenRequest:
    """Removes it."""
    return pb.RemovePaymentTokenRequest(request_id=request_id, account_id=account_id, token_id=token_id, occurred_at=AT)


@pytest.fixture
async def shared(paying: Paying) -> Paying:
    """Two accounts of one customer, and one of another."""
    await paying.calls.accounts.OpenAccount(opened("open-2", account_id=ALSO_MINE, plan_id=""))
    await paying.calls.accounts.OpenAccount(opened("open-3", account_id=THEIRS, customer_id="cus-2", plan_id=""))
    return paying


async def test_an_alias_is_refused_to_another_customer_and_nothing_is_told(shared: Paying) -> None:
    tokens = shared.calls.top_ups
    await tokens.PutPaymentToken(stored("mine", MINE))
    await tokens.PutPaymentToken(stored("also", ALSO_MINE, "another-name"))

    refusals = [
        await refused(tokens.PutPaymentToken, stored("theirs", THEIRS)),
        await refused(
            member(shared.served, "cus-2").top_ups.PutPaymentToken, stored("own", THEIRS, customer_id="cus-2")
        ),
    ]

    for refusal in refusals:
        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "PAYMENT_TOKEN_REFUSED")
        assert fields(refusal) == []
        assert not any(word in refusal.message for word in (ALIAS, "cus-1", MINE, "card"))
    listed = await tokens.ListPaymentTokens(pb.ListPaymentTokensRequest(account_id=THEIRS))
    assert list(listed.tokens) == []
    await tokens.PutPaymentToken(stored("theirs", THEIRS, provider_token="alias-of-theirs"))
    assert await shared.broken() == []


async def test_an_alias_is_free_when_it_is_removed_from_the_last_account(shared: Paying) -> None:
    tokens = shared.calls.top_ups
    await tokens.PutPaymentToken(stored("mine", MINE))
    await tokens.PutPaymentToken(stored("also", ALSO_MINE))
    await tokens.RemovePaymentToken(removed("remove-1", MINE))
    assert (await refused(tokens.PutPaymentToken, stored("early", THEIRS))).reason == "PAYMENT_TOKEN_REFUSED"

    await tokens.RemovePaymentToken(removed("remove-2", ALSO_MINE))

    await tokens.PutPaymentToken(stored("theirs", THEIRS))
    assert (await refused(tokens.PutPaymentToken, stored("again", MINE))).reason == "PAYMENT_TOKEN_REFUSED"
    assert await shared.broken() == []


async def test_an_alias_is_free_when_another_was_put_in_its_place(shared: Paying) -> None:
    tokens = shared.calls.top_ups
    await tokens.PutPaymentToken(stored("mine", MINE))
    await tokens.PutPaymentToken(stored("same", MINE, display_name="another name to show"))
    assert (await refused(tokens.PutPaymentToken, stored("early", THEIRS))).reason == "PAYMENT_TOKEN_REFUSED"

    await tokens.PutPaymentToken(stored("other", MINE, provider_token="the-next-card"))

    await tokens.PutPaymentToken(stored("theirs", THEIRS))
    assert await shared.broken() == []


async def test_of_customers_who_store_one_alias_at_once_one_has_it(shared: Paying) -> None:
    accounts = [MINE, ALSO_MINE, THEIRS]
    for number in range(10):
        alias = f"alias-{number}"
        made = [
            shared.calls.top_ups.PutPaymentToken(stored(f"{alias}-{name}", name, alias, provider_token=alias))
            for name in accounts
        ]
        answers = await asyncio.gather(*made, return_exceptions=True)
        refusals = [remote_refusal(each).reason for each in answers if isinstance(each, grpc.RpcError)]
        assert refusals in (["PAYMENT_TOKEN_REFUSED"], ["PAYMENT_TOKEN_REFUSED"] * 2), answers
    assert await shared.broken() == []


async def test_an_alias_stored_while_it_is_removed_elsewhere_stays_its_customers(shared: Paying) -> None:
    tokens = shared.calls.top_ups
    for number in range(20):
        await tokens.PutPaymentToken(stored(f"mine-{number}", MINE))
        await asyncio.gather(
            tokens.RemovePaymentToken(removed(f"remove-{number}", MINE)),
            tokens.PutPaymentToken(stored(f"also-{number}", ALSO_MINE)),
        )
        refusal = await refused(tokens.PutPaymentToken, stored(f"theirs-{number}", THEIRS))
        assert refusal.reason == "PAYMENT_TOKEN_REFUSED"
        assert await shared.broken() == []
        await tokens.RemovePaymentToken(removed(f"also-removed-{number}", ALSO_MINE))


BEFORE = """
INSERT INTO accounts (account_id, customer_id, currency, opened_at, recorded_at)
VALUES ('a', 'anna', 'CNY', now(), now()), ('b', 'anna', 'CNY', now(), now()), ('c', 'ben', 'CNY', now(), now());
INSERT INTO payment_tokens (account_id, token_id, channel, provider_token, display_name, stored_at, recorded_at,
                            removed_at)
VALUES ('c', 'late', 'card', 'shared', '', now(), '2026-03-02', NULL),
       ('a', 'first', 'card', 'shared', '', now(), '2026-03-01', NULL),
       ('b', 'second', 'card', 'shared', '', now(), '2026-03-03', NULL),
       ('c', 'own', 'card', 'gone', '', now(), '2026-03-02', NULL),
       ('a', 'gone', 'card', 'gone', '', now(), '2026-03-01', now())
"""


@pytest.fixture
async def before(fresh: Database) -> Database:
    """The database before aliases had owners, with what it might have held then."""
    await _as_owner(fresh, ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"])
    await migrate(fresh, BEFORE_REVISION)
    await _as_owner(fresh, BEFORE.split(";\n"))
    return fresh


async def test_what_was_stored_twice_stays_with_the_first(before: Database) -> None:
    await migrate(before, "head")
    engine = create_async_engine(async_url(before.owner_url))
    async with engine.connect() as connection:
        assert await _found(connection, "SELECT provider_token, customer_id FROM payment_aliases") == [
            ("gone", "ben"),
            ("shared", "anna"),
        ]
        alive = "SELECT account_id, token_id FROM payment_tokens WHERE removed_at IS NULL"
        assert await _found(connection, alive) == [("a", "first"), ("b", "second"), ("c", "own")]
    await engine.dispose()


async def _found(connection: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in await connection.execute(text(statement)))


async def _as_owner(database: Database, statements: Sequence[str]) -> None:
    engine = create_async_engine(async_url(database.owner_url))
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()
