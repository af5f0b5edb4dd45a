"""Charges as they were taken, to be looked at."""

from collections.abc import Sequence
from typing import NamedTuple

from chassis.paging import Page

from billing.domain.charge import ChargeCategory, ChargeRecord, PaidShare, charge_not_found
from billing.domain.ids import AccountId, ChargeId, CustomerId
from billing.domain.reckoning import Reckoned
from billing.store import Connection
from billing.store import reckoning as reckonings
from billing.store.charge import find_charges, find_shares, list_charges
from billing.use_cases.account import owned_account


class Explained(NamedTuple):
    """A charge with how it came about, and who paid where others did."""

    charge: ChargeRecord
    reckoned: Reckoned
    shares: Sequence[PaidShare]


async def get_charge(connection: Connection, charge_id: ChargeId, customer_id: CustomerId | None) -> Explained:
    """Refuses ChargeNotFound, also for a charge of another than the named customer."""
    charge = (await find_charges(connection, [charge_id])).get(charge_id)
    if charge is None:
        raise charge_not_found(charge_id)
    charge.check_owner(customer_id)
    stored = (await reckonings.find(connection, [charge_id])).get(charge_id)
    reckoned = stored or Reckoned(charge_id, charge.occurred_at, charge.own_reckoning)
    return Explained(charge, reckoned, await find_shares(connection, charge))


async def charges_page(
    connection: Connection,
    account_id: AccountId,
    customer_id: CustomerId | None,
    *,
    category: ChargeCategory | None,
    page: Page,
) -> list[ChargeRecord]:
    """One more than the page holds, newest first. Refuses AccountNotFound."""
    await owned_account(connection, account_id, customer_id)
    before = ChargeId(page.after) if page.after else None
    return await list_charges(connection, account_id, category, before=before, limit=page.wanted)
