"""The points machine on the rules alone: postings as the store makes them, carried out by the ledger's engine."""

from chassis.errors import Refusal
from chassis.testing.games import games
from hypothesis.stateful import run_state_machine_as_test
from ledger import AnyCommand, Asset
from ledger.domain.account import Account
from ledger.domain.engine import EXPIRED, Books
from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.domain.points import ASSET, Grant, Hold, HoldEnd, Share
from member.domain.spending import Purpose, Reversal, ReversalShortfall, Spend, Transfer
from member.store import postings

from services.member.tests.points_machine import MOST_OWED, PERSONS, REGRANT, Answer, PointsMachine, day


def member_of(who: str) -> MemberId:
    """The membership of a person in games without a database."""
    return MemberId(f"m-{who}")


class RulesMachine(PointsMachine):
    """The rules alone: postings as the store makes them, carried out by the ledger's engine."""

    def __init__(self) -> None:
        super().__init__()
        accounts = [postings.points_account(member_of(who)) for who in PERSONS]
        system = frozenset([postings.ISSUED, postings.REDEEMED, EXPIRED])
        self.books = Books(system, {account: Account(account, Asset(ASSET)) for account in accounts})

    def post(self, command: AnyCommand) -> Answer:
        (outcome,) = self.books.decide([command])
        if isinstance(outcome, Refusal):
            return type(outcome).__name__
        accounts = dict.fromkeys(line.account for line in outcome.lines)
        standing = [self.books.accounts[account] for account in accounts]
        return {account.id.removeprefix("points:m-"): (account.balance, account.held) for account in standing}

    def do_earn(self, name: str, who: str, points: int, *, on: int, expires: int) -> Answer:
        shares = (Share(member_of(who), points, day(expires)),)
        return self.post(postings.grant_posting(Grant(name, PointsKind.EARN_AWARD, "survey", day(on), shares)))

    def do_redeem(self, name: str, who: str, points: int, *, on: int) -> Answer:
        spend = Spend(name, (member_of(who),), points, "", day(on), purpose=Purpose.GIFT)
        return self.post(postings.spend_posting(spend))

    def do_pay_together(self, name: str, points: int, *, on: int) -> Answer:
        if not self.pool:
            return "PoolNotFound"
        spend = Spend(name, tuple(map(member_of, self.pool)), points, "", day(on), purpose=Purpose.GIFT)
        return self.post(postings.spend_posting(spend))

    def do_put_pool(self, persons: tuple[str, ...]) -> None:
        """The machine's own."""

    def do_transfer(self, name: str, giver: str, receiver: str, points: int, *, on: int) -> Answer:
        transfer = Transfer(name, member_of(giver), member_of(receiver), points, reason="", occurred_at=day(on))
        return self.post(postings.transfer_posting(transfer))

    def do_hold(self, name: str, who: str, points: int, *, on: int, expires: int) -> Answer:
        hold = Hold(name, member_of(who), points, "cup", day(on), day(expires))
        return self.post(postings.hold_posting(hold))

    def do_confirm(self, name: str, of: str, points: int | None, *, on: int) -> Answer:
        return self.post(postings.confirmation_posting(HoldEnd(name, of, day(on)), points))

    def do_release(self, name: str, of: str, *, on: int) -> Answer:
        return self.post(postings.release_posting(HoldEnd(name, of, day(on))))

    def do_reverse(self, name: str, of: str, points: int | None, policy: ReversalShortfall, *, on: int) -> Answer:
        reversal = Reversal(
            name,
            of,
            points,
            "returned",
            day(on),
            shortfall=policy,
            most_owed=MOST_OWED,
            regrant_for=REGRANT,
        )
        return self.post(postings.reversal_posting(reversal))

    def do_expire(self, on: int) -> None:
        for account in self.books.accounts:
            self.books.settle(account, day(on))

    def balance_at(self, who: str, number: int) -> tuple[int, int]:
        account = postings.points_account(member_of(who))
        books = Books(self.books.system_accounts, {account: self.books.accounts[account].copy()})
        books.settle(account, day(number))
        balance, held = books.accounts[account].balance, books.accounts[account].held
        for posted in self.books.booked.values():
            if posted.occurred_at > day(number):
                lines = [line for line in posted.lines if line.account == account]
                balance -= sum(line.amount for line in lines)
                held -= sum(line.held_change for line in lines)
        return balance, held


def test_the_rules_agree_with_the_model() -> None:
    run_state_machine_as_test(RulesMachine, settings=games(2000, acts=50, begun_by=1))
