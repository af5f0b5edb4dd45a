"""Call-backs of providers: what proves who sent one, and that each is taken in once."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chassis.errors import Refusal, Unauthenticated

from billing.domain.payment import Report

BODY_BYTES_MAX = 64 * 1024
TOLERANCE = timedelta(minutes=5)
"""How far the time of signing may lie from now, either way: an old call-back that is caught cannot be played again."""

# What is signed is `id.timestamp.body`: a dot in the id would let the border between the parts be moved.
_WEBHOOK_ID = re.compile(r"[A-Za-z0-9_:-]{1,128}\Z")
_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z")


class CallbackRefused(Unauthenticated):
    """The one answer to a call-back that proves nothing: forged, changed, too old, of an unknown channel."""

    def __init__(self) -> None:
        super().__init__("the call-back is not signed by the channel's provider")


class CallbackIdReused(Refusal):
    """A call-back came back under its name with another body; the first one stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCallback:
    """A call-back as it came, nothing of it believed yet."""

    channel: str
    webhook_id: str
    webhook_timestamp: str
    webhook_signature: str
    body: bytes

    def signed_at(self, now: datetime) -> datetime:
        """When it says that it was signed. Refuses CallbackRefused unless that is about now and the id is sound."""
        if not _WEBHOOK_ID.match(self.webhook_id) or not _TIMESTAMP.match(self.webhook_timestamp):
            raise CallbackRefused
        seconds = int(self.webhook_timestamp)
        if abs(seconds - now.timestamp()) > TOLERANCE.total_seconds():
            raise CallbackRefused
        return datetime.fromtimestamp(seconds, UTC)

    def text(self) -> str:
        """The body as text. Refuses CallbackRefused for bytes that are none, and for more than 64 KiB."""
        if len(self.body) > BODY_BYTES_MAX:
            raise CallbackRefused
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            raise CallbackRefused from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A call-back whose signature was found good; `body_sha256` tells two of one name apart."""

    webhook_id: str
    body_sha256: str
    report: Report
