"""Notices and statements laid out as papers, in the words of a language."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from chassis.money import Money

from billing.documents.paper import Column, Paper, Row, Table
from billing.documents.words import Words
from billing.documents.writing import Language, write_day, write_instant, write_money
from billing.domain.notice import Name, NoticeLine, NoticeLineKind, NoticeOf, sums_by_kind
from billing.domain.reckoning import Line, LineKind, Reckoned
from billing.domain.statement import StatedEntry, Statement


class Layout:
    """Lays out for one language and one clock."""

    def __init__(self, language: Language, zone: ZoneInfo) -> None:
        self.words = Words(language)
        self._zone = zone

    def notice(self, of: NoticeOf) -> Paper:
        """A payment notice: what is to be paid first, then the lines by what they are about."""
        words, notice, balance = self.words, of.notice, of.balance
        facts = [
            (words("account"), of.account.account_id),
            (words("customer"), of.account.customer_id),
            (words("as_of"), self._at(of.as_of)),
            (words("balance"), write_money(balance.balance)),
            (words("cash"), write_money(balance.cash)),
            (words("gift"), write_money(balance.gift)),
            (words("held"), write_money(balance.held)),
            (words("credit_limit"), write_money(balance.credit_limit)),
        ]
        if of.threshold is not None:
            facts.append((words("threshold"), write_money(of.threshold)))
        facts += [(words("asked"), write_money(notice.asked)), (words("on_its_way"), write_money(notice.on_its_way))]
        if notice.due_at is not None:
            facts.append((words("due"), self._day(notice.due_at)))
        notes = [words("computed")]
        if not notice.to_pay.minor_units:
            notes.append(words("nothing_to_pay"))
        if notice.cut:
            notes.append(words("cut"))
        return Paper(
            language=words.language,
            title=words("payment_notice"),
            facts=tuple(facts),
            highlight=(words("to_pay"), write_money(notice.to_pay)),
            tables=tuple(self._tables(notice.lines)),
            notes=tuple(notes),
        )

    def statement(self, statement: Statement) -> Paper:
        """A statement: balances, sums by kind, and the entries, or the first of them."""
        words = self.words
        first, last = statement.span.start, statement.span.end - timedelta(microseconds=1)
        period = words("from_to", start=self._day(first), end=self._day(last))
        notes = [] if statement.closed else [words("still_open")]
        shown = len(statement.entries)
        if shown < statement.count:
            notes.append(words("cut_entries", shown=shown, count=statement.count))
        if any(entry.late for entry in statement.entries):
            notes.append(words("late_note"))
        return Paper(
            language=words.language,
            title=words("statement"),
            facts=(
                (words("account"), statement.account.account_id),
                (words("customer"), statement.account.customer_id),
                (words("period"), period),
                (words("opening"), write_money(statement.opening)),
                (words("entries_count"), str(statement.count)),
            ),
            highlight=(words("closing"), write_money(statement.closing)),
            tables=(self._sections(statement), self._movements(statement)),
            notes=tuple(notes),
        )

    def describe(self, line: NoticeLine) -> str:
        """What a line of a notice is about: the product where there is one, else the caller's words."""
        what = self.words.topic(line.topic)
        if line.number:
            return f"{what} {self.words('number', number=line.number)}"
        about = self.name(line.name) if line.name is not None else line.text
        return f"{what} {about}".rstrip()

    def details(self, line: NoticeLine) -> tuple[str, ...]:
        """More about a line: how a charge came about, how many, why."""
        words, found = self.words, []
        if line.quantity > 1:
            found.append(words("quantity", number=line.quantity))
        if line.reckoned is not None:
            found += self._reckoned(line.reckoned)
        if line.number and line.text:
            found.append(line.text)
        if not line.counted:
            found.append(words("counted_by_bill"))
        return tuple(found)

    def name(self, name: Name) -> str:
        """A product's name in the language."""
        return name.chinese or name.english if self.words.language is Language.CHINESE else name.english

    def _tables(self, lines: tuple[NoticeLine, ...]) -> Iterator[Table]:
        sums = sums_by_kind(lines)
        for kind in NoticeLineKind:
            found = [line for line in lines if line.kind is kind]
            if found:
                total = Money(sums[kind], found[0].amount.currency)
                yield Table(
                    title=self.words(kind),
                    columns=self._columns("time", "what", "reference", "amount"),
                    rows=tuple(Row(self._cells(line), self.details(line)) for line in found),
                    total=(self.words("sum"), write_money(total)),
                )

    def _cells(self, line: NoticeLine) -> tuple[str, ...]:
        at = self._day(line.occurred_at) if line.kind is NoticeLineKind.SUBSCRIPTION else self._at(line.occurred_at)
        return at, self.describe(line), line.reference, write_money(line.amount)

    def _reckoned(self, reckoned: Reckoned) -> Iterator[str]:
        words, reckoning = self.words, reckoned.reckoning
        if len(reckoning.lines) > 1:
            for line in reckoning.lines:
                amount = write_money(Money(line.amount_minor, reckoning.currency))
                yield words("line", what=self._line(line), amount=amount)
        if reckoning.tax_minor:
            yield words("tax", amount=write_money(Money(reckoning.tax_minor, reckoning.currency)))

    def _line(self, line: Line) -> str:
        if line.kind is LineKind.PRORATION:
            return self.words("line_proration", days=line.quantity, of_days=line.of_quantity)
        return self.words(f"line_{line.kind}", text=line.description).rstrip()

    def _sections(self, statement: Statement) -> Table:
        words, money = self.words, statement.account.money
        return Table(
            title=words("sections"),
            columns=(
                Column(words("kind"), 50),
                Column(words("entries_count"), 20, figures=True),
                Column(words("amount"), 30, figures=True),
            ),
            rows=tuple(
                Row((words.topic(each.kind), str(each.entries), write_money(money(each.amount_minor))))
                for each in statement.sections
            ),
            total=(words("sum"), write_money(money(statement.closing.minor_units - statement.opening.minor_units))),
        )

    def _movements(self, statement: Statement) -> Table:
        return Table(
            title=self.words("movements"),
            columns=self._columns("time", "what", "amount", "balance_after"),
            rows=tuple(self._movement(entry) for entry in statement.entries),
        )

    def _movement(self, entry: StatedEntry) -> Row:
        words, details = self.words, []
        if entry.late:
            details.append(words("late"))
        if entry.gift.minor_units:
            details.append(words("of_gift", amount=write_money(entry.gift)))
        what = f"{words.topic(entry.kind)} {entry.note}".rstrip()
        cells = self._at(entry.occurred_at), what, write_money(entry.amount), write_money(entry.balance_after)
        return Row(cells, tuple(details))

    def _columns(self, *keys: str) -> tuple[Column, ...]:
        figures = {"amount", "balance_after"}
        shares = {"time": 22, "what": 40, "reference": 22}
        return tuple(Column(self.words(key), shares.get(key, 18), key in figures) for key in keys)

    def _at(self, instant: datetime) -> str:
        return write_instant(instant, self.words.language, self._zone)

    def _day(self, instant: datetime) -> str:
        return write_day(instant.astimezone(self._zone).date(), self.words.language)
