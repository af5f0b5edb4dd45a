"""The supervisor with real PostgreSQL and NATS: everything up in order, nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from chassis.embedded import remove_data
from chassis.embedded.installation import postgres_binaries

from infra.local.tests import stand_ins
from infra.local.tests.stand_ins import processes_on, read_until

SCENARIOS = Path(__file__).parent / "scenarios.py"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_ins.write(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder of its own; whatever a failed test has left running in it is killed."""
    made = Path(tempfile.mkdtemp(prefix="touchstone-up-"))
    yield made
    left = processes_on(made)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)
    remove_data(made / "postgres")
    shutil.rmtree(made)
    assert left == []


def start(packages: Path, folder: Path, **environment: str) -> subprocess.Popen[str]:
    return stand_ins.run(packages, "-m", "local", "up", "--data", str(folder), **environment)


def ended(process: subprocess.Popen[str]) -> str:
    """What a process prints until its end."""
    printed, _ = process.communicate(timeout=120)
    return printed


def command(packages: Path, folder: Path, *words: str) -> tuple[int, str]:
    process = stand_ins.run(packages, "-m", "local", *words, "--data", str(folder))
    printed = ended(process)
    return process.returncode, printed


def env_of(folder: Path) -> dict[str, str]:
    """What a shell knows after reading the file, as the README's requests do."""
    script = f". {folder}/env; env -0"
    printed = subprocess.check_output(["sh", "-c", script], env={}, text=True)
    return dict(line.split("=", 1) for line in printed.split("\0") if line)


def test_ctrl_c_leaves_no_process_and_the_second_up_finds_data_and_addresses(packages: Path, folder: Path) -> None:
    seen = []
    for start_number in (1, 2):
        up = start(packages, folder)
        read_until(up, "Ctrl-C")
        seen.append(env_of(folder))
        assert len(processes_on(folder)) > 10
        assert starts_of("member", folder) == start_number
        up.send_signal(signal.SIGINT)
        assert "the data stay where they are" in ended(up)
        assert up.returncode == 0
        assert processes_on(folder) == []
    assert (folder / "logs" / "member.log").read_text().count("member stops in order") == 2
    first, second = ({name: text for name, text in each.items() if name != "TOKEN"} for each in seen)
    assert first == second


def test_the_real_processes_serve_a_request_and_find_its_effect_after_a_restart(tmp_path: Path, folder: Path) -> None:
    customer = {"kind": "HOUSEHOLD", "display_name": "Household Li", "registered_at": "2026-03-01T09:00:00Z"}
    for first in (True, False):
        up = start(tmp_path, folder)
        read_until(up, "Ctrl-C")
        env = env_of(folder)
        url = f"{env['GATEWAY_URL']}/v1/customers/C-1001"
        headers = {"Authorization": f"Bearer {env['TOKEN']}", "Idempotency-Key": "register-C-1001"}
        if first:
            assert httpx.get(url, headers=headers).status_code == 404
            assert httpx.put(url, headers=headers, json=customer, timeout=30).status_code == 200
        assert httpx.get(url, headers=headers).json()["display_name"] == "Household Li"
        up.send_signal(signal.SIGINT)
        ended(up)
        assert up.returncode == 0
        assert processes_on(folder) == []
        assert [log.name for log in (folder / "logs").iterdir() if "Traceback" in log.read_text()] == []


