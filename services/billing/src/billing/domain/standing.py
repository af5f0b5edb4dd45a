"""Whether an account is served: suspended over a bill that nobody paid, or by an operator's decision."""

from chassis.errors import Refusal

from billing.domain.account import Account, AccountState, Because


class AccountSuspended(Refusal):
    """A suspended account takes no reservations, orders or bigger subscriptions. It takes money and rated charges."""


class AlreadySuspended(Refusal):
    """An operator suspended the account before."""


class AccountActive(Refusal):
    """An account that is served is not resumed."""


def check_served(account: Account) -> None:
    """Refuses AccountSuspended."""
    if account.service.state is AccountState.SUSPENDED:
        raise AccountSuspended(f"account {account.account_id} is suspended", account_id=account.account_id)


def check_not_suspended(account: Account) -> None:
    """Refuses AlreadySuspended where an operator did it; a suspension over a bill may be taken over."""
    if account.service.state is AccountState.SUSPENDED and account.service.because is Because.OPERATOR:
        raise AlreadySuspended(f"account {account.account_id} is suspended", account_id=account.account_id)


def check_suspended(account: Account) -> None:
    """Refuses AccountActive."""
    if account.service.state is AccountState.ACTIVE:
        raise AccountActive(f"account {account.account_id} is served", account_id=account.account_id)
