"""Whether an account is served: suspended over a bill that nobody paid, or by an operator's decision."""

from chassis.errors import Refusal

from billing.domain.account import Account, AccountState


class AccountSuspended(Refusal):
    """A suspended account takes no reservations, orders or bigger subscriptions. It takes money and rated charges."""


def check_served(account: Account) -> None:
    """Refuses AccountSuspended."""
    if account.service.state is AccountState.SUSPENDED:
        raise AccountSuspended(f"account {account.account_id} is suspended", account_id=account.account_id)
