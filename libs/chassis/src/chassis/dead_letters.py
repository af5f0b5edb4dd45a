"""Events that could not be handled: kept with their payload and the reason until they are replayed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nats.aio.msg import Msg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ERROR_LENGTH_MAX = 2000
# Identities and names of events; two of them at once fit into a key of the database.
NAME_LENGTH_MAX = 200
_EPOCH = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event put aside, in the order of the table's columns."""

    source: str
    event_id: str
    event_type: str
    subject: str
    payload: bytes
    trace_parent: str
    occurred_at: datetime
    error: str
    attempts: int
    recorded_at: datetime
    replayed_at: datetime | None = None

    @property
    def page_key(self) -> str:
        """Where it stands in a list. Two sources may tell events under one id; no header holds a line break."""
        return f"{self.event_id}\n{self.source}"


_COLUMNS = (
    "source, event_id, event_type, subject, payload, trace_parent, occurred_at, "
    "error, attempts, recorded_at, replayed_at"
)
_PUT = text(f"""
INSERT INTO dead_letters ({_COLUMNS})
VALUES (:source, :event_id, :event_type, :subject, :payload, :trace_parent, :occurred_at, :error, :attempts,
        :recorded_at, NULL)
ON CONFLICT (source, event_id) DO UPDATE
SET error = excluded.error, attempts = dead_letters.attempts + 1, replayed_at = NULL
""")  # noqa: S608 - the columns are a constant
_LIST = text(f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE (replayed_at IS NULL OR :include_replayed)
  AND (event_id, source) > (CAST(:after_event_id AS text), CAST(:after_source AS text))
ORDER BY event_id, source LIMIT :limit
""")  # noqa: S608 - the columns are a constant
_WAITING = text(f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE replayed_at IS NULL AND (CAST(:event_ids AS text[]) = '{{}}' OR event_id = ANY(CAST(:event_ids AS text[])))
ORDER BY recorded_at, event_id
""")  # noqa: S608 - the columns are a constant
_REPLAYED = text(
    "UPDATE dead_letters SET replayed_at = CAST(:now AS timestamptz) WHERE source = :source AND event_id = :event_id"
)


def instant(text: str) -> datetime:
    """A time with its offset from UTC; ValueError for a text that is none."""
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return read


def from_message(message: Msg, error: str, recorded_at: datetime) -> DeadLetter:
    """The letter for a message, whatever state its headers are in."""
    # A text of PostgreSQL cannot hold a NUL; a letter that cannot be stored would come back for ever.
    headers = {name: text.replace("\x00", "")[:NAME_LENGTH_MAX] for name, text in (message.headers or {}).items()}
    where = message.metadata
    try:
        occurred_at = instant(headers.get("ce-time", _EPOCH))
    except ValueError:
        occurred_at = instant(_EPOCH)
    return DeadLetter(
        source=headers.get("ce-source", "unknown"),
        event_id=headers.get("ce-id", f"{where.stream}:{where.sequence.stream}"),
        event_type=headers.get("ce-type", "unknown"),
        subject=message.subject,
        payload=message.data,
        trace_parent=headers.get("traceparent", ""),
        occurred_at=occurred_at,
        error=error.replace("\x00", "")[:_ERROR_LENGTH_MAX],
        attempts=where.num_delivered,
        recorded_at=recorded_at,
    )


async def put(connection: AsyncConnection, letter: DeadLetter) -> None:
    """Stores a letter; the same event put aside again keeps one row."""
    await connection.execute(_PUT, {name: getattr(letter, name) for name in letter.__slots__ if name != "replayed_at"})


async def list_letters(
    connection: AsyncConnection, *, after: str | None, limit: int, include_replayed: bool
) -> list[DeadLetter]:
    """A page by event id, which for events made here is the order of time; `after` is the `page_key` of a letter."""
    event_id, _, source = (after or "").partition("\n")
    parameters = {"after_event_id": event_id, "after_source": source}
    rows = await connection.execute(_LIST, parameters | {"limit": limit, "include_replayed": include_replayed})
    return [DeadLetter(*row) for row in rows]


async def waiting(connection: AsyncConnection, event_ids: Sequence[str]) -> list[DeadLetter]:
    """Letters not replayed yet, oldest first: those named, or all when none is named."""
    return [DeadLetter(*row) for row in await connection.execute(_WAITING, {"event_ids": list(event_ids)})]


async def mark_replayed(connection: AsyncConnection, letter: DeadLetter, now: datetime) -> None:
    """Notes that the event was handled after all."""
    await connection.execute(_REPLAYED, {"now": now, "source": letter.source, "event_id": letter.event_id})
