"""Consents between protobuf and the domain."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.ids import check_id
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.member.v1 import consent_pb2, customer_events_pb2
from touchstone.member.v1 import consent_service_pb2 as pb

from member.domain.consent import Consent, ConsentChanged, Said, Subject
from member.use_cases.consents import SayConsent
from member.wire.customers import customer_id_from_proto, person_id_from_proto


def give_from_proto(request: pb.GiveConsentRequest) -> SayConsent:
    """The consent to give, or InvalidArgument."""
    return SayConsent(_said(request, given=True, text_version=check_id("text_version", request.text_version)))


def withdraw_from_proto(request: pb.WithdrawConsentRequest) -> SayConsent:
    """The consent to withdraw, or InvalidArgument."""
    return SayConsent(_said(request, given=False, text_version=""))


def given_to_proto(consent: Consent) -> pb.GiveConsentResponse:
    """What holds now."""
    return pb.GiveConsentResponse(consent=consent_to_proto(consent))


def withdrawn_to_proto(consent: Consent) -> pb.WithdrawConsentResponse:
    """What holds now."""
    return pb.WithdrawConsentResponse(consent=consent_to_proto(consent))


def consent_to_proto(consent: Consent) -> consent_pb2.Consent:
    """A statement."""
    said = consent.said
    return consent_pb2.Consent(
        customer_id=said.subject.customer_id,
        person_id=said.subject.person_id,
        purpose=said.subject.purpose,
        given=said.given,
        text_version=said.text_version,
        channel=said.channel,
        occurred_at=times.to_proto(said.occurred_at),
        revision=consent.revision,
        recorded_at=times.to_proto(consent.recorded_at),
    )


def checks_from_proto(request: pb.CheckConsentsRequest) -> tuple[list[Subject], datetime | None]:
    """The questions and the instant they are about, or InvalidArgument."""
    as_of = times.from_proto(request.as_of, "as_of") if request.HasField("as_of") else None
    return [_checked(f"checks[{index}]", check) for index, check in enumerate(request.checks)], as_of


def answer_to_proto(text_version: str | None) -> pb.ConsentAnswer:
    """Whether consent is given, and to which text."""
    return pb.ConsentAnswer(given=text_version is not None, text_version=text_version or "")


def consent_changed_to_proto(fact: ConsentChanged) -> customer_events_pb2.ConsentChanged:
    """The event of what holds from now on."""
    said = fact.consent.said
    return customer_events_pb2.ConsentChanged(
        customer_id=said.subject.customer_id,
        person_id=said.subject.person_id,
        purpose=said.subject.purpose,
        given=said.given,
        text_version=said.text_version,
        occurred_at=times.to_proto(said.occurred_at),
        revision=fact.consent.revision,
    )


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {ConsentChanged: consent_changed_to_proto}


def _said(request: pb.GiveConsentRequest | pb.WithdrawConsentRequest, *, given: bool, text_version: str) -> Said:
    subject = Subject(
        customer_id_from_proto(request.customer_id),
        person_id_from_proto(request.person_id),
        check_id("purpose", request.purpose),
    )
    channel = check_id("channel", request.channel)
    occurred_at = times.from_proto(request.occurred_at, "occurred_at")
    return Said(subject, given, text_version, channel, occurred_at, current_caller().subject)


def _checked(field: str, check: pb.ConsentCheck) -> Subject:
    return Subject(
        customer_id_from_proto(check.customer_id, f"{field}.customer_id"),
        person_id_from_proto(check.person_id, f"{field}.person_id"),
        check_id(f"{field}.purpose", check.purpose),
    )
