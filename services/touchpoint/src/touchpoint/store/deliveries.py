"""Webhook endpoints, and the queue of deliveries with its leases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from touchpoint.domain.delivery import Answer, Delivery, DeliveryState, Endpoint, Verdict
from touchpoint.domain.identity import ContactId, DeliveryId, EndpointId, PartnerId, TouchpointCode
from touchpoint.store.tables import deliveries, delivery_attempts, endpoints

_QUEUE = text("""
INSERT INTO deliveries (delivery_id, endpoint_id, message_type, contact_id, next_attempt_at, occurred_at, recorded_at)
SELECT q.delivery_id, q.endpoint_id, q.message_type, q.contact_id, CAST(:recorded_at AS timestamptz), q.occurred_at,
       CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:delivery_ids AS text[]), CAST(:endpoint_ids AS text[]), CAST(:message_types AS text[]),
            CAST(:contact_ids AS text[]), CAST(:occurred_ats AS timestamptz[]))
     AS q(delivery_id, endpoint_id, message_type, contact_id, occurred_at)
""")

_DUE = """
    state = 'pending' AND next_attempt_at <= CAST(:now AS timestamptz)
    AND (lease_until IS NULL OR lease_until <= CAST(:now AS timestamptz))
"""

# Whoever holds an endpoint's row hands out its slots; a second claimer passes it by. The slots are counted by the next
# statement, which therefore sees what the holder before has handed out.
_LOCK_ENDPOINTS = text(f"""
SELECT endpoint_id FROM endpoints e
WHERE NOT disabled AND EXISTS (SELECT FROM deliveries d WHERE d.endpoint_id = e.endpoint_id AND {_DUE})
ORDER BY endpoint_id FOR NO KEY UPDATE SKIP LOCKED
""")  # noqa: S608 - the parts are constants of this module
_CLAIM = text(f"""
WITH due AS MATERIALIZED (
    SELECT d.delivery_id FROM unnest(CAST(:endpoint_ids AS text[])) AS e(endpoint_id)
    CROSS JOIN LATERAL (
        SELECT delivery_id, next_attempt_at FROM deliveries
        WHERE endpoint_id = e.endpoint_id AND {_DUE}
        ORDER BY next_attempt_at, delivery_id
        LIMIT greatest(0, CAST(:slots AS bigint) - (
            SELECT count(*) FROM deliveries
            WHERE endpoint_id = e.endpoint_id AND lease_until > CAST(:now AS timestamptz)))
        FOR UPDATE SKIP LOCKED) AS d
    ORDER BY d.next_attempt_at LIMIT :limit
)
UPDATE deliveries SET lease_owner = :owner, lease_until = CAST(:until AS timestamptz)
WHERE delivery_id = ANY(ARRAY(SELECT delivery_id FROM due)) AND {_DUE}
RETURNING delivery_id
""")  # noqa: S608 - the parts are constants of this module


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may send the deliveries it claims, from when until when (system time)."""

    owner: str
    now: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery claimed for sending, with where to and the secret to sign with."""

    delivery: Delivery
    url: str
    secret: str = field(repr=False)


async def add_endpoint(connection: AsyncConnection, endpoint: Endpoint, secret: str, recorded_at: datetime) -> None:
    """Stores a new endpoint with its signing secret."""
    await connection.execute(
        insert(endpoints).values(
            endpoint_id=endpoint.endpoint_id,
            partner_id=endpoint.partner_id,
            url=endpoint.url,
            touchpoints=list(endpoint.touchpoints),
            secret=secret,
            disabled=endpoint.disabled,
            recorded_at=recorded_at,
        )
    )


async def switch_endpoint(connection: AsyncConnection, endpoint_id: EndpointId, *, disabled: bool) -> Endpoint | None:
    """Switches an endpoint off or on; None when there is none."""
    switched = (
        update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(disabled=disabled).returning(endpoints)
    )
    row = (await connection.execute(switched)).one_or_none()
    return None if row is None else _endpoint(row)


async def list_endpoints(
    connection: AsyncConnection, partner_id: PartnerId | None, *, size: int, after: str | None
) -> list[Endpoint]:
    """A page of endpoints in the order they were registered, of one partner or of all."""
    query = select(endpoints).order_by(endpoints.c.endpoint_id).limit(size)
    if partner_id is not None:
        query = query.where(endpoints.c.partner_id == partner_id)
    if after is not None:
        query = query.where(endpoints.c.endpoint_id > after)
    return [_endpoint(row) for row in await connection.execute(query)]


async def load_endpoints_of(connection: AsyncConnection, touchpoint: TouchpointCode) -> list[EndpointId]:
    """The endpoints that listen to a touchpoint; a disabled one too, since its queue is kept."""
    rows = await connection.execute(
        select(endpoints.c.endpoint_id)
        .where(endpoints.c.touchpoints.contains([touchpoint]))
        .order_by(endpoints.c.endpoint_id)
    )
    return [EndpointId(row.endpoint_id) for row in rows]


async def queue_deliveries(connection: AsyncConnection, queued: Sequence[Delivery], recorded_at: datetime) -> None:
    """Puts deliveries in the queue, due at once."""
    await connection.execute(
        _QUEUE,
        {
            "delivery_ids": [one.delivery_id for one in queued],
            "endpoint_ids": [one.endpoint_id for one in queued],
            "message_types": [one.message_type for one in queued],
            "contact_ids": [one.contact_id for one in queued],
            "occurred_ats": [one.occurred_at for one in queued],
            "recorded_at": recorded_at,
        },
    )


async def claim_deliveries(
    connection: AsyncConnection, lease: Lease, *, limit: int, slots_per_endpoint: int
) -> list[ClaimedDelivery]:
    """Leases due deliveries of enabled endpoints, the longest due first, within each endpoint's slots."""
    now = {"now": lease.now}
    ready = [row.endpoint_id for row in await connection.execute(_LOCK_ENDPOINTS, now)]
    if not ready:
        return []
    asked = {"endpoint_ids": ready, "slots": slots_per_endpoint, "limit": limit}
    claimed = await connection.execute(_CLAIM, now | asked | {"owner": lease.owner, "until": lease.until})
    return await _load_claimed(connection, [row.delivery_id for row in claimed])


