"""Reads that share a statement: each call gets its own, and one that fails or goes away harms nobody."""

import asyncio
from typing import Any

import pytest
from chassis.reading import Reader
from chassis.testing.serving import Serving


async def test_many_readers_share_one_statement_and_a_gone_one_harms_nobody(probe: Serving) -> None:
    asked: list[int] = []

    async def find(connection: Any, keys: Any) -> dict[str, str]:
        asked.append(len(keys))
        await asyncio.sleep(0.01)
        if "bad" in keys:
            raise ValueError("bad")
        return {key: key.upper() for key in keys if key != "none"}

    reader: Reader[str, str] = Reader(probe.work, find)
    first = asyncio.create_task(reader.get("a"))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(reader.get(key)) for key in ("b", "c", "b", "none")]
    await asyncio.sleep(0)
    waiting[1].cancel()
    assert await first == "A"
    assert await asyncio.gather(waiting[0], *waiting[2:]) == ["B", "B", None]
    assert asked == [1, 3]
    with pytest.raises(ValueError, match="bad"):
        await reader.get("bad")
    assert await reader.get("d") == "D"
