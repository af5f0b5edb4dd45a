"""Customer events as they were taken; added and read, never changed but by an erasure."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.domain.intake import CustomerEvent

_ADD = text("""
INSERT INTO customer_events
    (source, event_id, event_type, customer_id, occurred_at, recorded_at, attributes, fingerprint)
SELECT e.source, e.event_id, e.event_type, e.customer_id, e.occurred_at, CAST(:recorded_at AS timestamptz),
       CASE WHEN erased.customer_id IS NULL THEN e.attributes::jsonb ELSE '{}' END,
       CASE WHEN erased.customer_id IS NULL THEN e.fingerprint ELSE '' END
FROM unnest(CAST(:sources AS text[]), CAST(:event_ids AS text[]), CAST(:event_types AS text[]),
            CAST(:customer_ids AS text[]), CAST(:occurred_ats AS timestamptz[]), CAST(:attributes AS text[]),
            CAST(:fingerprints AS bytea[]))
     AS e(source, event_id, event_type, customer_id, occurred_at, attributes, fingerprint)
LEFT JOIN erased_customers AS erased ON erased.customer_id = e.customer_id
ON CONFLICT DO NOTHING RETURNING source, event_id
""")
_FINGERPRINTS = text("""
SELECT k.source, k.event_id, k.fingerprint FROM customer_events AS k
JOIN unnest(CAST(:sources AS text[]), CAST(:event_ids AS text[])) AS asked(source, event_id)
  ON k.source = asked.source AND k.event_id = asked.event_id
WHERE NOT EXISTS (SELECT FROM erased_customers WHERE erased_customers.customer_id = k.customer_id)
""")


async def add_events(
    connection: AsyncConnection, events: Sequence[CustomerEvent], recorded_at: datetime
) -> set[tuple[str, str]]:
    """Store events by source and identity; the keys of those that were new. Sorted, so that batches cannot deadlock.
    Of who was erased only that it happened is kept."""
    ordered = sorted(events, key=lambda event: event.key)
    rows = await connection.execute(
        _ADD,
        {
            "recorded_at": recorded_at,
            "sources": [event.source for event in ordered],
            "event_ids": [event.event_id for event in ordered],
            "event_types": [event.event_type for event in ordered],
            "customer_ids": [event.customer_id for event in ordered],
            "occurred_ats": [event.occurred_at for event in ordered],
            "attributes": [orjson.dumps(dict(event.attributes)).decode() for event in ordered],
            "fingerprints": [event.fingerprint for event in ordered],
        },
    )
    return {(source, event_id) for source, event_id in rows}


async def fingerprints(connection: AsyncConnection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """What these events were when they were taken first; nobody knows it of who was erased since."""
    rows = await connection.execute(
        _FINGERPRINTS, {"sources": [source for source, _ in keys], "event_ids": [event_id for _, event_id in keys]}
    )
    return {(source, event_id): fingerprint for source, event_id, fingerprint in rows}
