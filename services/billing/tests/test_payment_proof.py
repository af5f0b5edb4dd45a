"""The proof of payments sees damage that only the database's owner can do."""

from collections.abc import AsyncIterator

import pytest
from chassis.database import async_url
from chassis.testing import Database
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from touchstone.billing.v1 import payment_service_pb2 as pb

from services.billing.tests.calls import AT, cny
from services.billing.tests.payments import Paying, said

# What an owner without care may do, and the beginning of the claim that is then broken.
DAMAGE = {
    "a payment of another amount": (
        "UPDATE payments SET amount_minor = amount_minor + 1 WHERE state = 'succeeded'",
        "a payment that succeeded",
    ),
    "a payment that names another transaction": (
        "UPDATE payments SET transaction_id = 'recharge:x' || payment_id WHERE state = 'succeeded'",
        "a payment that succeeded",
    ),
    "a refund of another amount": ("UPDATE payment_refunds SET amount_minor = 19_99", "refunds that were given"),
    "a refund that was not given": (
        "UPDATE payment_refunds SET state = 'declined', transaction_id = NULL",
        "refunds that were given",
    ),
    "more given back than was paid": ("UPDATE payment_refunds SET amount_minor = 90_00", "no more is given back"),
    "a payment that stands elsewhere": (
        "UPDATE payments SET state = 'expired', settled_at = now(), next_ask_at = NULL WHERE state = 'pending'",
        "a payment stands where",
    ),
    "a charge-back that is gone": (
        "ALTER TABLE payment_chargebacks DISABLE TRIGGER USER; DELETE FROM payment_chargebacks",
        "charge-backs and what",
    ),
}


@pytest.fixture
async def owner(fresh: Database) -> AsyncIterator[AsyncEngine]:
    """The database with its owner's login."""
    engine = create_async_engine(async_url(fresh.owner_url))
    yield engine
    await engine.dispose()


async def test_damage_to_payments_is_seen(paying: Paying, owner: AsyncEngine) -> None:
    first, second = await paying.create("create-1"), await paying.create("create-2")
    await paying.create("create-3")
    for number, payment in enumerate((first, second)):
        await paying.hear(said(payment, "payment.succeeded"), f"wh-{number}")
    await paying.hear(said(second, "chargeback.opened", sequence=3), "wh-3")
    paying.provider.answer = lambda path, read: {"status": "accepted"}
    paying.provider.status = 202
    asked = pb.RefundPaymentRequest(
        request_id="refund-1", payment_id=first.payment_id, amount=cny(20_00), reason="r", occurred_at=AT
    )
    (refund,) = (await paying.calls.payments.RefundPayment(asked)).payment.refunds
    given = said(first, "refund.succeeded", refund_id=refund.refund_id, amount_minor=20_00, sequence=4)
    await paying.hear(given, "wh-4")
    assert await paying.broken() == []
    for what, (damage, claim) in DAMAGE.items():
        async with owner.connect() as connection:
            for statement in damage.split("; "):
                await connection.execute(text(statement))
            broken = [check.claim for check in await paying.broken_in(connection)]
            await connection.rollback()
        assert any(each.startswith(claim) for each in broken), (what, broken)
