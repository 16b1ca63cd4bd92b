"""The larger shape: what compose starts, what the image holds, what nginx does in front."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from store.env import Env
from store.supervise.table import ROOT, Process, processes

OURS = {"setup", "web", "worker", "senders", "inference", "inference-gpu", "beat"}
THEIRS = {"postgres", "valkey", "objects", "nginx"}
NOT_OURS = {"OMP_NUM_THREADS", "ROLE"}
"""Variables of the roles that are no settings of the store."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


def test_every_role_is_there_and_runs_the_same_image(services: dict[str, Any]) -> None:
    assert set(services) == OURS | THEIRS
    same = OURS - {"inference-gpu"}
    assert {services[name]["image"] for name in same} == {"gpt-store:${STORE_VERSION:-latest}"}
    assert len({json.dumps(services[name]["build"]) for name in same}) == 1
    for name in THEIRS:
        assert re.fullmatch(r"[\w/]+:\d[\w.-]+", services[name]["image"]), "a version is pinned"


def test_only_nginx_is_published(services: dict[str, Any]) -> None:
    assert [name for name in services if "ports" in services[name]] == ["nginx"]
    assert services["nginx"]["ports"] == ["${STORE_PUBLISH:-8080}:8080"]
    assert not [name for name in services if services[name].get("network_mode")]


def test_databases_and_models_have_no_way_out(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "valkey", "objects", "inference", "inference-gpu", "beat", "setup"):
        assert services[name]["networks"] == ["inside"]
    for name in ("nginx", "web", "worker", "senders"):
        assert services[name]["networks"] == ["inside", "outside"]


def test_everything_that_lasts_says_how_it_feels(services: dict[str, Any]) -> None:
    for name in (OURS | THEIRS) - {"setup"}:
        check = services[name]["healthcheck"]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
        assert set(check) == {"test", "interval", "timeout", "start_period", "retries"}


def test_roles_start_when_what_they_need_is_there(services: dict[str, Any]) -> None:
    for name in OURS - {"setup"}:
        assert {
            other: need["condition"] for other, need in services[name]["depends_on"].items()
        } == {
            "setup": "service_completed_successfully",
            "postgres": "service_healthy",
            "valkey": "service_healthy",
            "objects": "service_healthy",
        }
    assert services["nginx"]["depends_on"]["web"] == {"condition": "service_healthy"}
    assert services["setup"]["command"] == ["python", "-m", "store.supervise.site"]


def test_roles_run_what_the_process_table_runs(services: dict[str, Any], tmp_path: Path) -> None:
    table = {process.name: process for process in processes(tmp_path)}

    assert essence(services["web"]["command"]) == essence(bare(table["web"]))
    for name in ("worker", "senders", "inference", "beat"):
        ours, theirs = set(services[name]["command"]), set(bare(table[name]))
        assert option("--queues", ours) == option("--queues", theirs)
        assert option("--pool", ours) == option("--pool", theirs)
        assert ("worker" in ours, "beat" in ours) == ("worker" in theirs, "beat" in theirs)
        assert option("--app", ours) == "workers.app"
    assert services["inference"]["environment"]["OMP_NUM_THREADS"] == "1"


def test_cards_have_an_image_and_a_queue_of_their_own(services: dict[str, Any]) -> None:
    card, plain = services["inference-gpu"], services["inference"]

    assert card["profiles"] == ["gpu"]
    assert (option("--queues", set(card["command"])), card["networks"]) == (
        "inference-gpu",
        plain["networks"],
    )
    assert card["image"] != plain["image"]
    assert card["build"]["args"]["TORCH_INDEX"] != plain["build"]["args"]["TORCH_INDEX"]
    assert f"{card['environment']['ROLE']}@%h" in option("--hostname", set(card["command"]))


def test_roles_have_time_to_stop(services: dict[str, Any], tmp_path: Path) -> None:
    for process in processes(tmp_path):
        if process.name in {"web", "worker", "senders", "inference"}:
            grace = services[process.name]["stop_grace_period"]
            assert grace == f"{process.stop_wait_s}s"


