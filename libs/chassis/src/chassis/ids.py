"""Identities: those chosen by callers are checked, those made here are UUIDv7 and so sort by time,
or the UUIDv5 of a name where the same thing must always get the same one."""

import re

import uuid_utils

from chassis.errors import InvalidArgument

_CALLER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\ud800-\udfff]")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}\Z")


def new_id() -> str:
    """A fresh identity that sorts after the ones made before it."""
    return str(uuid_utils.uuid7())


def named_id(namespace: str, name: str) -> str:
    """The identity of a name within a namespace, itself a UUID: always the same one (RFC 9562, version 5)."""
    return str(uuid_utils.uuid5(uuid_utils.UUID(namespace), name))


def check_id(field: str, value: str) -> str:
    """An identity as callers may choose it, or InvalidArgument naming the field."""
    if not _CALLER_ID.match(value):
        what = "must be 1 to 64 letters, digits or . _ : - and start with a letter or digit" if value else "is required"
        raise InvalidArgument(field, what)
    return value


def check_request_id(value: str) -> str:
    """A request's identity: 1 to 128 visible ASCII characters, or InvalidArgument."""
    if not _REQUEST_ID.match(value):
        raise InvalidArgument("request_id", "is required: 1 to 128 visible ASCII characters")
    return value


def check_text(field: str, value: str, *, length_max: int, required: bool = False) -> str:
    """A line of text without control characters, or InvalidArgument naming the field."""
    if required and not value.strip():
        raise InvalidArgument(field, "is required")
    if len(value) > length_max:
        raise InvalidArgument(field, f"must have at most {length_max} characters")
    if _CONTROL.search(value):
        raise InvalidArgument(field, "must not contain control characters")
    return value
