"""The engine's rules, one by one."""

import pytest
from chassis.errors import InvalidArgument, Refusal
from ledger import (
    AccountId,
    AccountNotFound,
    AlreadyReversed,
    AmountOverflow,
    AnyCommand,
    Asset,
    AssetMismatch,
    CaptureExceedsHold,
    Entry,
    FloorAboveBalance,
    HoldEnded,
    HoldExpired,
    HoldNotFound,
    InsufficientBalance,
    LotMove,
    LotTerms,
    NotReversible,
    Post,
    Posted,
    ReversalExceedsOriginal,
    Shortfall,
    Source,
    SourceReused,
    SystemLine,
    TransactionNotFound,
)
from ledger.domain.account import Account
from ledger.domain.command import AMOUNT_LIMIT, BALANCE_LIMIT, SOURCE_LENGTH
from ledger.domain.engine import EXPIRED, Books

from .factories import (
    ANNA,
    BEN,
    ISSUED,
    POINTS,
    REDEEMED,
    add,
    confirm,
    day,
    draw,
    earn,
    hold,
    pass_on,
    release,
    reverse,
    set_floor,
    spend,
)


@pytest.fixture
def books() -> Books:
    accounts = {name: Account(name, POINTS) for name in (ANNA, BEN)}
    return Books(frozenset([ISSUED, REDEEMED, EXPIRED]), accounts)


def posted(books: Books, *commands: AnyCommand) -> list[Posted]:
    outcomes = books.decide(commands)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Refusal)], outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Posted)]


def refused(books: Books, command: AnyCommand) -> Refusal:
    before = repr(books)
    (outcome,) = books.decide([command])
    assert isinstance(outcome, Refusal), outcome
    assert repr(books) == before, "a refusal leaves no trace"
    return outcome


def left(books: Books, account: AccountId = ANNA) -> dict[int, int]:
    return {lot.version: lot.remaining for lot in books.accounts[account].lots.values() if lot.remaining}


def test_an_answer_tells_the_balance_on_both_sides_and_the_version(books: Books) -> None:
    first, second = posted(books, add("a", 100), spend("s", 30))
    assert first.lines[0].balance_before == 0
    (line,) = second.lines
    assert (line.account_version, line.balance_before, line.balance_after) == (2, 100, 70)
    assert (line.available_before, line.available_after) == (100, 70)
    assert second.system_lines == (SystemLine(REDEEMED, 30),)


def test_a_refused_command_leaves_its_neighbours_alone(books: Books) -> None:
    outcomes = books.decide([add("a", 10), spend("s1", 11), spend("s2", 4), spend("s3", 7), spend("s4", 6)])
    assert [type(outcome) for outcome in outcomes] == [Posted, InsufficientBalance, Posted, InsufficientBalance, Posted]
    assert books.accounts[ANNA].balance == 0
    assert books.accounts[ANNA].version == 3


def test_a_refusal_does_not_even_book_the_expiry_it_met(books: Books) -> None:
    posted(books, earn("e", 10, expires=5))
    assert isinstance(refused(books, spend("s", 1, on=6)), InsufficientBalance)


def test_debits_take_the_lot_that_expires_first_then_the_older_and_loose_last(books: Books) -> None:
    posted(books, add("a", 10), earn("e1", 10, expires=9), earn("e2", 10, expires=5), earn("e3", 10, expires=5))
    (spent,) = posted(books, spend("s", 35, on=1))
    assert spent.lines[0].moves == (LotMove(3, -10), LotMove(4, -10), LotMove(2, -10))
    assert books.accounts[ANNA].balance == 5


def test_priority_goes_before_expiry(books: Books) -> None:
    posted(books, earn("e1", 10, expires=5, priority=1), earn("e2", 10, expires=9), earn("e3", 10))
    (spent,) = posted(books, spend("s", 25))
    assert spent.lines[0].moves == (LotMove(2, -10), LotMove(3, -10), LotMove(1, -5))


