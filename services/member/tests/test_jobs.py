"""What the calendar asks for is done by the process itself, without anybody calling."""

import asyncio

from chassis.embedded import NatsServer
from chassis.testing import Databases, Keys
from chassis.testing.serving import DATED_LONG_AGO, serving
from chassis.times import to_proto
from member.__main__ import PROCESS

from services.member.tests.calls import SCOPES, Stubs, become_member
from services.member.tests.factories import day
from services.member.tests.test_bad_clubs import CODE, SETTLED, VERIFY, merchant_request, sale_request


async def test_a_period_that_ended_long_ago_is_closed_at_the_next_start(
    database: Databases, nats: NatsServer, keys: Keys
) -> None:
    tables, asked = await database(PROCESS), SETTLED(merchant_id="tea", at=to_proto(day(1)))
    async with serving(PROCESS, tables, nats, keys, **DATED_LONG_AGO, timed_work=False) as resting:
        boss = Stubs.of(resting.channel(*SCOPES))
        app = Stubs.of(resting.channel("member.read", "engagement.write", subject="app", customer_id="c-1"))
        till = Stubs.of(resting.channel("merchant.verify", subject="till-1"))
        await become_member(boss)
        await boss.merchants.PutMerchant(merchant_request(subjects=["till-1"]))
        issued = await app.merchants.IssueMemberCode(CODE(request_id="code", customer_id="c-1"))
        seen = await till.merchants.VerifyMemberCode(VERIFY(request_id="seen", code=issued.code))
        await till.merchants.RecordMerchantSale(sale_request(verification_id=seen.verification_id))
        before = await boss.merchants.GetSettlement(asked)
        assert (before.totals.sales, before.closed) == (1, False)
    async with serving(PROCESS, tables, nats, keys, **DATED_LONG_AGO) as keeping_time, asyncio.timeout(30):
        boss = Stubs.of(keeping_time.channel(*SCOPES))
        while not (await boss.merchants.GetSettlement(asked)).closed:
            await asyncio.sleep(0.05)
