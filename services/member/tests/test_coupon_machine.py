"""The game of coupons, on a book in memory and through PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import pytest
from chassis.database import async_url
from chassis.embedded.databases import Database
from chassis.errors import Refusal
from chassis.testing import Databases
from chassis.testing.games import DRAWN, Parts, games, numbers_of
from chassis.work import Transaction, Work
from hypothesis import Phase, note, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from member.__main__ import PROCESS
from member.domain.coupon import NOBODY, Coupon, CouponId, OrderId
from member.domain.coupon_acts import Issue, Reserve, Reverse, Void
from member.domain.coupon_book import Book
from member.domain.coupon_code import read_code
from member.domain.coupon_template import Template, TemplateId, TemplateState
from member.domain.customer import CustomerId
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.store import coupon_books
from member.store.coupon_books import Counting, Wanted
from member.use_cases import coupon_templates, coupon_uses, coupons
from member.use_cases.coupon_uses import EndReservation, ReverseRedemption
from member.use_cases.coupons import ClaimCode, ExpireCoupons, IssueCoupon, VoidCoupon, close_book
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.wire import FACTS
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.member.tests.coupon_machine import ACTS, SHAPES, Game
from services.member.tests.coupon_steps import CALENDAR, order, prove_coupons, use_command
from services.member.tests.factories import RECORDED_AT, customer

T = TypeVar("T")
ORDER = order(100_00)
# A game through the database is not made shorter when it fails: that takes minutes, and the book's game fails with it.
UNSHRUNK = (Phase.generate,)


def name_of(outcome: object) -> str | None:
    """The name of a refusal; None for what was done."""
    return type(outcome).__name__ if isinstance(outcome, Refusal) else None


def states_of(found: list[Coupon], at: datetime) -> dict[str, tuple[str, datetime | None]]:
    """The state and the end of each coupon at an instant."""
    return {each.coupon_id: (each.at(at).state.value, each.valid_to) for each in found}


class PureGame(Game):
    """A book that knows everything."""

    def __init__(self, name: str = "g") -> None:
        super().__init__(name)
        self.book = Book(CALENDAR)
        for shape, wanted in SHAPES.items():
            template_id = TemplateId(self.template(shape))
            self.book.templates[template_id] = Template(
                template_id, TemplateState.ACTIVE, 1, 1, wanted.limits, revision=1
            )
            self.book.terms[template_id, 1] = wanted
        self.book.persons = {CustomerId(each): set() for each in self.customers}

    def attempt(self, act: Callable[[], object]) -> str | None:
        try:
            act()
        except Refusal as refusal:
            return type(refusal).__name__
        return None

    def issue(self, name: str, shape: str, owner: str, at: datetime) -> str | None:
        holder = Holder(CustomerId(owner), GENERAL)
        command = Issue(CouponId(name), TemplateId(self.template(shape)), name, holder, at, NOBODY)
        return self.attempt(lambda: self.book.issue(command))

    def list_code(self, name: str, shape: str) -> str | None:
        template_id, codes = TemplateId(self.template(shape)), {CouponId(name): name}
        return self.attempt(lambda: self.book.list_codes(template_id, codes, batch_id="b", occurred_at=self.now))

    def claim(self, name: str, owner: str) -> str | None:
        known = CouponId(name) if name in self.book.coupons else None
        holder = Holder(CustomerId(owner), GENERAL)
        return self.attempt(lambda: self.book.claim(known, holder, occurred_at=self.now))

    def use(self, names: list[CouponId], owner: CustomerId, order: OrderId, until: datetime | None) -> str | None:
        command = Reserve(order, owner, tuple(names), ORDER, self.now, until)
        return self.attempt(lambda: self.book.reserve(command))

    def end(self, act: str, owner: CustomerId, order: OrderId) -> str | None:
        if act == "reverse":
            return self.attempt(lambda: self.book.reverse(Reverse(owner, order, (), self.now, NOBODY)))
        end = self.book.redeem if act == "redeem" else self.book.release
        return self.attempt(lambda: end(owner, order, occurred_at=self.now))

    def void(self, name: CouponId) -> str | None:
        return self.attempt(lambda: self.book.void(Void(name, self.now, NOBODY)))

    def expire(self) -> None:
        self.book.settle_all(self.now)

    def states(self) -> dict[str, tuple[str, datetime | None]]:
        return states_of(list(self.book.coupons.values()), self.now)

    def finish(self) -> None:
        """Steps are dense, counters are what is there, and no limit was passed at any step."""
        revisions: dict[str, int] = {}
        issued: dict[str, int] = {}
        used: dict[str, set[str]] = {}
        for step in self.book.steps:
            coupon = step.coupon
            assert coupon.revision == revisions.get(coupon.coupon_id, 0) + 1
            revisions[coupon.coupon_id] = coupon.revision
            limits = self.book.templates[coupon.template_id].limits
            issued[coupon.template_id] = issued.get(coupon.template_id, 0) + (coupon.revision == 1)
            assert not limits.issued or issued[coupon.template_id] <= limits.issued
            using = used.setdefault(coupon.template_id, set())
            (using.add if coupon.use else using.discard)(coupon.coupon_id)
            assert not limits.used or len(using) <= limits.used
        for template in self.book.templates.values():
            if template.limits.used:
                assert template.used == len(used.get(template.template_id, ()))


class CouponMachine(RuleBasedStateMachine):
    """Any moves in any order; `begin` gives the game."""

    begin: Callable[[], Any] = PureGame

    def __init__(self) -> None:
        super().__init__()
        self.game = type(self).begin()

    @rule(drawn=DRAWN)
    def move(self, drawn: bytes) -> None:
        for parts in map(Parts, numbers_of(drawn)):
            act, *rest = ACTS[parts.below(len(ACTS))], *(parts.below(21) for _ in range(3))
            note(f"# {act} {rest}")
            self.game.play(act, *rest)
        self.game.agree()

    def teardown(self) -> None:
        self.game.finish()


class BookMachine(CouponMachine):
    """On a book in memory; `seen` is what was done in any game."""

    seen: ClassVar[set[str]]

    def teardown(self) -> None:
        super().teardown()
        self.seen.update(step.act.value for step in self.game.book.steps)


def test_a_book_agrees_with_the_model() -> None:
    machine: type[BookMachine] = type("Machine", (BookMachine,), {"seen": set()})
    run_state_machine_as_test(machine, settings=games(2000, acts=50))
    assert machine.seen == {
        *("listed", "issued", "claimed", "reserved", "redeemed", "released", "lapsed", "reversed", "expired", "voided")
    }


class PostgresGame(Game):
    """Templates and customers of its own in a database that all games share."""

    def __init__(self, name: str, runner: asyncio.Runner, engine: AsyncEngine) -> None:
        super().__init__(name)
        self.runner = runner
        self.connection = runner.run(engine.connect().start())
        self.transaction = Transaction(self.connection, RECORDED_AT, FACTS)
        self.run(self._set_up)

    def run(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """A game is one transaction, as a long batch is: what it costs is the statements."""
        return self.runner.run(_awaited(act(self.transaction)))

    async def _set_up(self, transaction: Transaction) -> None:
        await upsert_customers(transaction, [UpsertCustomer(customer(each)) for each in self.customers])
        for shape, wanted in SHAPES.items():
            template_id = TemplateId(self.template(shape))
            put = coupon_templates.PutTemplate(template_id, wanted, "op")
            await coupon_templates.put_template(transaction, put)
            await coupon_templates.activate_template(transaction, coupon_templates.ActivateTemplate(template_id, "op"))

    def issue(self, name: str, shape: str, owner: str, at: datetime) -> str | None:
        holder = Holder(CustomerId(owner), GENERAL)
        command = IssueCoupon(CouponId(name), TemplateId(self.template(shape)), holder, at, "game")
        return name_of(self.run(lambda t: coupons.issue_coupons(t, [command], calendar=CALENDAR))[0])

    def list_code(self, name: str, shape: str) -> str | None:
        template_id = TemplateId(self.template(shape))

        async def act(transaction: Transaction) -> str | None:
            wanted = Wanted(self.now, Counting.ISSUED, templates=frozenset([template_id]))
            book = await coupon_books.load_book_for_update(transaction.connection, wanted, CALENDAR)
            codes = {CouponId(name): plain_code(name)}
            try:
                book.list_codes(template_id, codes, batch_id=self.name, occurred_at=self.now)
            except Refusal as refusal:
                return type(refusal).__name__
            await close_book(transaction, book)
            return None

        return self.run(act)

    def claim(self, name: str, owner: str) -> str | None:
        code = self._code(name)
        command = ClaimCode(new_caller(self), read_code("code", code), Holder(CustomerId(owner), GENERAL), self.now)
        return name_of(self.run(lambda t: coupons.claim_codes(t, [command], calendar=CALENDAR))[0])

    def _code(self, name: str) -> str:
        """Issued coupons have codes of their own, which the model does not know."""
        found = self._rows("SELECT code FROM coupons WHERE coupon_id = :id", id=name)
        return str(found[0][0]) if found else plain_code(name)

    def use(self, names: list[CouponId], owner: CustomerId, order: OrderId, until: datetime | None) -> str | None:
        command = use_command(
            *names, order_id=order, customer_id=owner, order=ORDER, occurred_at=self.now, ends_at=until
        )
        return name_of(self.run(lambda t: coupon_uses.use_coupons(t, [command], calendar=CALENDAR))[0])

    def end(self, act: str, owner: CustomerId, order: OrderId) -> str | None:
        if act == "reverse":
            undo = ReverseRedemption(owner, order, (), self.now, "game", "op")
            return name_of(self.run(lambda t: coupon_uses.reverse_redemptions(t, [undo], calendar=CALENDAR))[0])
        end = coupon_uses.redeem_reserved if act == "redeem" else coupon_uses.release_coupons
        command = EndReservation(owner, order, self.now)
        return name_of(self.run(lambda t: end(t, [command], calendar=CALENDAR))[0])

    def void(self, name: CouponId) -> str | None:
        command = VoidCoupon(name, self.now, "game", "op")
        return name_of(self.run(lambda t: coupons.void_coupons(t, [command], calendar=CALENDAR))[0])

    def expire(self) -> None:
        command = ExpireCoupons(self.now)
        self.run(lambda t: coupons.expire_coupons(t, command, calendar=CALENDAR))

    def states(self) -> dict[str, tuple[str, datetime | None]]:
        found = self._rows("SELECT * FROM coupons WHERE coupon_id LIKE :prefix", prefix=f"{self.name}-%")
        return states_of([coupon_books.coupon_from_row(row) for row in found], self.now)

    def _rows(self, statement: str, **parameters: Any) -> list[Any]:
        async def act(transaction: Transaction) -> list[Any]:
            return list(await transaction.connection.execute(text(statement), parameters))

        return self.run(act)

    def finish(self) -> None:
        """Kept, so that what is claimed is proven at the end, for all games at once."""
        self.agree()
        self.runner.run(_kept(self.connection))


async def _awaited(act: Awaitable[T]) -> T:
    return await act


async def _kept(connection: AsyncConnection) -> None:
    await connection.commit()
    await connection.close()


def plain_code(name: str) -> str:
    """A partner's code for a coupon of a list."""
    return f"XCODE{name}".replace("-", "").upper()


