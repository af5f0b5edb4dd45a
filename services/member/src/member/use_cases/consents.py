"""Say yes or no to a purpose, and tell who agreed to what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.consent import Consent, ConsentChanged, Said, Standing, Subject, adds_nothing, stated
from member.domain.customer import EVERYBODY, Customer, CustomerId, PersonNotFound
from member.store import Connection, customers
from member.store import consents as store
from member.use_cases.customers import get_customer

CHECKS_MAX = 1000
# How far the clock of whoever passes a word on may be ahead.
CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SayConsent:
    """Give consent to a purpose, or withdraw it: then the text is that of the last consent."""

    said: Said


async def say_consents(transaction: Transaction, commands: Sequence[SayConsent]) -> list[Consent | Refusal]:
    """Note what was said, in order; what holds afterwards is the latest by business time.

    Saying again what holds already changes nothing. Withdrawing what was never given is noted as a no. Refuses
    PersonNotFound, CustomerNotFound, CustomerMerged or CustomerErased, and InvalidArgument for a word from the future:
    nothing that is said until then would overtake it.
    """
    connection = transaction.connection
    known = await customers.find_customers_for_update(connection, {each.said.subject.customer_id for each in commands})
    standing = await store.standings(connection, {each.said.subject for each in commands})
    new: list[Consent] = []
    outcomes: list[Consent | Refusal] = []
    for command in commands:
        subject = command.said.subject
        refusal = _refusal(command.said, known[subject.customer_id], transaction.recorded_at)
        outcomes.append(refusal or _say(transaction, command.said, standing, new))
    await store.insert_consents(connection, new, recorded_at=transaction.recorded_at)
    return outcomes


async def check_consents(
    connection: Connection, subjects: Sequence[Subject], *, as_of: datetime | None
) -> list[str | None]:
    """The version of the text agreed to where consent is given, None where it is not; at most 1000 at once."""
    if len(subjects) > CHECKS_MAX:
        raise InvalidArgument("checks", f"must have at most {CHECKS_MAX} items")
    return await store.check_consents(connection, subjects, as_of=as_of)


async def list_consents(connection: Connection, customer_id: CustomerId, page: Page) -> list[Consent]:
    """What holds about each subject, by person and purpose, one more than the page holds where there are more."""
    await get_customer(connection, customer_id)
    person_id, separator, purpose = (page.after or " ").partition(" ")
    if not separator:
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return await store.list_consents(connection, customer_id, after=(person_id, purpose), limit=page.wanted)


async def list_consent_history(
    connection: Connection, customer_id: CustomerId, page: Page
) -> list[tuple[int, Consent]]:
    """Every statement with its place, newest first, one more than the page holds where there are more."""
    await get_customer(connection, customer_id)
    return await store.list_history(connection, customer_id, before=number_of(page), limit=page.wanted)


def number_of(page: Page) -> int | None:
    """The number behind which a page begins, or InvalidArgument for a token that is none."""
    if page.after is None:
        return None
    if not (page.after.isascii() and page.after.isdigit() and len(page.after) < len(str(2**63))):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return int(page.after)


def _refusal(said: Said, customer: Customer | Refusal, recorded_at: datetime) -> Refusal | None:
    subject = said.subject
    if said.occurred_at > recorded_at + CLOCKS_APART:
        return InvalidArgument("occurred_at", "must not lie in the future")
    if isinstance(customer, Refusal):
        return customer
    if subject.person_id != EVERYBODY and customer.person(subject.person_id) is None:
        return PersonNotFound(subject.customer_id, subject.person_id)
    return None


def _say(transaction: Transaction, said: Said, standing: dict[Subject, Standing], new: list[Consent]) -> Consent:
    """One statement, after those of the batch before it; returns what holds then."""
    before = standing[said.subject]
    if before.holds is not None and adds_nothing(said, before):
        return before.holds
    if not said.given:
        said = replace(said, text_version=before.holds.said.text_version if before.holds else "")
    consent, after = stated(said, before, transaction.recorded_at)
    new.append(consent)
    standing[said.subject] = after
    if after.holds is consent:
        transaction.emit(ConsentChanged(consent))
    assert after.holds is not None
    return after.holds
