"""The very statements of a use case, written down while it runs, as a script for pgbench.

The use case is carried out once on a sample whose names carry the marks CLIENT and NUMBER and whose counters stand at
numbers that occur nowhere else. What the driver sent is then a script in which pgbench's own variables stand for the
marks and the counters: every client works on accounts of its own, every transaction with names of its own. Arguments
are never constants, which PostgreSQL would read once when it plans.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from asyncpg.connection import LoggedQuery
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

CLIENT, NUMBER = "C#", "N#"


class Sent(NamedTuple):
    """A statement and its arguments."""

    statement: str
    arguments: Sequence[Any]


@asynccontextmanager
async def written_down(engine: AsyncEngine) -> AsyncIterator[list[Sent]]:
    """What is sent while the block lasts, but for the beginning and the end of transactions: through SQLAlchemy, which
    prepares statements itself, and past it, straight to the driver."""
    sent: list[Sent] = []
    through = ("before_cursor_execute", lambda *given: sent.append(Sent(given[2], given[3])))
    logging = ("checkout", lambda connection, *_: connection.driver_connection.add_query_logger(note))
    silent = ("checkin", lambda connection, *_: connection.driver_connection.remove_query_logger(note))

    def note(query: LoggedQuery) -> None:
        if query.query.strip("; ") not in ("BEGIN", "COMMIT", "ROLLBACK") and query.args:
            sent.append(Sent(query.query, query.args))

    event.listen(engine.sync_engine, *through)
    event.listen(engine.sync_engine.pool, *logging)
    event.listen(engine.sync_engine.pool, *silent)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, *through)
        event.remove(engine.sync_engine.pool, *logging)
        event.remove(engine.sync_engine.pool, *silent)


@contextmanager
def naming(module: Any, names: Iterator[str]) -> Iterator[None]:
    """While it lasts, what the module makes is named by us, so that the names carry the marks."""
    made = module.new_id
    module.new_id = lambda: next(names)
    try:
        yield
    finally:
        module.new_id = made


def script_of(sent: Sequence[Sent], counters: Mapping[int, str]) -> str:
    """A transaction of pgbench that sends the same; `counters` says which expression of `:n`, which counts a client's
    transactions from 0, stands for which number of the sample."""
    settings = [r"\set n :n + 1"]
    names: dict[str, str] = {}
    for place, (number, expression) in enumerate(counters.items()):
        names[str(number)] = f"counter{place}"
        settings.append(rf"\set counter{place} {expression}")
    statements = [_filled(each.statement, [_argument(value, names) for value in each.arguments]) for each in sent]
    return "\n".join([*settings, "BEGIN;", *(f"{statement};" for statement in statements), "COMMIT;", ""])


def _filled(statement: str, arguments: Sequence[str]) -> str:
    bare = re.sub(r"--[^\n]*", "", statement).replace("\n", " ")
    return re.sub(r"\$(\d+)", lambda found: arguments[int(found[1]) - 1], bare)


def _argument(value: Any, names: Mapping[str, str]) -> str:
    """An argument as SQL, with variables for what changes from one transaction to the next."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return f":{names[str(value)]}" if str(value) in names else str(value)
    text = _text(value)
    # pgbench takes a colon for a variable's name, in quotes too.
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a")
    literal = f"E'{escaped}'"
    if NUMBER in text:
        literal = f"replace({literal}, '{NUMBER}', :n::text)"
    if CLIENT in text:
        literal = f"replace({literal}, '{CLIENT}', :client_id::text)"
    for number, name in names.items():
        if number in text:
            literal = f"replace({literal}, '{number}', :{name}::text)"
    return f"({literal}){_cast(value)}"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "{" + ",".join("NULL" if each is None else _quoted(_text(each)) for each in value) + "}"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _cast(value: Any) -> str:
    """The type where the statement leaves it to the driver."""
    first = next((each for each in value if each is not None), "") if isinstance(value, list | tuple) else value
    kinds = {bytes: "bytea", bool: "boolean", int: "bigint", datetime: "timestamptz"}
    kind = kinds.get(type(first), "text")
    return f"::{kind}[]" if isinstance(value, list | tuple) else f"::{kind}"
