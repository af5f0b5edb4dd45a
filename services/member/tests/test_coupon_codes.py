"""Codes: long enough, read as people type them, and a slip of the finger is found without asking anybody."""

import string
from collections import Counter
from itertools import combinations

import pytest
from chassis.errors import InvalidArgument
from hypothesis import given, settings
from hypothesis import strategies as st
from member.domain.coupon_code import (
    ALPHABET,
    CODE_SYMBOLS,
    RANDOM_SYMBOLS,
    CodeMistyped,
    CodeOrigin,
    check_symbol,
    new_code,
    read_code,
    read_external_code,
    shown,
)

SYMBOLS = st.text(ALPHABET, min_size=RANDOM_SYMBOLS, max_size=RANDOM_SYMBOLS)


def test_the_alphabet_has_no_lookalikes_and_a_code_at_least_64_bits() -> None:
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)
    assert RANDOM_SYMBOLS * 5 >= 64


def test_codes_made_here_are_read_back_and_differ() -> None:
    codes = [new_code() for _ in range(2000)]
    assert len(set(codes)) == 2000
    assert all(read_code("code", shown(each)) == (each, CodeOrigin.OURS) for each in codes)
    places = [Counter(each[place] for each in codes) for place in range(RANDOM_SYMBOLS)]
    assert all(len(place) == 32 for place in places), "a place where not every symbol comes up"


@settings(max_examples=15)
@given(SYMBOLS)
def test_every_wrong_symbol_and_every_exchange_of_two_is_found(symbols: str) -> None:
    code = symbols + check_symbol(symbols)
    wrong = [
        code[:place] + symbol + code[place + 1 :]
        for place in range(CODE_SYMBOLS)
        for symbol in ALPHABET
        if symbol != code[place]
    ]
    for one, other in combinations(range(CODE_SYMBOLS), 2):
        if code[one] != code[other]:
            swapped = list(code)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            wrong.append("".join(swapped))
    for each in wrong:
        with pytest.raises(CodeMistyped):
            read_code("code", each)


@settings(max_examples=30)
@given(SYMBOLS, st.data())
def test_a_code_is_read_however_it_is_typed(symbols: str, data: st.DataObject) -> None:
    code = symbols + check_symbol(symbols)
    confused = {"0": "0Oo", "1": "1IiLl"}
    typed = "".join(
        data.draw(st.sampled_from(confused.get(each, each + each.lower()))) + data.draw(st.sampled_from(["", " ", "-"]))
        for each in code
    )
    assert read_code("code", typed).text == code


@pytest.mark.parametrize(
    "typed", ["", "abc", "a" * 41, "code!!", "ＣＯＤＥ１２３４", "x" * 1000, "AB\x00CDEF", "ABC'DEF"]
)
def test_what_no_code_looks_like_is_malformed(typed: str) -> None:
    with pytest.raises(InvalidArgument, match="code"):
        read_code("code", typed)


def test_a_partners_code_must_not_look_like_ours() -> None:
    assert read_external_code("codes[0]", "summer-2026 x") == "SUMMER2026X"
    assert read_code("code", "Summer2026X") == ("SUMMER2026X", CodeOrigin.EXTERNAL)
    fifteen = "ABCDE12345FGHJK"
    with pytest.raises(InvalidArgument, match="15 symbols"):
        read_external_code("codes[0]", fifteen)
    assert read_external_code("codes[0]", fifteen[:-1] + "U").endswith("U")
    assert set(string.ascii_uppercase) - set(ALPHABET) == set("ILOU")
