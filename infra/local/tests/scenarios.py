"""What a program does with a `Platform`, run as a process of its own: `python scenarios.py <folder>`.

A process of its own, because the stand-ins for the six processes must be the only packages of their names in it.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import asyncpg
import nats
from joserfc import jwt
from joserfc.jwk import KeySet
from local import PROCESSES, Platform

said: list[str] = []


async def until(message: str) -> None:
    """Waits until the platform has said this."""
    for _ in range(600):
        if message in said:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not said: {message}; said so far: {said}")


def environ(platform: Platform, name: str) -> dict[str, str]:
    """What a running process was started with."""
    words = Path(f"/proc/{pid_of(platform, name)}/environ").read_text().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def pid_of(platform: Platform, name: str) -> int:
    return platform._supervisor._kept[name].child.pid


async def crash(pid: int | None, then: str) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(then)


async def starts(platform: Platform, name: str) -> int:
    connection = await asyncpg.connect(platform.databases[name].url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM starts"))
    finally:
        await connection.close()


async def a_process_that_dies_is_started_again(platform: Platform) -> None:
    before = await starts(platform, "billing")
    os.kill(pid_of(platform, "billing"), signal.SIGKILL)
    await until("billing started again")
    await platform.wait_ready("billing")
    assert await starts(platform, "billing") == before + 1
    assert "billing ended (SIGKILL)" in said[0], said
    assert "starts again in 0.5 s" in said[0], said


async def a_killed_process_stays_down_until_restarted(platform: Platform) -> None:
    before = await starts(platform, "member")
    platform.kill("member")
    os.kill(pid_of(platform, "campaign"), signal.SIGKILL)
    await until("campaign started again")
    assert not platform.running("member"), "the one that crashed is back, so this one would be as well"
    assert not await platform.ready("member")
    await platform.restart("member", extra_env={"FAILPOINT": "somewhere:kill@1"})
    assert environ(platform, "member")["FAILPOINT"] == "somewhere:kill@1"
    os.kill(pid_of(platform, "member"), signal.SIGKILL)
    await until("member started again")
    await platform.wait_ready("member")
    assert "FAILPOINT" not in environ(platform, "member"), "only the first start was to have it"
    await platform.restart("member")
    assert await starts(platform, "member") == before + 3


async def servers_keep_their_ports(platform: Platform) -> None:
    client = await nats.connect(platform.addresses.nats_url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.close()
    platform.nats.stop()
    await crash(platform.postgres.pid, "postgres started again")
    assert not platform.nats.running, "stopped on purpose, so it stays down"
    platform.nats.start()
    assert platform.nats.url == platform.addresses.nats_url
    await crash(platform.nats.pid, "nats started again")
    assert await starts(platform, "scoring") == 1
    client = await nats.connect(platform.addresses.nats_url)
    assert (await client.jetstream().stream_info("KEPT")).config.subjects == ["kept"]
    await client.close()


async def each_process_gets_what_it_knows_and_no_more(platform: Platform) -> None:
    seen = {name: environ(platform, name) for name in PROCESSES}
    for name, environment in seen.items():
        assert "TOUCHSTONE_LOG_LEVEL" not in environment
        assert "FAILPOINT" not in environment
        assert environment["OMP_WAIT_POLICY"] == "passive"
        assert "_owner:" not in "".join(environment.values()), f"{name} must not know its database's owner"
        assert ("STAND_IN_EXTRA" in environment) == (name == "billing")
        assert ("TOUCHSTONE_MEMBER_TARGET" in environment) == (name in {"billing", "gateway"})
        assert "TOUCHSTONE_BILLING_TARGET" not in environment
    assert "TOUCHSTONE_DATABASE_URL" not in seen["gateway"]
    urls = {seen[name]["TOUCHSTONE_DATABASE_URL"] for name in PROCESSES if name != "gateway"}
    assert len(urls) == 5


async def tokens_say_who_and_what(platform: Platform) -> None:
    keys = KeySet.import_key_set(json.loads(platform.folder.jwks.read_text()))
    everything = jwt.decode(platform.token(), keys, algorithms=["ES256"]).claims
    assert {"billing.read", "operations", "member.contact"} <= set(everything["scope"].split())
    members = jwt.decode(platform.token(["points.read"], "C1"), keys, algorithms=["ES256"]).claims
    assert (members["scope"], members["customer_id"]) == ("points.read", "C1")
    own = jwt.decode(platform.folder.token_file("touchpoint").read_text(), keys, algorithms=["ES256"]).claims
    assert (own["sub"], own["scope"]) == ("touchpoint", "campaign.decide")


SCENARIOS = (
    each_process_gets_what_it_knows_and_no_more,
    tokens_say_who_and_what,
    a_process_that_dies_is_started_again,
    a_killed_process_stays_down_until_restarted,
    servers_keep_their_ports,
)


async def main(folder: Path) -> None:
    """Plays every scenario on one platform, and at last starts another from nothing in the same folder."""
    os.environ["TOUCHSTONE_LOG_LEVEL"] = "not for the children"
    os.environ["FAILPOINT"] = "not for the children either"
    async with Platform(folder, say=said.append, extra_env={"billing": {"STAND_IN_EXTRA": "1"}}) as platform:
        for scenario in SCENARIOS:
            await scenario(platform)
            print(scenario.__name__, flush=True)
        key = platform.folder.signing_key.read_text()
    (folder / "somebody's file").write_text("kept")
    async with Platform(folder, wipe=True) as platform:
        assert await starts(platform, "member") == 1
        assert platform.folder.signing_key.read_text() != key
    assert (folder / "somebody's file").read_text() == "kept"
    print("wiping_starts_from_nothing")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
