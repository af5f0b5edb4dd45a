"""Payment notices, worked out at the moment they are asked for."""

from datetime import datetime

from chassis.calendar import Calendar

from billing.domain.account import Account, account_not_found
from billing.domain.ids import AccountId, CustomerId
from billing.domain.notice import Business, NoticeOf, notice_of
from billing.domain.plan import plan_at
from billing.store import Connection
from billing.store import reckoning as reckonings
from billing.store.account import find_account
from billing.store.balance import parts
from billing.store.notice import documents_of, movements_since_back, pending_of, renewals_of
from billing.store.plan import plans_since


async def payment_notice(connection: Connection, account: Account, as_of: datetime, calendar: Calendar) -> NoticeOf:
    """What the account is asked to pay as the business stands."""
    movements, cut = await movements_since_back(connection, account, as_of=as_of)
    documents = await documents_of(connection, account.account_id)
    business = Business(
        account=account,
        movements=movements,
        cut=cut,
        reckonings=await reckonings.find(connection, {each.charge_id for each in movements if each.charge_id}),
        renewals=await renewals_of(connection, account, calendar),
        bills=documents,
        pending=await pending_of(connection, account.account_id, documents),
    )
    plan = plan_at(await plans_since(connection, [account.plan_id], as_of), account.plan_id, as_of)
    return NoticeOf(
        account=account,
        as_of=as_of,
        balance=(await parts(connection, [account], as_of))[account.account_id],
        threshold=None if plan is None else account.money(plan.threshold_minor(account)),
        notice=notice_of(business),
    )


async def owned_account(connection: Connection, account_id: AccountId, customer_id: CustomerId | None) -> Account:
    """Refuses AccountNotFound, also for an account of another than the named customer."""
    account = await find_account(connection, account_id)
    if account is None:
        raise account_not_found(account_id)
    account.check_owner(customer_id)
    return account
