"""The service over gRPC, from charges on the broker to published scores; and what it refuses, by name."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import grpc
import pytest
from chassis import times
from chassis.testing.serving import Serving
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from scoring.domain.history import PurchaseDay
from touchstone.scoring.v1 import scoring_pb2
from touchstone.scoring.v1 import scoring_service_pb2 as pb
from touchstone.scoring.v1 import scoring_service_pb2_grpc as pb_grpc

from services.scoring.tests.cdnow import sample
from services.scoring.tests.charges import charge, tell
from services.scoring.tests.factories import AS_OF, as_arrived, drawn_purchases

DAYS = drawn_purchases(150, seed=6)


def runs(served: Serving) -> Any:
    """A stub of RunService for an operator."""
    return pb_grpc.RunServiceStub(served.channel("scoring.run", "scoring.read"))


def scores(served: Serving) -> Any:
    """A stub of ScoreService for an operator."""
    return pb_grpc.ScoreServiceStub(served.channel("scoring.read"))


async def told(served: Serving, days: list[PurchaseDay]) -> None:
    """Purchases that arrived as charges."""
    await tell(served, [charge(as_arrived(day)) for day in days])
    await served.settle()


def start(request_id: str, **wish: Any) -> pb.StartRunRequest:
    """The wish for a run as of the usual instant."""
    return pb.StartRunRequest(**{"request_id": request_id, "as_of": times.to_proto(AS_OF), **wish})


async def refusal(call: Any) -> tuple[str, str, list[str]]:
    """Status, reason and the fields named of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    # Its signature asks for a synchronous call; it reads the same two methods of an asynchronous error.
    status = rpc_status.from_call(cast(grpc.Call, caught.value))
    info, bad = ErrorInfo(), BadRequest()
    for detail in status.details if status else ():
        detail.Unpack(info)
        detail.Unpack(bad)
    return caught.value.code().name, info.reason, [violation.field for violation in bad.field_violations]


async def test_charges_become_published_scores(served: Serving) -> None:
    await told(served, DAYS)
    run = (await runs(served).StartRun(start("r1", horizon_weeks=26))).run
    assert (run.customers, run.purchases, run.horizon_weeks, run.note) == (150, len(DAYS), 26, "")
    assert (run.state, run.current, run.currency) == (scoring_pb2.RUN_STATE_COMPLETED, False, "CNY")
    published = (await runs(served).PublishRun(pb.PublishRunRequest(request_id="p1", run_id=run.run_id))).run
    assert (published.state, published.current, published.revision) == (scoring_pb2.RUN_STATE_PUBLISHED, True, 1)
    assert (await runs(served).GetRun(pb.GetRunRequest())).run == published
    assert list((await runs(served).ListRuns(pb.ListRunsRequest())).runs) == [published]
    first = (await scores(served).ListScores(pb.ListScoresRequest(page_size=1))).scores[0]
    assert (first.band, first.decile, first.run_id, len(first.reasons)) == ("A", 1, run.run_id, 3)
    assert first.HasField("lifetime_value_minor")
    assert (await scores(served).GetScore(pb.GetScoreRequest(customer_id=first.customer_id))).score == first
    asked = pb.BatchGetScoresRequest(customer_ids=["nobody", first.customer_id])
    assert list((await scores(served).BatchGetScores(asked)).scores) == [first]
    await served.settle()


async def test_the_published_figures_come_out_of_what_arrived(served: Serving) -> None:
    """The whole sample over the broker, then the fit that the literature reports, read from the reply."""
    await told(served, list(sample()))
    as_of = times.to_proto(datetime(1997, 10, 1, tzinfo=UTC))
    run = (await runs(served).StartRun(start("r1", as_of=as_of))).run
    bg_nbd, spend = run.bg_nbd, run.gamma_gamma
    assert (bg_nbd.r, bg_nbd.alpha, bg_nbd.a, bg_nbd.b) == pytest.approx((0.243, 4.414, 0.793, 2.426), abs=0.002)
    assert bg_nbd.log_likelihood == pytest.approx(-9582.4, abs=0.1)
    assert (spend.p, spend.q, spend.gamma) == pytest.approx((6.25, 3.74, 15.44), abs=0.02)
    assert (bg_nbd.customers, bg_nbd.repeat_customers, spend.customers) == (2357, 946, 946)


async def test_a_repeated_request_makes_one_run(served: Serving) -> None:
    await told(served, DAYS)
    replies = await asyncio.gather(*(runs(served).StartRun(start("r1")) for _ in range(8)))
    assert len({reply.SerializeToString(deterministic=True) for reply in replies}) == 1
    assert len((await runs(served).ListRuns(pb.ListRunsRequest())).runs) == 1
    again = runs(served).StartRun(start("r1", horizon_weeks=10))
    assert await refusal(again) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED", ["request_id"])


