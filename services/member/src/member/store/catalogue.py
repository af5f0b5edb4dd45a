"""Documents that operators put (clubs, merchants, items of the shop), each put noted with who put it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, DateTime, Table, Text, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.store.tables import METADATA

catalogue_changes = Table(
    "catalogue_changes",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)


class PutBy(NamedTuple):
    """Who put something, and when it was recorded."""

    subject: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Document:
    """A document on its way into a table whose key is its first column; `others` are columns of a new row."""

    table: Table
    key: str
    content: Mapping[str, Any]
    others: Mapping[str, Any]


async def put_document(connection: AsyncConnection, document: Document, by: PutBy) -> bool:
    """Put a document and note it; one whose content is known already keeps its revision. Returns whether it changed."""
    table, (key, *_) = document.table, list(document.table.primary_key.columns)
    put = upsert(table).values({key.name: document.key, "document": document.content, "revision": 1, **document.others})
    written = await connection.execute(
        put.on_conflict_do_update(
            index_elements=[key],
            set_={"document": put.excluded.document, "revision": table.c.revision + 1},
            where=table.c.document.is_distinct_from(put.excluded.document),
        ).returning(table.c.revision)
    )
    revision = written.scalar_one_or_none()
    if revision is None:
        return False
    await connection.execute(
        insert(catalogue_changes).values(
            kind=table.name,
            document_id=document.key,
            revision=revision,
            document=document.content,
            put_by=by.subject,
            recorded_at=by.recorded_at,
        )
    )
    return True


def content_of(thing: Any, *besides: str) -> dict[str, Any]:
    """A dataclass as JSON holds it, without what other columns say."""
    found = asdict(thing)
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
        if name not in besides
    }


def instant_of(text: str | None) -> datetime | None:
    """An instant as JSON holds it."""
    return None if text is None else datetime.fromisoformat(text)
