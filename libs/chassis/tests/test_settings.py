"""Configuration: a process with an unknown or bad value says so in one line and does not start."""

import subprocess
import sys

import pytest

GOOD = {
    "TOUCHSTONE_DATABASE_URL": "postgresql://probe@127.0.0.1:1/probe",
    "TOUCHSTONE_NATS_URL": "nats://127.0.0.1:1",
    "TOUCHSTONE_JWKS": "/nowhere/jwks.json",
}
BAD: dict[str, tuple[dict[str, str | None], str]] = {
    "an unknown name": ({"TOUCHSTONE_DATABSE_URL": "x"}, "TOUCHSTONE_DATABSE_URL"),
    "a port out of range": ({"TOUCHSTONE_GRPC_PORT": "70000"}, "TOUCHSTONE_GRPC_PORT"),
    "a number that is none": ({"TOUCHSTONE_DATABASE_POOL_SIZE": "many"}, "TOUCHSTONE_DATABASE_POOL_SIZE"),
    "a level that does not exist": ({"TOUCHSTONE_LOG_LEVEL": "LOUD"}, "TOUCHSTONE_LOG_LEVEL"),
    "another database": ({"TOUCHSTONE_DATABASE_URL": "mysql://x"}, "database_url must start with postgresql://"),
    "another broker": ({"TOUCHSTONE_NATS_URL": "amqp://x"}, "nats_url must start with nats://"),
    "no broker": ({"TOUCHSTONE_NATS_URL": None}, "TOUCHSTONE_NATS_URL"),
    "a time that no clock goes back": (
        {"TOUCHSTONE_MEMBER_TIME_BACK_SECONDS": "-1"},
        "TOUCHSTONE_MEMBER_TIME_BACK_SECONDS",
    ),
    "no try at all": ({"TOUCHSTONE_EVENT_TRIES": "0"}, "TOUCHSTONE_EVENT_TRIES"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_value_refuses_to_start_with_one_line(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, named = BAD[what]
    for name, value in (GOOD | changed).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    ended = subprocess.run([sys.executable, "-m", "probe", "serve"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("configuration: ")
    assert (named in ended.stderr, ended.stderr.count("\n")) == (True, 1), ended.stderr


def test_a_password_in_an_address_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (GOOD | {"TOUCHSTONE_DATABASE_URL": "mysql://probe:s3cret@127.0.0.1/probe"}).items():
        monkeypatch.setenv(name, value)
    ended = subprocess.run([sys.executable, "-m", "probe", "serve"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "s3cret" not in ended.stdout + ended.stderr
