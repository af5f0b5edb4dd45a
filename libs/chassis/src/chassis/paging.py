"""Pages of lists: a keyset cursor, wrapped so that callers do not build on its inside."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from chassis.errors import InvalidArgument

T = TypeVar("T")
SIZE_DEFAULT = 50
SIZE_MAX = 500
_KEY_LENGTH_MAX = 500


class PagedRequest(Protocol):
    """Any request with the two fields of a list call."""

    @property
    def page_size(self) -> int: ...

    @property
    def page_token(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Page:
    """How many to list and after which key; `after` is None on the first page."""

    size: int
    after: str | None

    @property
    def wanted(self) -> int:
        """How many to load: one more than is shown tells whether a further page follows."""
        return self.size + 1

    def cut(self, found: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str]:
        """What is shown of `wanted` loaded items, and the token of the next page: empty at the end."""
        shown = list(found[: self.size])
        return shown, encode_token(key(shown[-1])) if len(found) > self.size else ""


def page_from_request(request: PagedRequest, *, size_max: int = SIZE_MAX) -> Page:
    """The page asked for, or InvalidArgument naming page_size or page_token."""
    if not 0 <= request.page_size <= size_max:
        raise InvalidArgument("page_size", f"must be 0 to {size_max}")
    return Page(request.page_size or min(SIZE_DEFAULT, size_max), _decode(request.page_token))


def encode_token(last_key: str) -> str:
    """The token of the page after the row with this key."""
    return base64.urlsafe_b64encode(last_key.encode()).decode().rstrip("=")


def _decode(token: str) -> str | None:
    if not token:
        return None
    try:
        key = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidArgument("page_token", "is not a token that a list call returned") from None
    if "\x00" in key or len(key) > _KEY_LENGTH_MAX:
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return key
