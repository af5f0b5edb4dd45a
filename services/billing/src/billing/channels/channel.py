"""What a payment channel can do, whoever the provider is."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from billing.domain.callback import CallbackRefused, SignedCallback
from billing.domain.payment import Payment, PaymentChannelNotFound, Refund, Report, TokensUnavailable


class ChannelFailed(Exception):
    """The provider did not answer, or not so that it could be understood: what it did is not known. It is asked again
    under the same key."""


class Traits(NamedTuple):
    """What a channel offers its customers."""

    redirects: bool
    stores_tokens: bool
    refunds: bool


class RefundOrder(NamedTuple):
    """A refund as the provider needs it: with the payment it is of."""

    payment: Payment
    refund: Refund


class Channel(Protocol):
    """One provider. Nothing here is called inside a database transaction, for it may take seconds."""

    @property
    def name(self) -> str:
        """The channel's name, as configured."""

    @property
    def traits(self) -> Traits:
        """What it offers."""

    async def pay(self, payment: Payment, provider_token: str) -> Report:
        """Asks for a payment; asked again for the same one, the provider does nothing and says the same.
        Raises ChannelFailed."""

    async def refund(self, order: RefundOrder) -> Report | None:
        """Gives money back, once however often asked; None while it is being done. Raises ChannelFailed."""

    async def ask(self, payment: Payment) -> Report | None:
        """How a payment stands; None when the provider does not know it. Raises ChannelFailed."""

    def check_redirect(self, report: Report) -> None:
        """Refuses, with InvalidArgument, an address to send the customer to that is not https; http is for providers
        that are reached by http themselves."""

    def proves(self, callback: SignedCallback, now: datetime) -> bool:
        """Whether the provider signed this, just now."""

    async def close(self) -> None:
        """Lets go of connections."""


class Channels:
    """The channels that are configured, by name."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = dict(sorted(channels.items()))

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    def named(self, name: str) -> Channel:
        """The channel of this name. Refuses PaymentChannelNotFound."""
        if name not in self._channels:
            raise PaymentChannelNotFound(f"there is no payment channel {name}", channel=name)
        return self._channels[name]

    def check_stores_tokens(self, name: str) -> None:
        """Refuses PaymentChannelNotFound and TokensUnavailable."""
        if not self.named(name).traits.stores_tokens:
            raise TokensUnavailable(f"channel {name} stores no means of payment", channel=name)

    def check(self, callback: SignedCallback, now: datetime) -> None:
        """Refuses CallbackRefused unless the channel's own provider signed it; the one answer whatever is wrong."""
        channel = self._channels.get(callback.channel)
        if channel is None or not channel.proves(callback, now):
            raise CallbackRefused

    async def close(self) -> None:
        """Lets go of everything."""
        for channel in self:
            await channel.close()