async def _load_claimed(connection: AsyncConnection, delivery_ids: Iterable[str]) -> list[ClaimedDelivery]:
    rows = await connection.execute(
        select(deliveries, endpoints.c.url, endpoints.c.secret)
        .join(endpoints, endpoints.c.endpoint_id == deliveries.c.endpoint_id)
        .where(deliveries.c.delivery_id == func.any(list(delivery_ids)))
        .order_by(deliveries.c.next_attempt_at, deliveries.c.delivery_id)
    )
    return [ClaimedDelivery(_delivery(row), row.url, row.secret) for row in rows]


async def load_delivery_for_update(
    connection: AsyncConnection, delivery_id: DeliveryId, *, leased_by: str | None = None
) -> Delivery | None:
    """The delivery, locked; with `leased_by` only while that owner's lease was not taken over by another."""
    query = select(deliveries).where(deliveries.c.delivery_id == delivery_id).with_for_update()
    if leased_by is not None:
        query = query.where(deliveries.c.lease_owner == leased_by)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _delivery(row)


async def save_attempt(
    connection: AsyncConnection, delivery: Delivery, answer: Answer, *, verdict: Verdict, recorded_at: datetime
) -> None:
    """Appends the attempt that brought `delivery` to its count, and gives the lease back."""
    await connection.execute(
        insert(delivery_attempts).values(
            delivery_id=delivery.delivery_id,
            attempt=delivery.attempts,
            status=answer.status,
            error=answer.error,
            duration_ms=answer.duration_ms,
            recorded_at=recorded_at,
        )
    )
    values = {
        "state": verdict.state,
        "attempts": delivery.attempts,
        "last_status": answer.status,
        "last_error": answer.error,
        "lease_owner": None,
        "lease_until": None,
        "delivered_at": delivery.delivered_at,
    }
    if verdict.wait is not None:
        values["next_attempt_at"] = recorded_at + verdict.wait
    await connection.execute(update(deliveries).where(deliveries.c.delivery_id == delivery.delivery_id).values(values))


async def requeue_delivery(connection: AsyncConnection, delivery: Delivery, recorded_at: datetime) -> None:
    """Makes a delivery wait again, due at once; a lease that is held stays with its holder."""
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.delivery_id == delivery.delivery_id)
        .values(
            state=delivery.state,
            attempts_before=delivery.attempts_before,
            delivered_at=delivery.delivered_at,
            next_attempt_at=recorded_at,
        )
    )


async def list_deliveries(
    connection: AsyncConnection, filters: "DeliveryFilter", *, size: int, after: str | None
) -> tuple[list[Delivery], int]:
    """A page of deliveries, newest first, and how many there are in all under the filter."""
    query = select(deliveries).where(*filters.conditions()).order_by(deliveries.c.delivery_id.desc()).limit(size)
    if after is not None:
        query = query.where(deliveries.c.delivery_id < after)
    page = [_delivery(row) for row in await connection.execute(query)]
    total = select(func.count()).select_from(deliveries).where(*filters.conditions())
    return page, int((await connection.execute(total)).scalar_one())


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; None lets all through."""

    endpoint_id: EndpointId | None = None
    state: DeliveryState | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL."""
        wanted = []
        if self.endpoint_id is not None:
            wanted.append(deliveries.c.endpoint_id == self.endpoint_id)
        if self.state is not None:
            wanted.append(deliveries.c.state == self.state)
        return wanted


def _endpoint(row: Row[tuple[object, ...]]) -> Endpoint:
    return Endpoint(
        endpoint_id=EndpointId(row.endpoint_id),
        partner_id=PartnerId(row.partner_id),
        url=row.url,
        touchpoints=tuple(TouchpointCode(code) for code in row.touchpoints),
        disabled=row.disabled,
    )


def _delivery(row: Row[tuple[object, ...]]) -> Delivery:
    return Delivery(
        delivery_id=DeliveryId(row.delivery_id),
        endpoint_id=EndpointId(row.endpoint_id),
        message_type=row.message_type,
        contact_id=ContactId(row.contact_id),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        attempts_before=row.attempts_before,
        last_status=row.last_status,
        last_error=row.last_error,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        delivered_at=row.delivered_at,
    )
