"""The scoring process: `python -m scoring serve` and `python -m scoring migrate`."""

from chassis.process import Parts, Process, Served, Servicer, run
from touchstone.scoring.v1 import scoring_service_pb2_grpc as pb_grpc

from scoring.api import RunApi, ScoreApi
from scoring.consumers import listen
from scoring.settings import ScoringSettings
from scoring.use_cases import Policy
from scoring.wire import FACTS


def build(parts: Parts[ScoringSettings]) -> Served:
    """Puts the service together."""
    policy = Policy(parts.settings.zone, parts.settings.annual_discount_bps)
    scores = ScoreApi(parts.work)
    runs = RunApi(parts.work, policy)
    return Served(
        servicers=[
            Servicer("touchstone.scoring.v1.ScoreService", pb_grpc.add_ScoreServiceServicer_to_server, scores),
            Servicer("touchstone.scoring.v1.RunService", pb_grpc.add_RunServiceServicer_to_server, runs),
        ],
        handlers=listen(policy),
    )


PROCESS = Process(name="scoring", package="scoring", settings=ScoringSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
