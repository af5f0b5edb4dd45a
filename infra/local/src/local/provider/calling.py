"""Call-backs: signed by Standard Webhooks, and repeated until they are taken in."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import httpx
from standardwebhooks import Webhook

_TRIES = 8
_FIRST_DELAY_SECONDS = 0.25
_LONG_AGO = timedelta(minutes=30)
_NOT_THE_SECRET = "whsec_" + base64.b64encode(b"nobody's secret, known to all").decode()


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls the platform back."""

    client: httpx.AsyncClient
    url: str
    secret: str

    async def tell(self, webhook_id: str, body: Mapping[str, object], at: datetime) -> None:
        """Sends a call-back until it is answered with 200, or patience ends."""
        for attempt in range(_TRIES):
            # Signed anew at each try, under the same name: the receiver wants a fresh time and knows a repeat.
            signed_at = at + timedelta(seconds=sum(_delay(each) for each in range(attempt)))
            if await self._send(webhook_id, body, signed_at, self.secret) == HTTPStatus.OK:
                return
            await asyncio.sleep(_delay(attempt))

    async def forge(self, webhook_id: str, body: Mapping[str, object], at: datetime) -> None:
        """Sends what somebody without the secret would send."""
        await self._send(webhook_id, body, at, _NOT_THE_SECRET)

    async def play_again(self, webhook_id: str, body: Mapping[str, object], at: datetime) -> None:
        """Sends what was signed long ago."""
        await self._send(webhook_id, body, at - _LONG_AGO, self.secret)

    async def _send(self, webhook_id: str, body: Mapping[str, object], at: datetime, secret: str) -> int:
        text = json.dumps(body)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(webhook_id, at, text),
        }
        try:
            return (await self.client.post(self.url, content=text, headers=headers)).status_code
        except httpx.HTTPError:
            return 0


def _delay(attempt: int) -> float:
    return float(_FIRST_DELAY_SECONDS * 2**attempt)