def test_a_lot_is_gone_at_exactly_its_expiry(books: Books) -> None:
    posted(books, earn("e", 10, expires=5))
    assert isinstance(refused(books, spend("s1", 1, on=5)), InsufficientBalance)
    posted(books, spend("s2", 1, on=4.999))


def test_what_is_due_is_booked_first_and_dated_at_its_own_instant(books: Books) -> None:
    posted(books, earn("e1", 10, expires=7), earn("e2", 5, expires=3), add("a", 20))
    (spent,) = posted(books, spend("s", 1, on=20))
    assert [(each.occurred_at, each.lines[0].amount) for each in spent.settled] == [(day(3), -5), (day(7), -10)]
    assert [each.source for each in spent.settled] == ["lot_expiry:points:anna/2", "lot_expiry:points:anna/1"]
    assert spent.settled[0].system_lines == (SystemLine(EXPIRED, 5),)
    assert spent.lines[0].balance_before == 20


def test_a_late_posting_still_finds_the_lot_that_lived_when_it_happened(books: Books) -> None:
    posted(books, earn("e", 10, expires=5), spend("late", 10, on=4))
    assert books.accounts[ANNA].balance == 0


def test_a_hold_takes_from_available_and_leaves_the_balance(books: Books) -> None:
    (_, held) = posted(books, add("a", 100), hold("h", 60))
    assert (held.lines[0].balance_after, held.lines[0].held_after, held.lines[0].available_after) == (100, 60, 40)
    assert isinstance(refused(books, spend("s", 41)), InsufficientBalance)


def test_a_hold_that_may_be_smaller_takes_what_there_is(books: Books) -> None:
    (_, held) = posted(books, add("a", 100), hold("h", 150, at_least=100))
    assert held.lines[0].held_change == 100
    assert isinstance(refused(books, hold("h2", 5, at_least=1)), InsufficientBalance)
    for at_least in (0, 6):
        refusal = refused(books, hold("h3", 5, at_least=at_least))
        assert isinstance(refusal, InvalidArgument)
        assert refusal.violations[0].field == "at_least"


def test_a_draw_that_may_be_smaller_takes_what_there_is(books: Books) -> None:
    posted(books, add("a", 10), add("b", 20, account=BEN))
    assert isinstance(refused(books, draw("d", [ANNA, BEN], 40, to=REDEEMED, at_least=31)), InsufficientBalance)
    (drawn,) = posted(books, draw("d", [ANNA, BEN], 40, to=REDEEMED, at_least=30))
    assert [(line.account, line.amount) for line in drawn.lines] == [(ANNA, -10), (BEN, -20)]


def test_a_capture_takes_a_part_and_frees_the_rest(books: Books) -> None:
    posted(books, earn("e1", 50, expires=30), earn("e2", 50, expires=40), hold("h", 80))
    (captured,) = posted(books, confirm("c", "h", 60, on=1))
    assert captured.ends == "h"
    assert (captured.lines[0].amount, captured.lines[0].held_change) == (-60, -80)
    assert left(books) == {2: 40}, "the freed part is the one taken last"
    assert isinstance(refused(books, confirm("c2", "h", on=1)), HoldEnded)
    assert isinstance(refused(books, release("r", "h", on=1)), HoldEnded)


def test_a_capture_is_bounded_and_known(books: Books) -> None:
    posted(books, add("a", 10), hold("h", 5))
    assert isinstance(refused(books, confirm("c", "h", 6)), CaptureExceedsHold)
    assert isinstance(refused(books, confirm("c", "x", 1)), HoldNotFound)
    assert isinstance(refused(books, confirm("c", "h", 0)), InvalidArgument)