def test_a_running_platform_is_used_refused_to_a_second_and_stopped(packages: Path, folder: Path) -> None:
    assert command(packages, folder, "status")[0] == 1
    up = start(packages, folder)
    read_until(up, "Ctrl-C")
    env = env_of(folder)
    assert httpx.get(f"{env['GATEWAY_URL']}/readyz").status_code == 200
    assert httpx.get(f"{env['NATS_MONITOR_URL']}/healthz").json() == {"status": "ok"}
    assert {f"{name.upper()}_GRPC" for name in stand_ins.SERVICES} <= env.keys()
    assert env["TOKEN"].count(".") == 2
    keys = ("keys/signing-key.json", "keys/payment-channels.json")
    for secret in ("env", "passwords.json", *keys, "tokens/touchpoint", "nats/nats.conf"):
        assert (folder / secret).stat().st_mode & 0o077 == 0, secret
    code, printed = command(packages, folder, "up")
    assert code == 1
    assert f"runs already on {folder} (process {up.pid})" in " ".join(printed.split())
    code, printed = command(packages, folder, "status")
    assert (code, printed.count(" yes ")) == (0, 6), printed
    assert command(packages, folder, "down") == (0, "stopped\n")
    ended(up)
    assert up.returncode == 0
    assert processes_on(folder) == []
    code, printed = command(packages, folder, "down", "--wipe")
    assert (code, printed) == (0, f"no platform runs on {folder}\nthe data in {folder} are deleted\n")
    assert [file.name for file in folder.iterdir()] == ["pid"]


def test_down_does_not_touch_a_process_that_merely_has_the_number(packages: Path, folder: Path) -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    (folder / "pid").write_text(f"{bystander.pid} 1\n")
    assert command(packages, folder, "down")[0] == 0
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_nothing_outlives_a_killed_supervisor_and_the_next_up_works(packages: Path, folder: Path) -> None:
    up = start(packages, folder)
    read_until(up, "Ctrl-C")
    up.kill()
    ended(up)
    for _ in range(400):
        if not processes_on(folder):
            break
        time.sleep(0.05)
    assert processes_on(folder) == []
    again = start(packages, folder)
    read_until(again, "Ctrl-C")
    again.send_signal(signal.SIGINT)
    ended(again)
    assert again.returncode == 0


@pytest.mark.parametrize("fails", ["touchpoint migrate", "touchpoint serve"])
def test_a_process_that_fails_at_its_start_stops_everything_with_its_last_words(
    packages: Path, folder: Path, fails: str
) -> None:
    up = start(packages, folder, STAND_IN_FAILS=fails)
    printed = ended(up)
    assert up.returncode == 1
    assert f"{fails.replace(' ', ' cannot ')} today" in printed
    assert "exit status 1" in printed
    assert "nothing is left running" in printed
    assert processes_on(folder) == []


def test_a_signal_during_the_start_stops_it(packages: Path, folder: Path) -> None:
    up = start(packages, folder)
    read_until(up, "starting")
    while not (folder / "logs" / "member-migrate.log").exists():
        time.sleep(0.01)
    up.send_signal(signal.SIGINT)
    ended(up)
    assert up.returncode == 0
    assert processes_on(folder) == []


def test_a_program_runs_a_platform(packages: Path, folder: Path) -> None:
    process = stand_ins.run(packages, str(SCENARIOS), str(folder))
    printed = ended(process)
    assert process.returncode == 0, printed
    assert "wiping_starts_from_nothing" in printed
    assert processes_on(folder) == []


def test_an_unknown_scope_is_named(packages: Path, folder: Path) -> None:
    code, printed = command(packages, folder, "token", "--scope", "biling.read")
    assert code == 1
    assert "biling.read" in printed
    code, printed = command(packages, folder, "token", "--scope", "billing.read", "--customer", "C1")
    assert code == 0
    assert printed.count(".") == 2
    assert os.linesep in printed


def starts_of(service: str, folder: Path) -> int:
    """How often a service has started, counted by its own login in its own database."""
    password = json.loads((folder / "passwords.json").read_text())[service]
    port = json.loads((folder / "ports.json").read_text())["postgres"]
    where = f"host=127.0.0.1 port={port} user={service} dbname={service}"
    statement = [where, "-Atc", "SELECT count(*) FROM starts"]
    psql = str(postgres_binaries(None) / "psql")
    return int(subprocess.check_output([psql, *statement], env={"PGPASSWORD": password}, text=True))
