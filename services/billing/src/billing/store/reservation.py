"""Reservations in the database. Their money is the ledger's; a row says where a reservation stands."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, ChargeId, CustomerId
from billing.domain.reservation import Reservation, ReservationId, ReservationState
from billing.store.posting import account_of, balance_of

_ADD = """
INSERT INTO reservations (reservation_id, account_id, asked_minor, granted_minor, description, occurred_at, expires_at,
                          final, state, recorded_at)
SELECT n.reservation_id, n.account_id, n.asked_minor, n.granted_minor, n.description, n.occurred_at, n.expires_at,
       n.granted_minor < n.asked_minor, 'open', $1::timestamptz
FROM unnest($2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::bigint[], $6::text::text[],
            $7::text::timestamptz[], $8::text::timestamptz[]) WITH ORDINALITY
     AS n(reservation_id, account_id, asked_minor, granted_minor, description, occurred_at, expires_at, position)
ORDER BY n.position
"""
_END = """
UPDATE reservations r SET state = n.state, committed_minor = n.committed_minor, overrun_minor = n.overrun_minor,
       charge_id = n.charge_id, ended_at = n.ended_at
FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::bigint[], $5::text::text[],
            $6::text::timestamptz[])
     AS n(reservation_id, state, committed_minor, overrun_minor, charge_id, ended_at)
WHERE r.reservation_id = n.reservation_id
"""
_SELECT = """
SELECT r.reservation_id, r.account_id, a.customer_id, a.currency, r.asked_minor, r.granted_minor, r.expires_at,
       r.description, r.occurred_at, r.committed_minor, r.overrun_minor,
       CASE WHEN r.state = 'open' AND h.state = 'expired' THEN 'expired' ELSE r.state END AS state, r.charge_id,
       coalesce(r.ended_at, CASE WHEN h.state = 'expired' THEN r.expires_at END) AS ended_at, r.number
FROM reservations r JOIN accounts a USING (account_id)
LEFT JOIN ledger_holds h ON r.state = 'open' AND h.id = 'reservation:' || r.reservation_id
"""
_FIND = f"{_SELECT} WHERE r.reservation_id = ANY($1::text::text[])"
_LIST = f"""{_SELECT}
WHERE r.account_id = $1 AND r.number < $2
  AND ($3::text IS NULL
       OR CASE WHEN r.state = 'open' AND h.state = 'expired' THEN 'expired' ELSE r.state END = $3::text)
ORDER BY r.number DESC LIMIT $4
"""
_SPENDABLE = "SELECT id, greatest(balance - held - floor, 0) FROM ledger_accounts WHERE id = ANY($1::text::text[])"
_NUMBER_LAST = 2**63 - 1


class ReservationFilter(NamedTuple):
    """Which reservations to list; None does not restrict."""

    account_id: AccountId
    state: ReservationState | None


class Numbered(NamedTuple):
    """A reservation with its number, in the order of recording."""

    number: int
    reservation: Reservation


async def add_reservations(
    connection: AsyncConnection, reservations: Sequence[Reservation], recorded_at: datetime
) -> None:
    """Adds what was granted, in this order."""
    if not reservations:
        return
    await fetch(
        connection,
        _ADD,
        recorded_at,
        array_of_texts([each.reservation_id for each in reservations]),
        array_of_texts([each.account_id for each in reservations]),
        array_of_numbers([each.asked.minor_units for each in reservations]),
        array_of_numbers([each.granted.minor_units for each in reservations]),
        array_of_texts([each.description for each in reservations]),
        array_of_instants([each.occurred_at for each in reservations]),
        array_of_instants([each.expires_at for each in reservations]),
    )


async def end_reservations(connection: AsyncConnection, ended: Sequence[Reservation]) -> None:
    """Stores how reservations of locked accounts ended."""
    if not ended:
        return
    await fetch(
        connection,
        _END,
        array_of_texts([each.reservation_id for each in ended]),
        array_of_texts([each.state for each in ended]),
        array_of_numbers([each.committed.minor_units for each in ended]),
        array_of_numbers([each.overrun.minor_units for each in ended]),
        array_of_texts([each.charge_id for each in ended]),
        array_of_instants([each.ended_at for each in ended]),
    )


async def find_reservations(
    connection: AsyncConnection, reservation_ids: Iterable[ReservationId]
) -> dict[ReservationId, Reservation]:
    """Those of the reservations that exist, as they stand. One whose end the ledger has booked is expired."""
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(reservation_ids))))
    return {reservation.reservation_id: reservation for reservation in map(_reservation, rows)}


async def list_reservations(
    connection: AsyncConnection, wanted: ReservationFilter, *, before: int | None, limit: int
) -> list[Numbered]:
    """At most `limit` reservations whose number lies below `before`, newest first."""
    rows = await fetch(connection, _LIST, wanted.account_id, before or _NUMBER_LAST, wanted.state, limit)
    return [Numbered(row["number"], _reservation(row)) for row in rows]


async def spendable_minor(connection: AsyncConnection, account_ids: Iterable[AccountId]) -> dict[AccountId, int]:
    """What can be taken from locked accounts, the credit limit included."""
    rows = await fetch(connection, _SPENDABLE, array_of_texts(sorted(map(balance_of, account_ids))))
    return {account_of(balance): left_minor for balance, left_minor in rows}


def _reservation(row: Any) -> Reservation:
    currency = row["currency"]
    return Reservation(
        reservation_id=ReservationId(row["reservation_id"]),
        account_id=AccountId(row["account_id"]),
        customer_id=CustomerId(row["customer_id"]),
        asked=Money(row["asked_minor"], currency),
        granted=Money(row["granted_minor"], currency),
        expires_at=row["expires_at"],
        description=row["description"],
        occurred_at=row["occurred_at"],
        committed=Money(row["committed_minor"], currency),
        overrun=Money(row["overrun_minor"], currency),
        state=ReservationState(row["state"]),
        charge_id=ChargeId(row["charge_id"]) if row["charge_id"] else None,
        ended_at=row["ended_at"],
    )