def test_a_hold_is_over_at_exactly_its_expiry_and_stops_counting(books: Books) -> None:
    posted(books, add("a", 10), hold("h1", 10, expires=5))
    assert isinstance(refused(books, confirm("c", "h1", on=5)), HoldExpired)
    (spent,) = posted(books, spend("s", 10, on=5))
    assert [(each.kind, each.ends, each.occurred_at) for each in spent.settled] == [("hold_expiry", "h1", day(5))]
    assert isinstance(refused(books, confirm("c", "h1", on=6)), HoldExpired)


def test_what_is_held_does_not_expire_until_it_is_free(books: Books) -> None:
    posted(books, earn("e", 10, expires=5), hold("h", 6, expires=20))
    posted(books, add("a", 1, on=7))
    assert books.accounts[ANNA].balance == 7, "the four that were free are gone"
    posted(books, confirm("c", "h", 5, on=8))
    assert books.accounts[ANNA].balance == 1, "one of the six came back too late and is gone too"
    assert books.accounts[ANNA].in_lots == 0


def test_a_release_may_give_expired_points_some_grace(books: Books) -> None:
    posted(books, earn("e", 10, expires=5), hold("h", 6, expires=20))
    (released,) = posted(books, release("r", "h", on=8, regrant_days=3))
    assert [each.lines[0].amount for each in released.settled] == [-4]
    assert left(books) == {released.lines[0].account_version: 6}
    assert isinstance(refused(books, spend("s", 6, on=11)), InsufficientBalance)
    posted(books, spend("s", 6, on=10))


def test_a_reversed_debit_returns_to_its_lots_last_taken_first(books: Books) -> None:
    posted(books, earn("e1", 10, expires=30), earn("e2", 10, expires=40), spend("s", 16))
    posted(books, reverse("r1", "s", 8))
    assert left(books) == {1: 2, 2: 10}
    posted(books, reverse("r2", "s"))
    assert left(books) == {1: 10, 2: 10}
    assert isinstance(refused(books, reverse("r3", "s")), AlreadyReversed)


def test_a_reversed_debit_of_an_expired_lot_expires_at_once_unless_said_otherwise(books: Books) -> None:
    posted(books, earn("e", 10, expires=5), spend("s", 10, on=1))
    (first,) = posted(books, reverse("r1", "s", 4, on=6))
    assert [each.lines[0].amount for each in first.settled] == [-4]
    assert books.accounts[ANNA].balance == 0
    posted(books, reverse("r2", "s", 6, on=6, regrant_days=7))
    assert [lot.terms for lot in books.accounts[ANNA].lots.values() if lot.remaining] == [LotTerms(day(13))]


def test_a_reversal_dated_before_a_booked_expiry_does_not_revive_the_lot(books: Books) -> None:
    posted(books, earn("e", 10, expires=5), spend("s", 4, on=1), add("a", 1, on=6))
    (undone,) = posted(books, reverse("r", "s", on=2))
    assert [each.occurred_at for each in undone.settled] == [day(2)]
    assert books.accounts[ANNA].balance == 1


def test_partial_reversals_do_not_pass_the_original(books: Books) -> None:
    posted(books, add("a", 10), spend("s", 10), reverse("r1", "s", 7))
    assert isinstance(refused(books, reverse("r2", "s", 4)), ReversalExceedsOriginal)
    posted(books, reverse("r3", "s", 3))


@pytest.mark.parametrize(
    ("shortfall", "taken", "remaining"),
    [(Shortfall.ONLY_WHAT_IS_LEFT, 4, {2: 3}), (Shortfall.DOWN_TO_FLOOR, 7, {})],
)
def test_a_reversed_credit_takes_what_the_policy_lets_it(
    books: Books, shortfall: Shortfall, taken: int, remaining: dict[int, int]
) -> None:
    posted(books, earn("e1", 10, expires=9), earn("e2", 3, expires=20), spend("s", 6))
    assert isinstance(refused(books, reverse("r1", "e1")), InsufficientBalance)
    (undone,) = posted(books, reverse("r2", "e1", shortfall=shortfall))
    assert undone.lines[0].amount == -taken
    assert undone.reversed_amount == 10, "what was asked is dealt with, whatever could be taken"
    assert left(books) == remaining
    assert isinstance(refused(books, reverse("r3", "e1", 1)), AlreadyReversed)


