"""Ways to payment providers: each channel is one provider, reached and heard by an adapter."""

from billing.channels.channel import Channel, ChannelFailed, Channels, RefundOrder
from billing.channels.http import HttpChannel, open_channels

__all__ = ["Channel", "ChannelFailed", "Channels", "HttpChannel", "RefundOrder", "open_channels"]
