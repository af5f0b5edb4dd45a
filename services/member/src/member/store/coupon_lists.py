"""Coupons as they are looked for and counted, and what can be proven of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.proof import Check
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.coupon import Act, By, Coupon, CouponId, CouponState, HolderKey
from member.domain.coupon_template import TemplateId
from member.domain.customer import CustomerId, PersonId
from member.store.coupon_books import coupon_from_row
from member.store.coupon_tables import coupon_holders, coupon_steps, coupons
from member.store.tables import customers

STEPS_SHOWN = 500

# What a coupon is at an instant: what has ended by itself counts, whether it is booked yet or not.
_STATE_AT = """
    CASE WHEN state = 'reserved' AND ends_at <= :as_of THEN CASE WHEN valid_to <= :as_of THEN 'expired' ELSE 'open' END
        WHEN state IN ('open', 'unassigned') AND valid_to <= :as_of THEN 'expired'
        ELSE state END
"""

_OF_CUSTOMER = text(f"""
    SELECT * FROM coupons
    WHERE customer_id = :customer_id
        AND (CAST(:template_id AS text) IS NULL OR template_id = :template_id)
        AND (CAST(:until AS timestamptz) IS NULL OR valid_to <= :until)
        AND (CAST(:after_id AS text) IS NULL
            OR (valid_to, coupon_id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS text)))
        AND {_STATE_AT} = ANY(CAST(:states AS text[]))
    ORDER BY valid_to, coupon_id LIMIT :limit
""")  # noqa: S608 - made of constants

_FIGURES = text(f"""
    SELECT state, count(*) AS coupons, coalesce(sum(discount_minor), 0)::bigint AS discount_minor
    FROM (SELECT {_STATE_AT} AS state, discount_minor FROM coupons WHERE template_id = :template_id) AS counted
    GROUP BY state