def test_roles_have_no_rights_they_do_not_need(services: dict[str, Any]) -> None:
    for name in OURS | {"nginx"}:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert services[name]["read_only"] is True


def test_every_variable_is_a_setting_of_the_store(services: dict[str, Any]) -> None:
    prefixed = {
        info.validation_alias or f"STORE_{name.upper()}" for name, info in Env.model_fields.items()
    }

    for name in OURS:
        assert set(services[name]["environment"]) - NOT_OURS <= prefixed


def test_what_compose_sets_is_accepted_by_the_settings(services: dict[str, Any]) -> None:
    given = {
        name: re.sub(r"\$\{\w+(?::[-?]([^}]*))?\}", r"\1", value)
        for name, value in services["web"]["environment"].items()
    }
    fields = {
        info.validation_alias or f"STORE_{name.upper()}": name
        for name, info in Env.model_fields.items()
    }

    env = Env.model_validate({fields[name]: value for name, value in given.items() if value})

    assert (env.storage, env.delivery, env.trusted_proxies) == ("s3", "redirect", 1)
    assert env.s3_public_endpoint == env.public_url == "http://localhost:8080"
    assert env.database_url.endswith("@postgres:5432/store")
    assert env.redis_url.endswith("@valkey:6379/0")


def test_every_secret_must_be_given() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = {"POSTGRES_PASSWORD", "VALKEY_PASSWORD", "STORE_SECRET_KEY", "STORE_S3_SECRET_KEY"}

    for name in secrets | {"STORE_S3_ACCESS_KEY"}:
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert uses
        assert set(uses) == {":?set it in .env"}
    example = (ROOT / "deploy/compose.env.example").read_text()
    assert all(re.search(rf"^{name}=$", example, re.MULTILINE) for name in secrets)


def test_nothing_a_service_uses_is_missing(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    mounts = [mount for each in services.values() for mount in each.get("volumes", [])]
    sources = {mount.split(":")[0] for mount in mounts}

    assert {source for source in sources if not source.startswith(".")} == set(compose["volumes"])
    assert [source for source in sources if source.startswith(".")] == ["./deploy/nginx.conf"]
    assert (ROOT / "deploy/nginx.conf").is_file()
    assert {each["source"] for each in services["objects"]["configs"]} == set(compose["configs"])
    shape = compose["configs"]["objects"]["content"]
    assert json.loads(re.sub(r"\$\{[^}]*\}", "x", shape))["identities"][0]["name"] == "store"


def test_the_queue_keeps_what_it_has(services: dict[str, Any]) -> None:
    command = " ".join(services["valkey"]["command"])

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert '--requirepass "$$VALKEY_PASSWORD"' in command


def test_the_image_runs_as_an_ordinary_user_and_carries_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    last_user = [line for line in lines if line.startswith("USER ")][-1]

    assert last_user == "USER store"
    assert any("--uid 10001" in line for line in lines)
    assert {".env", ".git", "var", "*.env"} <= set(ignored)
    assert [line for line in lines if line.startswith("ARG ")] == [
        "ARG PYTHON=3.11-slim-bookworm",
        "ARG TORCH=default",
        "ARG TORCH_INDEX=",
    ]
    command = next(line for line in lines if line.startswith("CMD "))
    assert json.loads(command.removeprefix("CMD "))[0] == "gunicorn"
    for name in re.findall(r"\bSTORE_[A-Z_]+", "\n".join(lines)):
        assert name.removeprefix("STORE_").lower() in Env.model_fields


def test_nginx_runs_as_the_user_of_the_image(services: dict[str, Any]) -> None:
    assert services["nginx"]["user"] == "10001:10001"


def essence(command: list[str] | tuple[str, ...]) -> list[str]:
    return [word for word in command if not word.startswith("/")]


def bare(process: Process) -> tuple[str, ...]:
    """Return a command of the process table without its interpreter."""
    return process.command[2:]


def option(name: str, words: set[str]) -> str | None:
    return next((word.split("=", 1)[1] for word in words if word.startswith(f"{name}=")), None)
