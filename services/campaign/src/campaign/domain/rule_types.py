"""The type check of a rule: what it reads must exist, operators must fit, the whole must be boolean.

Every branch is checked, whatever the values at run time decide, so an accepted rule never fails for its types. All
problems of a rule are found at once; a part that is wrong has no type and raises no second complaint.
"""

from collections.abc import Sequence

import cel
from chassis.errors import FieldViolation, InvalidArgument

from campaign.domain.catalogue import AttributeId, AttributeType, Catalogue, EventType, TagId
from campaign.domain.rule_syntax import Call, Constant, ListOf, Node, Operation, Read, position

STRING, INT, DOUBLE, BOOL = AttributeType.STRING, AttributeType.INT, AttributeType.DOUBLE, AttributeType.BOOL
NUMBERS = frozenset({INT, DOUBLE})
_METHODS = {"startsWith": STRING, "endsWith": STRING, "contains": STRING, "matches": STRING}
_CONVERSIONS: dict[str, tuple[AttributeType, frozenset[AttributeType]]] = {
    "int": (INT, frozenset({INT, DOUBLE, STRING})),
    "double": (DOUBLE, frozenset({INT, DOUBLE, STRING})),
    "string": (STRING, frozenset({INT, DOUBLE, STRING})),
}
_PATTERN_PROBE = cel.compile('"".matches(pattern)')
"""The engine itself says which patterns it takes; another library's regular expressions would accept others."""
_FUNCTIONS = ", ".join(sorted([*_METHODS, *_CONVERSIONS, "has"]))


