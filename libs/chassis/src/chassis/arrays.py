"""Columns as the text of PostgreSQL arrays, for the statements that every batch runs.

asyncpg looks at each element of a list several times before it sends it: for a batch of fifty that costs more than what
the batch is about. One string per column costs a tenth, and PostgreSQL reads it about as fast. A statement takes it as
`CAST(:names AS text)::text[]`.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import orjson


def array_of_texts(column: Collection[str | None]) -> str:
    """Every element quoted, so that commas, braces and the word NULL inside one mean themselves."""
    if not column:
        return "{}"
    try:
        inner = '","'.join(column)  # type: ignore[arg-type]  # a None is rare enough to be found by failing
    except TypeError:
        return "{" + ",".join([_quoted(element) for element in column]) + "}"
    if inner.count('"') != 2 * (len(column) - 1) or "\\" in inner:
        return "{" + ",".join([_quoted(element) for element in column]) + "}"
    return '{"' + inner + '"}'


def array_of_bytes(column: Collection[bytes]) -> str:
    """Byte strings, in hexadecimal."""
    return "{" + ",".join([f'"\\\\x{element.hex()}"' for element in column]) + "}"


def array_of_numbers(column: Collection[int | None]) -> str:
    """Integers and booleans."""
    return "{" + str(list(column))[1:-1].replace("None", "NULL") + "}"


def array_of_instants(column: Collection[datetime | None]) -> str:
    """Aware instants; a batch has few different ones."""
    texts = {instant: instant.isoformat() if instant else "NULL" for instant in set(column)}
    return "{" + ",".join([texts[instant] for instant in column]) + "}"


def array_of_documents(column: Collection[Mapping[str, object]]) -> str:
    """JSON objects."""
    return array_of_texts([orjson.dumps(dict(document)).decode() if document else "{}" for document in column])


def _quoted(element: str | None) -> str:
    return "NULL" if element is None else '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'