def test_a_reversed_credit_takes_its_own_lot_before_an_earlier_one(books: Books) -> None:
    posted(books, earn("e1", 10, expires=5), earn("e2", 10, expires=9), reverse("r", "e2", 8))
    assert left(books) == {1: 10, 2: 2}


def test_a_transfer_is_undone_on_both_sides(books: Books) -> None:
    posted(books, earn("e", 10, expires=5), pass_on("p", 6, on=1))
    assert books.accounts[BEN].balance == 6
    posted(books, reverse("r", "p", on=2))
    assert (left(books), books.accounts[BEN].balance) == ({1: 10}, 0)


def test_a_capture_is_reversed_into_the_lots_the_hold_took(books: Books) -> None:
    posted(books, earn("e1", 5, expires=8), earn("e2", 5, expires=9), hold("h", 10), confirm("c", "h", 7))
    posted(books, reverse("r", "c"))
    assert left(books) == {1: 5, 2: 5}


def test_only_what_moved_is_reversible(books: Books) -> None:
    posted(books, add("a", 10), hold("h", 5), reverse("r", "a", 1))
    assert isinstance(refused(books, reverse("x", "h")), NotReversible)
    assert isinstance(refused(books, reverse("x", "r")), NotReversible)
    assert isinstance(refused(books, reverse("x", "nothing")), TransactionNotFound)


def test_what_several_accounts_got_is_reversed_whole_or_not_at_all(books: Books) -> None:
    entries = (Entry(ISSUED, -10), Entry(ANNA, 6), Entry(BEN, 4))
    posted(books, Post(source=Source("split"), kind="split", occurred_at=day(0), entries=entries))
    assert isinstance(refused(books, reverse("r", "split", 5)), InvalidArgument)
    posted(books, reverse("r", "split"))
    assert (books.accounts[ANNA].balance, books.accounts[BEN].balance) == (0, 0)


def test_a_part_of_what_several_paid_goes_back_to_who_paid_last(books: Books) -> None:
    posted(books, earn("a", 10, expires=5), add("b", 10, account=BEN), draw("d", [ANNA, BEN], 14, to=REDEEMED))
    posted(books, reverse("r1", "d", 6))
    assert (books.accounts[ANNA].balance, books.accounts[BEN].balance) == (2, 10)
    assert left(books) == {1: 2}
    posted(books, reverse("r2", "d"))
    assert (books.accounts[ANNA].balance, books.accounts[BEN].balance) == (10, 10)


def test_who_pays_first_pays_all_that_it_can(books: Books) -> None:
    posted(books, add("a", 10), hold("h", 4), add("b", 10, account=BEN))
    (paid,) = posted(books, draw("d", [ANNA, BEN], 9, to=REDEEMED))
    assert [(line.account, line.amount) for line in paid.lines] == [(ANNA, -6), (BEN, -3)]
    (again,) = posted(books, draw("d2", [ANNA, BEN], 7, to=REDEEMED))
    assert [line.account for line in again.lines] == [BEN], "who has nothing takes no part"
    refusal = refused(books, draw("d3", [ANNA, BEN], 1, to=REDEEMED))
    assert isinstance(refusal, InsufficientBalance)
    assert refusal.metadata["available"] == "0"


@pytest.mark.parametrize("payers", [[], [ANNA, ANNA], [ANNA, BEN]])
def test_who_pays_is_named_once_and_does_not_receive(books: Books, payers: list[str]) -> None:
    posted(books, add("a", 10))
    assert isinstance(refused(books, draw("d", payers, 1, to=BEN)), InvalidArgument)