""")  # noqa: S608 - made of constants

_PROOFS = {
    "coupons: the stock counted is the coupons that are there": """
        SELECT template_id AS offender FROM coupon_templates AS template
        WHERE issued_max > 0 AND issued <> (SELECT count(*) FROM coupons WHERE template_id = template.template_id)
            OR used_max > 0 AND used <> (
                SELECT count(*) FROM coupons WHERE template_id = template.template_id AND order_id IS NOT NULL)
    """,
    "coupons: what a member has had is the coupons that are there": """
        SELECT concat_ws(' ', template_id, customer_id, person_id) AS offender
        FROM (SELECT template_id, customer_id, person_id, count(*) AS issued FROM coupons
              WHERE customer_id IS NOT NULL GROUP BY 1, 2, 3) AS held
        FULL JOIN (SELECT * FROM coupon_holders WHERE issued > 0) AS counted
            USING (template_id, customer_id, person_id)
        WHERE held.issued IS DISTINCT FROM counted.issued
    """,
    "coupons: each is where its last step left it, and no step is missing": """
        SELECT coupons.coupon_id AS offender FROM coupons
        LEFT JOIN LATERAL (
            SELECT count(*) AS steps, max(revision) AS last, (array_agg(act ORDER BY revision DESC))[1] AS act,
                (array_agg(order_id ORDER BY revision DESC))[1] AS order_id
            FROM coupon_steps WHERE coupon_steps.coupon_id = coupons.coupon_id
        ) AS happened ON true
        WHERE happened.steps <> coupons.revision OR happened.last IS DISTINCT FROM coupons.revision
            OR coupons.order_id IS NOT NULL AND coupons.order_id <> happened.order_id
            OR coupons.state IS DISTINCT FROM CASE happened.act
                WHEN 'listed' THEN 'unassigned' WHEN 'reserved' THEN 'reserved' WHEN 'redeemed' THEN 'redeemed'
                WHEN 'expired' THEN 'expired' WHEN 'voided' THEN 'void' ELSE 'open' END
    """,
    "coupons: none is redeemed twice without a reversal between": """
        SELECT coupon_id AS offender FROM (
            SELECT coupon_id, act, lag(act) OVER (PARTITION BY coupon_id ORDER BY revision) AS before
            FROM coupon_steps WHERE act IN ('redeemed', 'reversed')
        ) AS spent WHERE act = before OR act = 'reversed' AND before IS NULL
    """,
    "coupons: none is given after it was withdrawn or had expired": """
        SELECT coupon_id AS offender FROM (
            SELECT coupon_id, act, lead(act) OVER (PARTITION BY coupon_id ORDER BY revision) AS following
            FROM coupon_steps
        ) AS ended WHERE act IN ('expired', 'voided') AND following IS NOT NULL
    """,
}


@dataclass(frozen=True, slots=True)
class CouponFilter:
    """Which coupons of a customer: in these states at `as_of`, of a template, good no longer than to `until`."""

    customer_id: CustomerId
    states: Collection[CouponState]
    as_of: datetime
    template_id: TemplateId | None = None
    until: datetime | None = None


class StepRecord(NamedTuple):
    """One thing that happened to a coupon, as it was written down."""

    revision: int
    act: Act
    order_id: str
    discount_minor: int
    by: By
    occurred_at: datetime
    recorded_at: datetime


async def due_coupons(connection: AsyncConnection, as_of: datetime, *, limit: int) -> list[CouponId]:
    """Coupons that change by themselves by an instant, the first due first."""
    asked = select(coupons.c.coupon_id).where(coupons.c.due_at <= as_of)
    found = await connection.execute(asked.order_by(coupons.c.due_at, coupons.c.coupon_id).limit(limit))
    return [CouponId(row.coupon_id) for row in found]


async def list_coupons(
    connection: AsyncConnection, wanted: CouponFilter, *, after: tuple[datetime, str] | None, limit: int
) -> list[Coupon]:
    """A customer's coupons, the soonest to expire first, as they are at the filter's instant."""
    asked = {
        "customer_id": wanted.customer_id,
        "states": [each.value for each in wanted.states],
        "as_of": wanted.as_of,
        "template_id": wanted.template_id,
        "until": wanted.until,
        "after_at": after[0] if after else None,
        "after_id": after[1] if after else None,
        "limit": limit,
    }
    return [coupon_from_row(row).at(wanted.as_of) for row in await connection.execute(_OF_CUSTOMER, asked)]


async def find_coupons(connection: AsyncConnection, ids: Collection[str], codes: Collection[str]) -> list[Coupon]:
    """Coupons by their ids and their codes, as they are stored."""
    if not ids and not codes:
        return []
    found = await connection.execute(
        select(coupons).where(coupons.c.coupon_id.in_(list(ids)) | coupons.c.code.in_(list(codes)))
    )
    return [coupon_from_row(row) for row in found]


async def uses_of(connection: AsyncConnection, customer_id: CustomerId, templates: Collection[str]) -> list[Coupon]:
    """Coupons of these templates that the customer has reserved or redeemed."""
    if not templates:
        return []
    found = await connection.execute(
        select(coupons).where(
            coupons.c.customer_id == customer_id,
            coupons.c.template_id.in_(list(templates)),
            coupons.c.order_id.is_not(None),
        )
    )
    return [coupon_from_row(row) for row in found]


async def known_customer(connection: AsyncConnection, customer_id: CustomerId) -> dict[CustomerId, set[PersonId]]:
    """The customer, where there is one; its persons are not asked for."""
    found = await connection.execute(select(customers.c.customer_id).where(customers.c.customer_id == customer_id))
    return {CustomerId(row.customer_id): set() for row in found}


async def issued_to(
    connection: AsyncConnection, customer_id: CustomerId, templates: Collection[TemplateId]
) -> dict[HolderKey, int]:
    """How many coupons of these templates the customer, and each of its persons, has had."""
    if not templates:
        return {}
    table = coupon_holders.c
    found = await connection.execute(
        select(coupon_holders).where(table.customer_id == customer_id, table.template_id.in_(list(templates)))
    )
    return {HolderKey(TemplateId(row.template_id), customer_id, PersonId(row.person_id)): row.issued for row in found}


async def count_lapsed(
    connection: AsyncConnection, templates: Collection[TemplateId], at: datetime
) -> dict[TemplateId, int]:
    """How many reservations of coupons of these templates have ended by themselves and are not booked yet."""
    if not templates:
        return {}
    found = await connection.execute(
        select(coupons.c.template_id, func.count().label("lapsed"))
        .where(
            coupons.c.template_id.in_(list(templates)),
            coupons.c.state == CouponState.RESERVED.value,
            coupons.c.due_at <= at,
        )
        .group_by(coupons.c.template_id)
    )
    return {TemplateId(row.template_id): row.lapsed for row in found}


async def list_steps(connection: AsyncConnection, coupon_id: CouponId) -> list[StepRecord]:
    """What happened to a coupon, oldest first, as far as is shown."""
    asked = select(coupon_steps).where(coupon_steps.c.coupon_id == coupon_id)
    return [
        StepRecord(
            row.revision,
            Act(row.act),
            row.order_id,
            row.discount_minor,
            By(row.reason, row.actor),
            row.occurred_at,
            row.recorded_at,
        )
        for row in await connection.execute(asked.order_by(coupon_steps.c.revision).limit(STEPS_SHOWN))
    ]


async def count_by_state(
    connection: AsyncConnection, template_id: TemplateId, as_of: datetime
) -> dict[CouponState, tuple[int, int]]:
    """How many coupons of the template are in each state at an instant, and the discount that they give."""
    found = await connection.execute(_FIGURES, {"template_id": template_id, "as_of": as_of})
    return {CouponState(row.state): (row.coupons, row.discount_minor) for row in found}


async def prove(connection: AsyncConnection) -> list[Check]:
    """What is claimed of coupons, asked of their tables."""
    examined = (await connection.execute(text("SELECT count(*) FROM coupons"))).scalar_one()
    checks = []
    for claim, statement in _PROOFS.items():
        found = await connection.execute(text(f"{statement} ORDER BY 1 LIMIT 10"))
        offenders = tuple(str(row.offender) for row in found)
        checks.append(Check(claim, not offenders, examined, offenders))
    return checks
