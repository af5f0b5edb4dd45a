"""Telemetry as promised: one trace through call, outbox and consumer; metrics; logs that name no content."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import httpx
import pytest
from chassis.embedded import NatsServer, free_port
from chassis.testing import Databases, Keys
from chassis.testing.processes import until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from libs.chassis.tests.rig import ProbeProcess, charge, rows

HANDLED = "handle touchstone.billing.v1.AccountCharged"
SECRET = "s3cret-account"


class Collector:
    """An OTLP collector: keeps the spans that are sent to it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                exported = ExportTraceServiceRequest.FromString(body)
                spans.extend(s for r in exported.resource_spans for scope in r.scope_spans for s in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    async def has(self, name: str) -> bool:
        """Whether a span of this name has come."""
        return any(each.name == name for each in self.spans)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector for one test."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture
async def probe(
    database: Databases, nats: NatsServer, keys: Keys, tmp_path: Path, collector: Collector
) -> AsyncIterator[ProbeProcess]:
    """The probe as a process that records every trace."""
    made = ProbeProcess(await database("probe"), nats, keys, tmp_path, "probe")
    await made.start(
        TOUCHSTONE_TRACE_ENDPOINT=collector.endpoint,
        TOUCHSTONE_TRACE_RATIO="1",
        TOUCHSTONE_METRICS_PORT=str(free_port()),
        TOUCHSTONE_EVENT_TRIES="1",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    yield made
    await made.close()


async def test_one_trace_runs_through_call_statement_outbox_and_consumer(
    probe: ProbeProcess, collector: Collector
) -> None:
    await probe.charge(charge(1, "r-1", how="alone"))
    await until(lambda: collector.has(HANDLED), "the consumer's span has come")
    ((trace_parent,),) = await rows(probe.database, "SELECT trace_parent FROM outbox")
    trace_id = bytes.fromhex(trace_parent.split("-")[1])
    of_trace = [each for each in collector.spans if each.trace_id == trace_id]
    kinds = {each.kind for each in of_trace}
    assert {Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_CLIENT} <= kinds
    (handled,) = [each for each in of_trace if each.name == HANDLED]
    assert any(each.span_id == handled.parent_span_id for each in of_trace)
    statements = {each.name.split()[0] for each in of_trace if each.kind == Span.SPAN_KIND_CLIENT}
    assert "INSERT" in statements


async def test_events_of_several_traces_in_one_batch_are_linked(probe: ProbeProcess, collector: Collector) -> None:
    async def linked() -> bool:
        await asyncio.gather(*(probe.charge(charge(1, how="alone")) for _ in range(10)))
        return any(each.name == HANDLED and each.links for each in list(collector.spans))

    await until(linked, "a span of a batch links to the traces of its events")


async def test_spans_carry_no_content_of_messages(probe: ProbeProcess, collector: Collector) -> None:
    await probe.charge(charge(1, "r-1", account_id=SECRET))
    await until(lambda: collector.has(HANDLED), "the consumer's span has come")
    assert SECRET not in "".join(map(str, collector.spans))


async def test_the_metrics_page_counts_what_was_published_handled_and_put_aside(probe: ProbeProcess) -> None:
    await probe.charge_all([charge(1), charge(1)])
    await probe.charge(charge(1, account_id="poison"))
    await probe.settle()
    assert probe.child is not None
    port = probe.child.launch.environment["TOUCHSTONE_METRICS_PORT"]
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert "outbox_published_total{" in page
    samples = {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if "{" in line}
    assert samples["outbox_published_total"] == 3
    assert samples["events_handled_total"] == 2
    assert samples["dead_letters_total"] == 1
    assert samples["rpc_server_duration_seconds_count"] > 0


async def test_logs_are_json_with_the_trace_and_without_content(probe: ProbeProcess, collector: Collector) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as broken:
        await probe.charge(charge(666, "r-1", account_id=SECRET, how="alone"))
    assert broken.value.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in str(broken.value)
    log = (probe.folder / "log").read_text()
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (failed,) = [each for each in entries if each["event"] == "call failed"]
    assert failed["service"] == "probe"
    assert failed["method"].endswith("/Charge")
    assert "RuntimeError" in failed["exception"]
    assert len(failed["trace_id"]) == 32
    assert SECRET not in log


async def test_a_statement_that_fails_is_logged_without_its_parameters(probe: ProbeProcess) -> None:
    await probe.charge(charge(2**63 - 1, account_id=SECRET, how="alone"))
    with pytest.raises(grpc.aio.AioRpcError) as broken:
        await probe.charge(charge(2**63 - 1, account_id=SECRET, how="alone"))
    assert broken.value.code() is grpc.StatusCode.INTERNAL
    log = (probe.folder / "log").read_text()
    assert "bigint out of range" in log
    assert SECRET not in log
