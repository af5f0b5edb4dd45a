"""gRPC: a request becomes a use case, its outcome a reply. No rule, no SQL."""

from typing import Any

from chassis.paging import Page, page_from_request
from chassis.work import Transaction, Work, ask
from grpc.aio import ServicerContext
from touchstone.scoring.v1 import scoring_service_pb2 as pb
from touchstone.scoring.v1 import scoring_service_pb2_grpc as pb_grpc

from scoring import use_cases, wire
from scoring.domain.run import RunId, StartRun
from scoring.use_cases import Policy

Context = ServicerContext[Any, Any]


class ScoreApi(pb_grpc.ScoreServiceServicer):
    """Scores of the run that counts, by customer; and of any run, as a list."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def GetScore(self, request: pb.GetScoreRequest, _context: Context) -> pb.GetScoreResponse:
        customer_id = wire.customer_id_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            scored = await use_cases.get_score(connection, customer_id)
        return pb.GetScoreResponse(score=wire.score_to_proto(scored))

    async def BatchGetScores(self, request: pb.BatchGetScoresRequest, _context: Context) -> pb.BatchGetScoresResponse:
        customer_ids = wire.customer_ids_from_proto(request.customer_ids)
        async with self._work.reading() as connection:
            scores = await use_cases.get_scores(connection, customer_ids)
        return pb.BatchGetScoresResponse(scores=map(wire.score_to_proto, scores))

    async def ListScores(self, request: pb.ListScoresRequest, _context: Context) -> pb.ListScoresResponse:
        page, band = page_from_request(request), wire.band_from_proto(request.band)
        run_id = wire.run_id_from_proto(request.run_id) if request.run_id else None
        async with self._work.reading() as connection:
            found = await use_cases.list_scores(connection, run_id, band, page)
        scores, token = page.cut(found, lambda one: str(one.score.position))
        return pb.ListScoresResponse(
            scores=map(wire.score_to_proto, scores),
            next_page_token=token,
        )


class RunApi(pb_grpc.RunServiceServicer):
    """Runs: computed, looked at, published."""

    def __init__(self, work: Work, policy: Policy) -> None:
        self._work = work
        self._policy = policy

    async def StartRun(self, request: pb.StartRunRequest, _context: Context) -> pb.StartRunResponse:
        async def act(transaction: Transaction, wish: StartRun) -> pb.StartRunResponse:
            run = await use_cases.start_run(transaction, wish, self._policy)
            return pb.StartRunResponse(run=wire.run_to_proto(run))

        asked = ask(request, wire.start_run_from_proto(request))
        return await self._work.answer("start_run", asked, act, pb.StartRunResponse)

    async def PublishRun(self, request: pb.PublishRunRequest, _context: Context) -> pb.PublishRunResponse:
        async def act(transaction: Transaction, run_id: RunId) -> pb.PublishRunResponse:
            run = await use_cases.publish_run(transaction, run_id)
            return pb.PublishRunResponse(run=wire.run_to_proto(run))

        asked = ask(request, wire.run_id_from_proto(request.run_id))
        return await self._work.answer("publish_run", asked, act, pb.PublishRunResponse)

    async def GetRun(self, request: pb.GetRunRequest, _context: Context) -> pb.GetRunResponse:
        run_id = wire.run_id_from_proto(request.run_id) if request.run_id else None
        async with self._work.reading() as connection:
            run = await use_cases.find_run(connection, run_id)
        return pb.GetRunResponse(run=wire.run_to_proto(run))

    async def ListRuns(self, request: pb.ListRunsRequest, _context: Context) -> pb.ListRunsResponse:
        page: Page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_runs(connection, page)
        runs, token = page.cut(found, lambda one: one.run_id)
        return pb.ListRunsResponse(
            runs=map(wire.run_to_proto, runs),
            next_page_token=token,
        )
