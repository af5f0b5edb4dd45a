"""Value scores of customers, and the runs they come from."""

from typing import Any

from fastapi import APIRouter
from touchstone.scoring.v1 import scoring_pb2 as resources
from touchstone.scoring.v1 import scoring_service_pb2 as pb

from gateway.admission import To, admits
from gateway.bodies import PageSize, PageToken
from gateway.schema import model_of, to_json

router = APIRouter(prefix="/v1", tags=["scoring"])


@router.get(
    "/customers/{customer_id}/value",
    dependencies=[admits("scoring.v1.ScoreService.GetScore")],
    response_model=model_of(resources.Score),
)
async def get_value(customer_id: str, to: To) -> Any:
    """The customer's value in the published run, with reasons."""
    return to_json((await to.scores.GetScore(pb.GetScoreRequest(customer_id=customer_id))).score)


@router.get(
    "/scoring-runs",
    dependencies=[admits("scoring.v1.RunService.ListRuns")],
    response_model=model_of(pb.ListRunsResponse),
)
async def list_runs(to: To, page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """Scoring runs, newest first."""
    return to_json(await to.runs.ListRuns(pb.ListRunsRequest(page_size=page_size, page_token=page_token)))