def test_lots_keep_their_terms_when_they_move(books: Books) -> None:
    posted(books, earn("e1", 5, expires=9, priority=1), earn("e2", 5, expires=8), add("a", 5), draw("d", [ANNA], 12))
    lots = books.accounts[BEN].lots.values()
    assert [(lot.remaining, lot.terms) for lot in lots] == [(5, LotTerms(day(8))), (5, LotTerms(day(9), 1))]
    assert books.accounts[BEN].balance == 12
    posted(books, add("later", 1, account=BEN, on=9))
    assert books.accounts[BEN].balance == 3


def test_what_a_reversal_leaves_owing_is_paid_by_what_comes_in_first(books: Books) -> None:
    posted(books, earn("e", 10, expires=9), spend("s", 8))
    (undone,) = posted(books, reverse("r", "e", shortfall=Shortfall.OWE, most_owed=5))
    assert (undone.lines[0].amount, books.accounts[ANNA].balance) == (-7, -5)
    assert isinstance(refused(books, spend("s2", 1)), InsufficientBalance)
    posted(books, earn("e2", 4, expires=20))
    assert (left(books), books.accounts[ANNA].owed) == ({}, 1)
    posted(books, earn("e3", 4, expires=20))
    assert (books.accounts[ANNA].balance, sum(left(books).values()), books.accounts[ANNA].owed) == (3, 3, 0)
    posted(books, spend("s3", 3))


def test_a_credit_limit_is_a_floor_below_zero(books: Books) -> None:
    posted(books, set_floor("f1", -50), spend("s", 40))
    assert books.accounts[ANNA].balance == -40
    assert isinstance(refused(books, spend("s2", 11)), InsufficientBalance)
    assert isinstance(refused(books, set_floor("f2", -39)), FloorAboveBalance)
    assert isinstance(refused(books, set_floor("f2", 1)), InvalidArgument)


def test_a_source_is_used_once(books: Books) -> None:
    posted(books, add("a", 1))
    assert isinstance(refused(books, add("a", 1)), SourceReused)
    assert isinstance(refused(books, spend("a", 1)), SourceReused)


@pytest.mark.parametrize("amount", [0, AMOUNT_LIMIT + 1, 2**63])
def test_amounts_outside_the_range_are_refused_by_name(books: Books, amount: int) -> None:
    refusal = refused(books, add("a", amount))
    assert [violation.field for violation in refusal.violations] == ["entries[0].amount"]


def test_a_balance_does_not_leave_its_range(books: Books) -> None:
    books.accounts[ANNA].balance = BALANCE_LIMIT
    assert isinstance(refused(books, add("a", 1)), AmountOverflow)


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ((Entry(ISSUED, -10), Entry(ANNA, 9)), "entries"),
        ((Entry(ISSUED, -10), Entry(REDEEMED, 10)), "entries"),
        ((), "entries"),
        ((Entry(ISSUED, 10), Entry(ANNA, -10, LotTerms(None))), "entries[1].lot"),
        ((Entry(ISSUED, -10), Entry(ANNA, 10, LotTerms(day(0)))), "entries[1].lot.expires_at"),
    ],
)
def test_entries_that_make_no_transaction_are_refused_by_name(
    books: Books, entries: tuple[Entry, ...], field: str
) -> None:
    refusal = refused(books, Post(source=Source("p"), kind="odd", occurred_at=day(0), entries=entries))
    assert isinstance(refusal, InvalidArgument)
    assert [violation.field for violation in refusal.violations] == [field]


@pytest.mark.parametrize("source", ["", "x" * (SOURCE_LENGTH + 1)])
def test_a_source_has_a_bounded_length(books: Books, source: str) -> None:
    assert [violation.field for violation in refused(books, add(source, 1)).violations] == ["source"]


def test_accounts_are_opened_before_they_are_used_and_keep_one_asset(books: Books) -> None:
    assert isinstance(refused(books, add("a", 1, account="points:nobody")), AccountNotFound)
    books.accounts[BEN].asset = Asset("CNY")
    posted(books, add("a", 1))
    assert isinstance(refused(books, pass_on("p", 1)), AssetMismatch)
