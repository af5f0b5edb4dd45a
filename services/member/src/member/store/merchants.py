"""Alliance merchants, who acts for them, and the codes by which they know members."""

from datetime import datetime
from typing import Any

from chassis.calendar import EARLIEST, Period
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    delete,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.membership import MemberId
from member.domain.merchant import (
    MemberCode,
    Merchant,
    MerchantId,
    MerchantShop,
    SubjectTaken,
    TierDiscount,
    Verification,
    VerificationId,
)
from member.domain.program import ProgramId
from member.store.catalogue import Document, PutBy, content_of, instant_of, put_document
from member.store.tables import METADATA

merchants = Table(
    "merchants",
    METADATA,
    Column("merchant_id", Text, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("closed_until", DateTime(timezone=True), nullable=False, comment="nothing before it is settled any more"),
    Column("revision", BigInteger, nullable=False),
)

merchant_subjects = Table(
    "merchant_subjects",
    METADATA,
    Column("subject", Text, primary_key=True, comment="subject of a token that acts for the merchant"),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Index("merchant_subjects_by_merchant", "merchant_id"),
)

member_codes = Table(
    "member_codes",
    METADATA,
    Column("member_id", Text, ForeignKey("members.member_id"), primary_key=True),
    Column("code_id", Text, nullable=False),
    Column("code_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    comment="The one code of a member that is good; a code that was verified is here no longer.",
)

code_failures = Table(
    "code_failures",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("failures", Integer, nullable=False),
)

merchant_verifications = Table(
    "merchant_verifications",
    METADATA,
    Column("verification_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("shop_id", Text, nullable=False),
    Column("tier_id", Text, nullable=False),
    Column("tier_name", Text, nullable=False),
    Column("discount_basis_points", Integer, nullable=False),
    Column("verified_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

# The row of a subject is there and locked, whether it was before or not, so that guesses are counted one by one.
_FAILURES_FOR_UPDATE = text("""
    INSERT INTO code_failures AS known (subject, window_start, failures) VALUES (:subject, :now, 0)
    ON CONFLICT (subject) DO UPDATE SET
        window_start = CASE WHEN known.window_start <= :before THEN :now ELSE known.window_start END,
        failures = CASE WHEN known.window_start <= :before THEN 0 ELSE known.failures END
    RETURNING window_start, failures
""")


async def put_merchant(connection: AsyncConnection, merchant: Merchant, by: PutBy) -> Merchant:
    """Put what is agreed with a merchant, and who acts for it; SubjectTaken where a subject acts for another."""
    content = content_of(merchant, "merchant_id", "revision")
    document = Document(merchants, merchant.merchant_id, content, others={"closed_until": EARLIEST})
    await put_document(connection, document, by)
    await _put_subjects(connection, merchant)
    found = await find_merchant(connection, merchant.merchant_id)
    assert found is not None
    return found


async def find_merchant(connection: AsyncConnection, merchant_id: str) -> Merchant | None:
    """The merchant, or None."""
    row = (await connection.execute(select(merchants).where(merchants.c.merchant_id == merchant_id))).one_or_none()
    return None if row is None else _merchant(row)


async def find_merchant_of(connection: AsyncConnection, subject: str) -> Merchant | None:
    """The merchant that a subject acts for, or None."""
    asked = select(merchants).join(merchant_subjects, merchant_subjects.c.merchant_id == merchants.c.merchant_id)
    row = (await connection.execute(asked.where(merchant_subjects.c.subject == subject))).one_or_none()
    return None if row is None else _merchant(row)


async def list_merchants(connection: AsyncConnection, *, after: str | None, limit: int) -> list[Merchant]:
    """Merchants in the order of their ids, from the one behind `after` on."""
    asked = select(merchants).order_by(merchants.c.merchant_id).limit(limit)
    if after is not None:
        asked = asked.where(merchants.c.merchant_id > after)
    return [_merchant(row) for row in await connection.execute(asked)]


async def put_code(connection: AsyncConnection, code: MemberCode) -> None:
    """Keep the member's code in place of the one before."""
    put = upsert(member_codes).values(
        member_id=code.member_id, code_id=code.code_id, code_hash=code.code_hash, expires_at=code.expires_at
    )
    changing = ("code_id", "code_hash", "expires_at")
    await connection.execute(
        put.on_conflict_do_update(
            index_elements=[member_codes.c.member_id], set_={name: put.excluded[name] for name in changing}
        )
    )


async def find_code_for_update(connection: AsyncConnection, code_hash: bytes) -> MemberCode | None:
    """The code with this hash, which nobody else verifies until the transaction ends; None where there is none."""
    asked = select(member_codes).where(member_codes.c.code_hash == code_hash).with_for_update()
    row = (await connection.execute(asked)).one_or_none()
    if row is None:
        return None
    return MemberCode(row.code_id, MemberId(row.member_id), row.code_hash, row.expires_at)


async def use_code(connection: AsyncConnection, code: MemberCode) -> None:
    """Take away a code that was verified: there is no second time."""
    await connection.execute(delete(member_codes).where(member_codes.c.code_hash == code.code_hash))


async def failures_for_update(
    connection: AsyncConnection, subject: str, now: datetime, *, before: datetime
) -> tuple[datetime, int]:
    """When a subject's present window of wrong codes began, and how many there were; one that began at or before
    `before` is over. Locked, so that guesses made side by side are counted one after the other."""
    asked = {"subject": subject, "now": now, "before": before}
    row = (await connection.execute(_FAILURES_FOR_UPDATE, asked)).one()
    return row.window_start, row.failures


async def count_failure(connection: AsyncConnection, subject: str) -> None:
    """One more wrong code of a subject."""
    counted = update(code_failures).where(code_failures.c.subject == subject)
    await connection.execute(counted.values(failures=code_failures.c.failures + 1))


async def insert_verification(connection: AsyncConnection, verification: Verification) -> None:
    """Note that a merchant saw a member's code."""
    values = content_of(verification)
    values |= {"verified_at": verification.verified_at, "expires_at": verification.expires_at}
    await connection.execute(upsert(merchant_verifications).values(values))


async def find_verification(connection: AsyncConnection, verification_id: VerificationId) -> Verification | None:
    """The verification, or None."""
    asked = select(merchant_verifications).where(merchant_verifications.c.verification_id == verification_id)
    row = (await connection.execute(asked)).mappings().one_or_none()
    return None if row is None else Verification(**row)


async def _put_subjects(connection: AsyncConnection, merchant: Merchant) -> None:
    ours = merchant_subjects.c.merchant_id == merchant.merchant_id
    await connection.execute(
        delete(merchant_subjects).where(ours, merchant_subjects.c.subject.not_in(merchant.subjects))
    )
    if not merchant.subjects:
        return
    new = [{"subject": each, "merchant_id": merchant.merchant_id} for each in sorted(merchant.subjects)]
    await connection.execute(upsert(merchant_subjects).values(new).on_conflict_do_nothing())
    named = merchant_subjects.c.subject.in_(merchant.subjects)
    foreign = select(merchant_subjects.c.subject).where(named, ~ours).order_by(merchant_subjects.c.subject).limit(1)
    taken = (await connection.execute(foreign)).scalar_one_or_none()
    if taken is not None:
        raise SubjectTaken(taken)


def _merchant(row: Row[Any]) -> Merchant:
    document: dict[str, Any] = dict(row.document)
    valid_from = instant_of(document.pop("valid_from"))
    assert valid_from is not None
    return Merchant(
        MerchantId(row.merchant_id),
        document.pop("display_name"),
        document.pop("contact"),
        tuple(MerchantShop(**each) for each in document.pop("shops")),
        tuple(document.pop("subjects")),
        ProgramId(document.pop("program_id")),
        tuple(TierDiscount(**each) for each in document.pop("discounts")),
        product_families=tuple(document.pop("product_families")),
        settlement_period=Period(document.pop("settlement_period")),
        valid_from=valid_from,
        valid_until=instant_of(document.pop("valid_until")),
        revision=row.revision,
        **document,
    )
