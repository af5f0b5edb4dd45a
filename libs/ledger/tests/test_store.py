"""The ledger on a real PostgreSQL."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import InsufficientBalance, Ledger, Posted

from .factories import ANNA, BEN, add, day, earn, hold, confirm, open_accounts, post, release, reverse, spend


async def test_smoke(engine: AsyncEngine, ledger: Ledger) -> None:
    async with engine.begin() as connection:
        await open_accounts(ledger, connection, ANNA, BEN)
    out = await post(
        ledger, engine, earn("e1", 100, expires=30), earn("e2", 50, on=1, expires=20), spend("s1", 60, on=2)
    )
    assert all(isinstance(o, Posted) for o in out), out
    out = await post(ledger, engine, hold("h1", 40, on=3), spend("s2", 1000, on=3), reverse("r1", "s1", 20, on=3))
    assert isinstance(out[1], InsufficientBalance)
    out = await post(
        ledger,
        engine,
        confirm("c1", "h1", 30, on=4),
        reverse("r2", "s1", on=4),
        reverse("r3", "c1", on=5),
        add("a", 5, on=5),
    )
    assert all(isinstance(o, Posted) for o in out), out
    async with engine.begin() as connection:
        print(await ledger.balance(connection, ANNA, day(6)), await ledger.lots(connection, ANNA))
        print(await ledger.balance(connection, ANNA, day(31)))
        for e in await ledger.entries(connection, ANNA):
            print(e)
        print(await ledger.expire_due(connection, day(100), recorded_at=day(1000)))
        p = await ledger.prove(connection)
        assert p.holds, p.broken
        print(p)
