"""A state machine that plays the points of a household against the plain model, at any business time."""

from datetime import timedelta
from functools import cache
from typing import ClassVar

from chassis.testing.games import DRAWN, Parts, numbers_of
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from ledger import Shortfall
from member.domain.spending import ReversalShortfall

from libs.ledger.tests.model import Household
from services.member.tests import factories

day = cache(factories.day)

PERSONS = ("", "p-1", "p-2")
REGRANT = timedelta(days=3)
MOST_OWED = 25

SHORTFALLS = {
    ReversalShortfall.ONLY_WHAT_IS_LEFT: Shortfall.ONLY_WHAT_IS_LEFT,
    ReversalShortfall.DOWN_TO_ZERO: Shortfall.DOWN_TO_FLOOR,
    ReversalShortfall.NEGATIVE: Shortfall.OWE,
}

Answer = str | dict[str, tuple[int, int]]
"""The reason of a refusal, or balance and held of each person whose points the act moved."""


class PointsParts(Parts):
    """What acts on points are made of."""

    @property
    def points(self) -> int:
        return 1 + self.below(40)

    @property
    def late(self) -> int:
        return (0, 0, 0, 1, 4)[self.below(5)]


class PointsMachine(RuleBasedStateMachine):
    """Three memberships of one household earn, spend, hold, transfer, pay together and undo. Subclasses say what does
    it: each act returns what the service answers."""

    LIFETIMES: ClassVar = (1, 2, 5, 5, 9, 20)

    def __init__(self) -> None:
        super().__init__()
        self.model = Household(*PERSONS)
        self.pool: tuple[str, ...] = ()
        self.now = 10
        self.named = 0
        self.touched: set[str] = set()

    def name(self) -> str:
        """A transaction of its own."""
        self.named += 1
        return f"t{self.named}"

    def expect(self, answer: Answer, refusal: str | None, *touched: str) -> None:
        """The act was refused or not as in the model, and left who it touched as the model has it."""
        if refusal is not None:
            assert answer == refusal, (answer, refusal)
            return
        self.touched.update(touched)
        purses = {person: self.model.purses[person] for person in dict.fromkeys(touched)}
        assert answer == {who: (purse.available + purse.held, purse.held) for who, purse in purses.items()}

    @initialize()
    def begin(self) -> None:
        self.pool = PERSONS
        self.do_put_pool(self.pool)

    @rule(drawn=DRAWN)
    def act(self, drawn: bytes) -> None:
        for parts in map(PointsParts, numbers_of(drawn)):
            act = self.ACTS[parts.below(len(self.ACTS))]
            note(f"# {act.__name__}")
            act(self, parts)
        self.agrees_with_the_model()

    def let_time_pass(self, parts: PointsParts) -> None:
        self.now += 1 + parts.below(3)

    def earn(self, parts: PointsParts) -> None:
        name = self.name()
        who, points, on = PERSONS[parts.below(3)], parts.points, self.now - parts.late
        expires = on + self.LIFETIMES[parts.below(len(self.LIFETIMES))]
        self.model.earn(name, who, points, at=day(on), expires=day(expires), priority=0)
        self.expect(self.do_earn(name, who, points, on=on, expires=expires), None, who)

    def redeem(self, parts: PointsParts) -> None:
        name = self.name()
        who, points, on = PERSONS[parts.below(3)], parts.points, self.now - parts.late
        refusal = self.model.draw(name, [who], None, points, at=day(on))
        self.expect(self.do_redeem(name, who, points, on=on), refusal, who)

    def pay_together(self, parts: PointsParts) -> None:
        name = self.name()
        points, on = 2 * parts.points, self.now - parts.late
        refusal = self.model.draw(name, self.pool, None, points, at=day(on)) if self.pool else "PoolNotFound"
        paid = dict.fromkeys(who for who, _ in self.model.originals[name].stack) if refusal is None else ()
        self.expect(self.do_pay_together(name, points, on=on), refusal, *paid)

    def put_pool(self, parts: PointsParts) -> None:
        order = sorted(PERSONS, key=lambda _: parts.below(97))
        self.pool = tuple(order[: parts.below(4)])
        self.do_put_pool(self.pool)

    def transfer(self, parts: PointsParts) -> None:
        name = self.name()
        giver = parts.below(3)
        receiver, points, on = PERSONS[(giver + 1 + parts.below(2)) % 3], parts.points, self.now - parts.late
        refusal = self.model.draw(name, [PERSONS[giver]], receiver, points, at=day(on))
        answer = self.do_transfer(name, PERSONS[giver], receiver, points, on=on)
        self.expect(answer, refusal, PERSONS[giver], receiver)

    def hold(self, parts: PointsParts) -> None:
        name = self.name()
        who, points, on, lifetime = PERSONS[parts.below(3)], parts.points, self.now - parts.late, 1 + parts.below(6)
        refusal = self.model.hold(name, who, points, at=day(on), expires=day(on + lifetime))
        self.expect(self.do_hold(name, who, points, on=on, expires=on + lifetime), refusal, who)

    def confirm(self, parts: PointsParts) -> None:
        name = self.name()
        of, on, points = self._hold(parts), self.now - parts.late, (None, parts.points)[parts.below(2)]
        refusal = self.model.end(name, of, points, at=day(on))
        self.expect(self.do_confirm(name, of, points, on=on), refusal, *self._holder(of))

    def release(self, parts: PointsParts) -> None:
        name = self.name()
        of, on = self._hold(parts), self.now - parts.late
        refusal = self.model.end(None, of, None, at=day(on))
        self.expect(self.do_release(name, of, on=on), refusal, *self._holder(of))

    def reverse(self, parts: PointsParts) -> None:
        name = self.name()
        known = [*self.model.originals, "nothing"]
        # As often the newest as any: what was just done is what is most often undone.
        of = known[-2] if parts.below(2) and len(known) > 1 else known[parts.below(len(known))]
        on, points = self.now - parts.late, (None, parts.points)[parts.below(2)]
        policy = tuple(ReversalShortfall)[parts.below(3)]
        before = len(self.model.steps)
        refusal = self.model.reverse(
            of,
            points,
            SHORTFALLS[policy],
            at=day(on),
            regrant=REGRANT,
            most_owed=MOST_OWED,
        )
        answer = self.do_reverse(name, of, points, policy, on=on)
        if isinstance(answer, str):
            assert answer == refusal, (answer, refusal)
        else:
            moved = {step.who for step in self.model.steps[before:] if step.at == day(on)}
            assert moved <= set(answer), "whoever the model moved points of is in the answer"
            self.expect(answer, refusal, *answer)

    def expire(self, _: PointsParts) -> None:
        self.touched.update(PERSONS)
        for person in PERSONS:
            self.model.settle(person, day(self.now))
        self.do_expire(self.now)

    ACTS = (
        earn,
        earn,
        let_time_pass,
        redeem,
        pay_together,
        put_pool,
        transfer,
        hold,
        confirm,
        release,
        reverse,
        reverse,
        expire,
    )

    def agrees_with_the_model(self) -> None:
        """The balance a while hence of who was touched since the last look is that of the model; every answer was
        looked at when it came."""
        for person in sorted(self.touched):
            self.compare(person, self.now + 7)
        self.touched.clear()

    def teardown(self) -> None:
        for person in PERSONS:
            self.compare(person, *self.looked_at())

    def looked_at(self) -> range:
        """The days that are compared when a game is over."""
        return range(0, self.now + 40, 5)

    def compare(self, person: str, *numbers: int) -> None:
        """Balance and held of past, present and future are those of the model."""
        for number in numbers:
            assert self.balance_at(person, number) == self.model.standing(person, day(number)), (person, number)

    def _hold(self, parts: PointsParts) -> str:
        known = [*self.model.holds, "nothing"]
        return known[parts.below(len(known))]

    def _holder(self, of: str) -> tuple[str, ...]:
        return (self.model.holds[of].who,) if of in self.model.holds else ()

    def do_earn(self, name: str, who: str, points: int, *, on: int, expires: int) -> Answer:
        raise NotImplementedError

    def do_redeem(self, name: str, who: str, points: int, *, on: int) -> Answer:
        raise NotImplementedError

    def do_pay_together(self, name: str, points: int, *, on: int) -> Answer:
        raise NotImplementedError

    def do_put_pool(self, persons: tuple[str, ...]) -> None:
        raise NotImplementedError

    def do_transfer(self, name: str, giver: str, receiver: str, points: int, *, on: int) -> Answer:
        raise NotImplementedError

    def do_hold(self, name: str, who: str, points: int, *, on: int, expires: int) -> Answer:
        raise NotImplementedError

    def do_confirm(self, name: str, of: str, points: int | None, *, on: int) -> Answer:
        raise NotImplementedError

    def do_release(self, name: str, of: str, *, on: int) -> Answer:
        raise NotImplementedError

    def do_reverse(self, name: str, of: str, points: int | None, policy: ReversalShortfall, *, on: int) -> Answer:
        raise NotImplementedError

    def do_expire(self, on: int) -> None:
        raise NotImplementedError

    def balance_at(self, who: str, number: int) -> tuple[int, int]:
        raise NotImplementedError
