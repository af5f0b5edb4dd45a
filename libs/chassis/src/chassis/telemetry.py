"""Traces, metrics and logs of a process: one trace through RPC, outbox and consumers; logs in JSON with its id.

No personal data and no secrets: spans and logs name methods, event types and reasons, never the content of messages.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import orjson
import structlog
from opentelemetry import metrics, propagate, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from prometheus_client import start_http_server

from chassis.settings import ProcessSettings

_meter = metrics.get_meter("touchstone")
_tracer = trace.get_tracer("touchstone")

_published = _meter.create_counter("outbox_published", description="Events that the broker acknowledged.")
_handled = _meter.create_counter("events_handled", description="Events handled for the first time.")
_dead = _meter.create_counter("dead_letters", description="Events put aside because they could not be handled.")
_calls = _meter.create_histogram(
    "rpc_server_duration", unit="s", description="Time of calls served, by method and status."
)


def start(service: str, settings: ProcessSettings) -> None:
    """Sets up telemetry for the life of this process."""
    resource = Resource.create({"service.name": service})
    provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings.trace_ratio))
    if settings.trace_endpoint:
        # Here, because it takes long to load, and most processes of tests and of a laptop send their spans nowhere.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.trace_endpoint)))
    trace.set_tracer_provider(provider)
    if settings.metrics_port:
        metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()]))
        start_http_server(settings.metrics_port, addr=settings.bind_host)
    _start_logs(service, settings.log_level)


def statement(sql: str) -> AbstractContextManager[object]:
    """A span for a statement that does not go through SQLAlchemy, inside a request's trace that is recorded."""
    if not trace.get_current_span().is_recording():
        return nullcontext()
    return _tracer.start_as_current_span(sql.split(maxsplit=1)[0], attributes={"db.statement": sql})


def _start_logs(service: str, level: str) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _add_trace,
            structlog.processors.JSONRenderer(serializer=lambda entry, **_: orjson.dumps(entry, default=repr).decode()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _add_trace(_: Any, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        entry["trace_id"] = trace.format_trace_id(context.trace_id)
    return entry


def trace_parent() -> str:
    """The current trace as a W3C traceparent; empty outside of one."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def handling(event_type: str, trace_parents: Sequence[str]) -> Iterator[None]:
    """A span for handling a batch of events: child of the first one's trace, linked to the others'."""
    contexts = [propagate.extract({"traceparent": each}) for each in trace_parents if each]
    links = [trace.Link(trace.get_current_span(each).get_span_context()) for each in contexts[1:]]
    with _tracer.start_as_current_span(
        f"handle {event_type}", context=contexts[0] if contexts else None, links=links, kind=trace.SpanKind.CONSUMER
    ):
        yield


def published(service: str, count: int) -> None:
    """Counts events that the broker acknowledged."""
    _published.add(count, {"service": service})


def handled(event_type: str, count: int) -> None:
    """Counts events handled for the first time."""
    _handled.add(count, {"event_type": event_type})


def dead_letter(event_type: str) -> None:
    """Counts an event put aside."""
    _dead.add(1, {"event_type": event_type})


def served(method: str, status: str, seconds: float) -> None:
    """Records the time of one call."""
    _calls.record(seconds, {"method": method, "status": status})