async def test_pages_meet(served: Serving) -> None:
    await told(served, DAYS)
    run = (await runs(served).StartRun(start("r1"))).run
    await runs(served).StartRun(start("r2"))
    listed: list[str] = []
    token, pages = "", 0
    while token or not pages:
        request = pb.ListScoresRequest(run_id=run.run_id, page_size=60, page_token=token)
        page = await scores(served).ListScores(request)
        listed += [score.customer_id for score in page.scores]
        token, pages = page.next_page_token, pages + 1
    assert (pages, len(listed), len(set(listed))) == (3, 150, 150)
    first = await runs(served).ListRuns(pb.ListRunsRequest(page_size=1))
    last = await runs(served).ListRuns(pb.ListRunsRequest(page_size=1, page_token=first.next_page_token))
    assert (last.runs[0].run_id, last.next_page_token) == (run.run_id, "")


async def test_a_run_without_fits_leaves_estimates_unset(served: Serving) -> None:
    await told(served, DAYS[:5])
    run = (await runs(served).StartRun(start("r1"))).run
    assert not run.HasField("bg_nbd")
    assert "TOO_FEW_REPEAT_CUSTOMERS" in run.note
    page = await scores(served).ListScores(pb.ListScoresRequest(run_id=run.run_id))
    assert not any(score.HasField("p_alive") or score.HasField("lifetime_value_minor") for score in page.scores)


async def test_what_is_wrong_is_named(served: Serving) -> None:
    assert await refusal(runs(served).StartRun(start("r0"))) == ("FAILED_PRECONDITION", "NOTHING_TO_SCORE", [])
    await told(served, DAYS[:5])
    bad = "INVALID_ARGUMENT", "INVALID_ARGUMENT"
    assert await refusal(runs(served).StartRun(start(""))) == (*bad, ["request_id"])
    assert await refusal(runs(served).StartRun(pb.StartRunRequest(request_id="r1"))) == (*bad, ["as_of"])
    assert await refusal(runs(served).StartRun(start("r1", horizon_weeks=-1))) == (*bad, ["horizon_weeks"])
    assert await refusal(runs(served).StartRun(start("r1", currency="cny"))) == (*bad, ["currency"])
    assert await refusal(runs(served).StartRun(start("r1", currency="EUR"))) == (*bad, ["currency"])
    before = times.to_proto(datetime(1980, 1, 1, tzinfo=UTC))
    assert (await refusal(runs(served).StartRun(start("r1", as_of=before))))[1] == "NOTHING_TO_SCORE"
    publish = runs(served).PublishRun(pb.PublishRunRequest(request_id="p1", run_id="none"))
    assert await refusal(publish) == ("NOT_FOUND", "RUN_NOT_FOUND", [])
    assert await refusal(scores(served).ListScores(pb.ListScoresRequest(band="E"))) == (*bad, ["band"])
    assert await refusal(scores(served).ListScores(pb.ListScoresRequest(page_size=501))) == (*bad, ["page_size"])
    assert (await refusal(runs(served).GetRun(pb.GetRunRequest())))[1] == "NO_RUN_PUBLISHED"
    batch = scores(served).BatchGetScores(pb.BatchGetScoresRequest(customer_ids=["x"] * 1001))
    assert await refusal(batch) == (*bad, ["customer_ids"])
    batch = scores(served).BatchGetScores(pb.BatchGetScoresRequest(customer_ids=["x", "no/slash"]))
    assert await refusal(batch) == (*bad, ["customer_ids[1]"])
    assert len((await runs(served).ListRuns(pb.ListRunsRequest())).runs) == 0


async def test_a_member_sees_the_own_score_and_no_other(served: Serving) -> None:
    await told(served, DAYS)
    run = (await runs(served).StartRun(start("r1"))).run
    await runs(served).PublishRun(pb.PublishRunRequest(request_id="p1", run_id=run.run_id))
    own, other = DAYS[0].customer_id, DAYS[-1].customer_id
    stub: Any = pb_grpc.ScoreServiceStub(served.channel("scoring.read", customer_id=own))
    assert (await stub.GetScore(pb.GetScoreRequest(customer_id=own))).score.customer_id == own
    assert (await refusal(stub.GetScore(pb.GetScoreRequest(customer_id=other))))[0] == "PERMISSION_DENIED"
    assert (await refusal(stub.ListScores(pb.ListScoresRequest())))[0] == "PERMISSION_DENIED"
    reader: Any = pb_grpc.RunServiceStub(served.channel("scoring.read"))
    assert (await refusal(reader.StartRun(start("r9"))))[0] == "PERMISSION_DENIED"