class TypeCheck:
    """One walk over a rule; afterwards `tags` and `attributes` say what it reads."""

    def __init__(self, text: str, event_type: EventType, catalogue: Catalogue) -> None:
        self._text = text
        self._event_type = event_type
        self._catalogue = catalogue
        self._problems: list[FieldViolation] = []
        self.tags: set[TagId] = set()
        self.attributes: set[AttributeId] = set()

    def boolean(self, node: Node) -> None:
        """Refuse with every problem found, or because the rule's value is not boolean."""
        found = self._type(node)
        if found is not None and found is not BOOL:
            self._problem(node, f"the rule must be boolean, but is {_a(found)}")
        if self._problems:
            raise InvalidArgument.many(self._problems)

    def _problem(self, node: Node, what: str) -> None:
        self._problems.append(FieldViolation("rule", f"{position(self._text, node.at)}: {what}"))

    def _type(self, node: Node) -> AttributeType | None:
        match node:
            case Constant():
                return self._constant(node)
            case Read():
                return BOOL if self._read(node) is not None and node.asks else self._read_type(node)
            case ListOf():
                self._problem(node, "a list stands only after 'in'")
                return None
            case Call():
                return self._call(node)
            case Operation():
                return self._operation(node)

    def _constant(self, node: Constant) -> AttributeType | None:
        match node.value:
            case bool():
                return BOOL
            case int():
                return INT
            case float():
                return DOUBLE
            case str():
                return STRING
            case None:
                self._problem(node, "null is never a value here; ask has(tags.name)")
                return None

    def _read(self, node: Read) -> tuple[AttributeType, frozenset[str]] | None:
        """Type and closed values of what is read; an unknown name is a problem, noted once."""
        if node.root == "tags":
            tag = self._catalogue.tags.get(TagId(node.name))
            if tag is not None:
                self.tags.add(tag.id)
                return tag.type, tag.values
            what = f"unknown tag {node.name!r}"
        else:
            attribute = self._event_type.attributes.get(AttributeId(node.name))
            if attribute is not None:
                self.attributes.add(attribute.id)
                return attribute.type, attribute.values
            what = f"event type {self._event_type.id} has no attribute {node.name!r}"
        violation = FieldViolation("rule", f"{position(self._text, node.at)}: {what}")
        if violation not in self._problems:
            self._problems.append(violation)
        return None

    def _read_type(self, node: Read) -> AttributeType | None:
        found = self._read(node)
        return None if found is None else found[0]

    def _operation(self, node: Operation) -> AttributeType | None:
        match node.operator:
            case "&&" | "||" | "!":
                for operand in node.operands:
                    self._must_be(operand, frozenset({BOOL}), f"{node.operator!r} takes booleans")
                return BOOL
            case "?:":
                return self._conditional(node)
            case "in":
                return self._membership(node)
            case "==" | "!=" | "<" | "<=" | ">" | ">=":
                return self._comparison(node)
            case _:
                return self._arithmetic(node)

    def _must_be(self, node: Node, allowed: frozenset[AttributeType], rule: str) -> AttributeType | None:
        found = self._type(node)
        if found is not None and found not in allowed:
            self._problem(node, f"{rule}, but this is {_a(found)}")
            return None
        return found

    def _conditional(self, node: Operation) -> AttributeType | None:
        condition, then, otherwise = node.operands
        self._must_be(condition, frozenset({BOOL}), "the condition before '?' must be boolean")
        first, second = self._type(then), self._type(otherwise)
        if first is not None and second is not None and first is not second:
            self._problem(node, f"both sides of ':' must be of one type, but are {_a(first)} and {_a(second)}")
            return None
        return first

    def _comparison(self, node: Operation) -> AttributeType:
        left, right = (self._type(operand) for operand in node.operands)
        if left is not None and right is not None:
            if not _comparable(left, right):
                self._problem(node, f"{node.operator!r} cannot compare {_a(left)} with {_a(right)}")
            elif left is BOOL and node.operator not in ("==", "!="):
                self._problem(node, f"{node.operator!r} does not order booleans")
        first, second = node.operands
        if node.operator in ("==", "!="):
            self._closed(first, [second])
            self._closed(second, [first])
        return BOOL

    def _membership(self, node: Operation) -> AttributeType:
        element, items = node.operands
        if not isinstance(items, ListOf):
            self._problem(items, '\'in\' takes a list in brackets, e.g. ["a", "b"]')
            self._type(element)
            return BOOL
        kind = self._type(element)
        for item in items.items:
            found = self._type(item)
            if kind is not None and found is not None and not _comparable(kind, found):
                self._problem(item, f"the list holds {_a(found)}, but {_a(kind)} is looked for")
        self._closed(element, items.items)
        return BOOL

    def _closed(self, read: Node, constants: Sequence[Node]) -> None:
        """A comparison with a value outside a closed set can never hold: a slip of the pen."""
        found = self._read(read) if isinstance(read, Read) and not read.asks else None
        if found is None or not found[1] or not isinstance(read, Read):
            return
        for constant in constants:
            if isinstance(constant, Constant) and isinstance(constant.value, str) and constant.value not in found[1]:
                known = ", ".join(sorted(found[1]))
                self._problem(constant, f"{read.root}.{read.name} is never {constant.value!r}; it is one of {known}")

    def _arithmetic(self, node: Operation) -> AttributeType | None:
        kinds = [
            self._must_be(operand, _operands_of(node), f"{node.operator!r} takes numbers") for operand in node.operands
        ]
        known = {kind for kind in kinds if kind is not None}
        if len(known) > 1:
            mixed = " and ".join(sorted(_a(kind) for kind in known))
            self._problem(node, f"{node.operator!r} does not mix {mixed}; convert with int() or double()")
            return None
        if node.operator == "%" and DOUBLE in known:
            self._problem(node, "'%' takes whole numbers")
        return known.pop() if known else None

    def _call(self, node: Call) -> AttributeType | None:
        if node.method and node.function in _METHODS and len(node.arguments) == 2:
            for argument in node.arguments:
                self._must_be(argument, frozenset({STRING}), f"{node.function}() takes strings")
            if node.function == "matches":
                self._pattern(node.arguments[1])
            return BOOL
        if not node.method and node.function in _CONVERSIONS and len(node.arguments) == 1:
            result, allowed = _CONVERSIONS[node.function]
            self._must_be(node.arguments[0], allowed, f"{node.function}() takes a number or a string")
            return result
        self._problem(node, f"no function {node.function}() of this form; rules have {_FUNCTIONS}")
        return None

    def _pattern(self, node: Node) -> None:
        if not isinstance(node, Constant) or not isinstance(node.value, str):
            self._problem(node, "the pattern of matches() must be written out")
            return
        try:
            _PATTERN_PROBE.execute({"pattern": node.value})
        except RuntimeError:
            self._problem(node, "the pattern of matches() is no regular expression (RE2 syntax)")


def _operands_of(node: Operation) -> frozenset[AttributeType]:
    return NUMBERS | {STRING} if node.operator == "+" else NUMBERS


def _comparable(left: AttributeType, right: AttributeType) -> bool:
    return left is right or (left in NUMBERS and right in NUMBERS)


def _a(kind: AttributeType) -> str:
    return f"an {kind.value}" if kind is INT else f"a {kind.value}"
