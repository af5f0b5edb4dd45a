"""What text from outside may look like before it is stored, shown or sent to."""

import re
import unicodedata
from collections.abc import Iterator

from chassis.errors import FieldViolation, InvalidArgument

MAX_NAME_CHARACTERS = 200
MAX_REASON_CHARACTERS = 200
MAX_ROLE_CHARACTERS = 40
MAX_EMAIL_CHARACTERS = 254

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")


def has_control_characters(text: str) -> bool:
    """Whether the text has a control character; U+0000 is one, and PostgreSQL could not store it."""
    return not text.isprintable() and any(unicodedata.category(character) == "Cc" for character in text)


def line_violations(field: str, text: str, *, most: int, optional: bool = False) -> Iterator[FieldViolation]:
    """What keeps `text` from being one line of at most `most` characters."""
    if not text.strip() and not (optional and not text):
        yield FieldViolation(field, "must not be blank")
    if len(text) > most:
        yield FieldViolation(field, f"must have at most {most} characters")
    if has_control_characters(text):
        yield FieldViolation(field, "must not have control characters")


def phone_violations(field: str, phone: str) -> Iterator[FieldViolation]:
    """What keeps `phone` from being empty or in E.164 form."""
    if phone and not _E164.fullmatch(phone):
        yield FieldViolation(field, "must be a phone number in E.164 form, such as +8613800138000")


def email_violations(field: str, email: str) -> Iterator[FieldViolation]:
    """What keeps `email` from being empty or shaped like an address; whether it receives mail is not known here."""
    if not email:
        return
    if len(email) > MAX_EMAIL_CHARACTERS or has_control_characters(email) or not _EMAIL.fullmatch(email):
        yield FieldViolation(field, "must be an email address, such as name@example.com")


def check_reason(field: str, reason: str) -> None:
    """Refuses, with InvalidArgument, a reason that a statement could not show."""
    violations = list(line_violations(field, reason, most=MAX_REASON_CHARACTERS))
    if violations:
        raise InvalidArgument.many(violations)