def new_caller(game: PostgresGame) -> str:
    """A caller who has guessed nothing yet: what is tried here is not who is held back."""
    game.made += 1
    return f"{game.name}-caller-{game.made}"


def play_on(database: Database, played: settings) -> None:
    """Games through PostgreSQL, one after another on one connection, proven at the end."""
    with asyncio.Runner() as runner:
        # A game has more different statements than are kept prepared by default; the rest is as in a service.
        url = f"{async_url(database.url)}?prepared_statement_cache_size=1000"
        engine = create_async_engine(url, connect_args={"server_settings": {"enable_seqscan": "off"}}, pool_size=1)
        names = (f"g{number}" for number in range(1_000_000))

        class PostgresMachine(CouponMachine):
            begin = staticmethod(lambda: PostgresGame(next(names), runner, engine))

        run_state_machine_as_test(PostgresMachine, settings=played)
        runner.run(prove_coupons(Work(engine, FACTS)))
        runner.run(engine.dispose())


async def test_the_database_agrees_with_the_model(database: Databases) -> None:
    made = await database(PROCESS)
    await asyncio.to_thread(play_on, made, games(100, acts=50, phases=UNSHRUNK))


@pytest.mark.soak
async def test_the_database_agrees_with_the_model_for_long(database: Databases) -> None:
    made = await database(PROCESS)
    await asyncio.to_thread(play_on, made, games(2000, acts=50, phases=UNSHRUNK))
