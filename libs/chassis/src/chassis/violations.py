"""What a document or request may hold, whatever it is about: numbers within bounds, counts, lists without repeats.

Stdlib only beside the refusals, so that every domain may import it.
"""

from collections.abc import Iterable, Iterator, Sequence

from chassis.errors import FieldViolation, InvalidArgument


def range_violations(field: str, value: int, *, least: int, most: int) -> Iterator[FieldViolation]:
    """What keeps a number from lying within its bounds, both of which it may be."""
    if not least <= value <= most:
        yield FieldViolation(field, f"must be from {least} to {most}")


def count_violations(field: str, items: Sequence[object], *, most: int, least: int = 0) -> Iterator[FieldViolation]:
    """What keeps a list from having as many items as it may."""
    if not least <= len(items) <= most:
        yield FieldViolation(field, f"must have {least} to {most} items")


def repeat_violations(field: str, name: str, ids: Iterable[str]) -> Iterator[FieldViolation]:
    """Items that say again what one before them said; `name` is the item's field, empty where the item is a text."""
    seen: set[str] = set()
    for index, each in enumerate(ids):
        if each in seen:
            yield FieldViolation(f"{field}[{index}]" + (f".{name}" if name else ""), "must not repeat")
        seen.add(each)


def refuse_any(violations: Iterable[FieldViolation]) -> None:
    """Raises InvalidArgument with every fault at once, where there is one."""
    found = list(violations)
    if found:
        raise InvalidArgument.many(found)
