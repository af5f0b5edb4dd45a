"""Who may call: every method is closed until its option opens it, and a member reaches the member's own data only."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from chassis import clock
from chassis.auth import Caller, InvalidToken, KeysUnavailable, Verifier
from chassis.contracts import services
from chassis.errors import InvalidArgument
from chassis.rpc.access import AboutNow, Admission, NotYourCustomer, ScopeMissing, admission_of
from chassis.testing import Keys
from chassis.testing.serving import Serving
from chassis.times import EARLIEST, to_proto
from chassis.tokens import Minter, new_key, write_jwks
from joserfc import jwt
from probe.service import PROCESS
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import charging_service_pb2_grpc
from touchstone.common.v1.common_pb2 import Money

assert PROCESS.name == "probe"
REQUEST = charging_pb.ChargeRequest(
    request_id="r-1",
    account_id="a-1",
    amount=Money(minor_units=1, currency="CNY"),
    occurred_at=to_proto(datetime(2026, 1, 1, tzinfo=UTC)),
)


async def code_of(channel: grpc.aio.Channel) -> grpc.StatusCode:
    """What a charge over this channel ends with."""
    try:
        await charging_service_pb2_grpc.ChargingServiceStub(channel).Charge(REQUEST)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_scope_opens_a_method_and_nothing_else_does(probe: Serving) -> None:
    assert await code_of(probe.channel("billing.charge")) is grpc.StatusCode.OK
    assert await code_of(probe.channel("billing.read", "operations")) is grpc.StatusCode.PERMISSION_DENIED
    assert await code_of(probe.channel()) is grpc.StatusCode.PERMISSION_DENIED
    assert await code_of(probe.channel("billing.charge", customer_id="c-1")) is grpc.StatusCode.PERMISSION_DENIED


async def test_only_a_valid_token_of_ours_names_a_caller(probe: Serving, keys: Keys) -> None:
    scopes = ["billing.charge"]
    tokens = {
        "none": "",
        "noise": "a.b.c",
        "expired": keys.mint("boss", scopes, lifetime_seconds=-120),
        "a key that is not ours": Minter(new_key()).mint("boss", scopes),
        "another audience": Minter(keys.key, audience="elsewhere").mint("boss", scopes),
        "another issuer": Minter(keys.key, issuer="elsewhere").mint("boss", scopes),
        "signature cut off": keys.mint("boss", scopes).rpartition(".")[0] + ".",
        "no algorithm": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJib3NzIn0.",
        "too long": keys.mint("boss", ["x" * 10_000]),
    }
    for what, token in tokens.items():
        assert await code_of(probe.channel(token=token)) is grpc.StatusCode.UNAUTHENTICATED, what


def signed(keys: Keys, **changed: Any) -> str:
    """A token of ours with a scope and a lifetime, whose claims are changed."""
    claims = {"iss": "touchstone", "aud": "touchstone", "sub": "boss", "scope": "billing.charge", "exp": 32503680000}
    header = {"alg": "ES256", "typ": "at+jwt", "kid": keys.key.kid}
    return jwt.encode(header, claims | changed, keys.key, algorithms=["ES256"])


async def test_a_claim_that_names_no_customer_opens_nothing(probe: Serving, keys: Keys) -> None:
    assert await code_of(probe.channel(token=signed(keys))) is grpc.StatusCode.OK
    claims: tuple[object, ...] = (None, "", 5, False, ["c-1", "c-2"], {})
    for customer_id in claims:
        token = signed(keys, customer_id=customer_id)
        assert await code_of(probe.channel(token=token)) is grpc.StatusCode.UNAUTHENTICATED, customer_id


async def test_a_subject_that_no_key_can_hold_names_nobody(probe: Serving, keys: Keys) -> None:
    for subject in ("", "a\x00b", "a\nb", "x" * 256, 5, None):
        token = signed(keys, sub=subject)
        assert await code_of(probe.channel(token=token)) is grpc.StatusCode.UNAUTHENTICATED, subject


async def test_a_token_that_exhausts_its_reader_is_refused(probe: Serving, keys: Keys) -> None:
    deep = urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    for token in (f"{deep}.x.y", signed(keys, exp=10**400)):
        assert await code_of(probe.channel(token=token)) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_key_taken_away_is_not_believed_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jwks, old, new = tmp_path / "jwks.json", new_key(), new_key()
    write_jwks(jwks, old, new)
    verifier = Verifier(str(jwks), issuer="touchstone", audience="touchstone")
    stolen, ours = Minter(old).mint("boss", []), Minter(new).mint("boss", [])
    assert (await verifier.caller(stolen)).subject == (await verifier.caller(ours)).subject == "boss"
    write_jwks(jwks, new)
    a_minute_on = clock.monotonic() + 60.0
    monkeypatch.setattr(clock, "monotonic", lambda: a_minute_on)
    with pytest.raises(InvalidToken):
        await verifier.caller(stolen)
    assert (await verifier.caller(ours)).subject == "boss"


async def test_while_the_keys_cannot_be_read_those_known_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jwks, key = tmp_path / "jwks.json", new_key()
    verifier = Verifier(str(jwks), issuer="touchstone", audience="touchstone")
    token = Minter(key).mint("boss", [])
    with pytest.raises(KeysUnavailable):
        await verifier.caller(token)
    write_jwks(jwks, key)
    passed = [clock.monotonic() + 60.0]
    monkeypatch.setattr(clock, "monotonic", lambda: passed[0])
    assert (await verifier.caller(token)).subject == "boss"
    jwks.write_text("{")
    passed[0] += 60.0
    assert (await verifier.caller(token)).subject == "boss"


def test_every_method_of_the_contracts_says_who_may_call_it() -> None:
    methods = [method for service in services() for method in service.methods]
    assert len(methods) > 60
    assert [method.full_name for method in methods if not admission_of(method).scopes] == []
    for method in methods:
        field = admission_of(method).owner_field
        assert not field or field in method.input_type.fields_by_name, method.full_name


def test_a_method_without_the_option_is_closed_to_everybody() -> None:
    everybody = Caller("boss", frozenset({"billing.charge", ""}), None, "", 0.0)
    with pytest.raises(ScopeMissing):
        Admission(frozenset(), "").check_caller(everybody)


def test_a_member_is_admitted_with_the_members_own_id_only() -> None:
    member = Caller("app", frozenset({"billing.read"}), "c-1", "", 0.0)
    admission = Admission(frozenset({"billing.read"}), "customer_id")
    admission.check_caller(member)
    admission.check_owner(member, account_pb.GetAccountRequest(account_id="a-1", customer_id="c-1"))
    for customer_id in ("", "c-2", "does-not-exist"):
        with pytest.raises(NotYourCustomer):
            admission.check_owner(member, account_pb.GetAccountRequest(account_id="a-1", customer_id=customer_id))
    with pytest.raises(NotYourCustomer):
        Admission(frozenset({"billing.read"}), "").check_caller(member)


def test_a_member_dates_what_it_does_about_now() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    member = Caller("app", frozenset({"billing.recharge"}), "c-1", "", 0.0)
    about_now = AboutNow(back=timedelta(hours=1), ahead=timedelta(minutes=5), now=lambda: now)
    admission = Admission(frozenset({"billing.recharge"}), "customer_id", ("occurred_at",))
    for aside in (timedelta(hours=-1), timedelta(0), timedelta(minutes=5)):
        admission.check_dates(member, account_pb.RechargeRequest(occurred_at=to_proto(now + aside)), about_now)
    admission.check_dates(member, account_pb.RechargeRequest(), about_now)
    operator = Caller("boss", frozenset({"billing.recharge"}), None, "", 0.0)
    for aside in (timedelta(hours=-1, microseconds=-1), timedelta(minutes=5, microseconds=1), timedelta(days=-30_000)):
        request = account_pb.RechargeRequest(occurred_at=to_proto(max(EARLIEST, now + aside)))
        with pytest.raises(InvalidArgument) as refused:
            admission.check_dates(member, request, about_now)
        assert [each.field for each in refused.value.violations] == ["occurred_at"]
        admission.check_dates(operator, request, about_now)


def test_everything_that_a_member_may_write_is_held_to_its_date() -> None:
    methods = [method for service in services() for method in service.methods if admission_of(method).owner_field]
    written = [method for method in methods if "request_id" in method.input_type.fields_by_name]
    dated = {method.name for method in methods if admission_of(method).dated_by}
    assert {
        "TransferPoints",
        "ReserveCoupons",
        "PlaceShopOrder",
        "CreatePayment",
        "PlaceOrder",
        "RecordOutcome",
    } <= dated
    for method in written:
        named = {name for name in ("occurred_at", "as_of") if name in method.input_type.fields_by_name}
        assert set(admission_of(method).dated_by) == named, method.full_name
    assert not dated & {"GetPointsBalance", "GetEntitlements", "ListOffers", "BrowseShop"}
