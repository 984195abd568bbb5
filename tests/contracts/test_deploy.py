"""The deploy files agree with the code and with each other. `deploy/check.sh` asks the real tools about the rest."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import SecretStr

from services.cli import PROCESSES, cli
from shared.service import DRAIN_SECONDS
from shared.settings import Settings, load

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "k8s" / "base"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
FILES = sorted(
    [ROOT / "docker-compose.yml", *(ROOT / "deploy").rglob("*.yml"), *(ROOT / "deploy").rglob("*.yaml")]
)


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def one(path: Path) -> dict[str, Any]:
    (found,) = documents(path)
    return found


COMPOSE = one(ROOT / "docker-compose.yml")
KUSTOMIZATION = one(BASE / "kustomization.yaml")
DEPLOYMENTS = documents(BASE / "deployments.yaml")
JOBS = documents(BASE / "jobs.yaml")
POD_PATCH = one(BASE / "patches" / "pod.yaml")
SERVICE_PATCH = one(BASE / "patches" / "service.yaml")
SECRET = one(BASE / "secret.example.yaml")["stringData"]
SETTINGS = dict(
    line.split("=", 1) for line in (BASE / "settings.env").read_text().splitlines() if line and line[0] != "#"
)


def container(document: dict[str, Any]) -> dict[str, Any]:
    (found,) = document["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def variable(name: str) -> str:
    return (
        name.upper() if name in ("kafka_bootstrap_servers", "database_url") else f"ORDERWAKE_{name.upper()}"
    )


KNOWN = {variable(name) for name in Settings.model_fields}
SECRETS = {variable(name) for name, field in Settings.model_fields.items() if field.annotation is SecretStr}


def compose_settings() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, service in COMPOSE["services"].items():
        if service["image"].startswith("orderwake:"):
            yield name, service["environment"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_file_is_yaml_and_says_something(path: Path) -> None:
    assert documents(path)


def test_every_service_is_deployed_reachable_and_scraped() -> None:
    assert [container(document)["args"] for document in DEPLOYMENTS] == [[name] for name in PROCESSES]
    selectors = [document["spec"]["selector"] for document in documents(BASE / "services.yaml")]
    assert selectors == [document["spec"]["template"]["metadata"]["labels"] for document in DEPLOYMENTS]
    assert {name: COMPOSE["services"][name]["command"] for name in PROCESSES} == {
        name: [name] for name in PROCESSES
    }
    (job,) = one(ROOT / "deploy" / "prometheus" / "prometheus.yml")["scrape_configs"]
    assert [target["targets"] for target in job["static_configs"]] == [[f"{name}:8080"] for name in PROCESSES]


def test_topics_and_migrations_are_jobs_with_verbs_that_the_cli_has() -> None:
    arguments = [container(job)["args"] for job in JOBS]
    assert arguments == [["topics", "apply"], ["migrate"]]
    assert [COMPOSE["services"][name]["command"] for name in ("topics", "migrate")] == arguments
    topics = cli.commands["topics"]
    assert isinstance(topics, click.Group)
    assert {"apply"} <= topics.commands.keys()
    assert {"migrate", *PROCESSES} <= cli.commands.keys()


def test_the_patches_meet_the_containers_that_they_are_for() -> None:
    names = {container(document)["name"] for document in (*DEPLOYMENTS, *JOBS, POD_PATCH, SERVICE_PATCH)}
    assert names == {"orderwake"}
    targets = {(patch["path"], patch["target"]["kind"]) for patch in KUSTOMIZATION["patches"]}
    assert targets == {
        ("patches/pod.yaml", "Deployment"),
        ("patches/pod.yaml", "Job"),
        ("patches/service.yaml", "Deployment"),
        ("patches/scheduler.yaml", "Deployment"),
    }


def test_old_schedulers_end_before_new_ones_start() -> None:
    """Kubernetes restarts an old pod with its old journeys: side by side they would replace each other in turn."""
    patches = KUSTOMIZATION["patches"]
    assert patches[-1] == {
        "path": "patches/scheduler.yaml",
        "target": {"kind": "Deployment", "name": "orderwake-scheduler"},
    }
    assert one(BASE / "patches" / "scheduler.yaml")["spec"] == {
        "strategy": {"type": "Recreate", "rollingUpdate": None}
    }


def test_every_service_is_probed_and_given_time_to_drain() -> None:
    pod = SERVICE_PATCH["spec"]["template"]["spec"]
    paths = {
        probe: container(SERVICE_PATCH)[probe]["httpGet"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert {probe: get["path"] for probe, get in paths.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {get["port"] for get in paths.values()} == {
        port["name"] for port in container(SERVICE_PATCH)["ports"]
    }
    assert pod["terminationGracePeriodSeconds"] > DRAIN_SECONDS
    assert COMPOSE["services"]["scheduler"]["stop_grace_period"] == "30s"


def test_every_pod_is_restricted_and_has_its_resources_stated() -> None:
    pod = POD_PATCH["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # Kubernetes would add ORDERWAKE_..._PORT variables for our own Services, which look like settings.
    assert pod["enableServiceLinks"] is False
    assert container(POD_PATCH)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for document in (*DEPLOYMENTS, *JOBS):
        assert container(document)["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container(document)["resources"]["limits"]


def test_every_setting_is_one_that_the_code_knows_and_takes() -> None:
    in_image = set(re.findall(r"\b(ORDERWAKE_[A-Z_]+)=", DOCKERFILE))
    assert in_image <= KNOWN
    assert SETTINGS.keys() | SECRET.keys() <= KNOWN
    for name, given in compose_settings():
        assert given.keys() <= KNOWN, name
    load({**SETTINGS, **SECRET})


def test_secrets_are_in_the_secret_only() -> None:
    assert not SETTINGS.keys() & SECRETS
    assert SECRET.keys() >= SECRETS
    assert "secret.example.yaml" not in KUSTOMIZATION["resources"]
    sources = [next(iter(source.values()))["name"] for source in container(POD_PATCH)["envFrom"]]
    assert sources == [KUSTOMIZATION["configMapGenerator"][0]["name"], "orderwake"]


def test_one_image_with_one_tag_is_used_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert KUSTOMIZATION["images"] == [{"name": "orderwake", "newTag": version}]
    assert {container(document)["image"] for document in (*DEPLOYMENTS, *JOBS)} == {"orderwake"}
    ours = [service["image"] for service in COMPOSE["services"].values() if "build" in service]
    assert set(ours) == {f"orderwake:{version}"}
    assert len(ours) == len(PROCESSES) + len(JOBS)
    assert not [service["image"] for service in COMPOSE["services"].values() if ":" not in service["image"]]
    assert "latest" not in DOCKERFILE


def test_the_port_and_the_user_are_the_same_wherever_they_are_named() -> None:
    assert SETTINGS["ORDERWAKE_HTTP_PORT"] == "8080"
    assert "EXPOSE 8080" in DOCKERFILE
    assert container(SERVICE_PATCH)["ports"] == [{"name": "http", "containerPort": 8080}]
    user = POD_PATCH["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in DOCKERFILE


def test_what_is_written_at_run_time_is_writable() -> None:
    mounts = {
        mount["mountPath"]
        for patch in (POD_PATCH, SERVICE_PATCH)
        for mount in container(patch)["volumeMounts"]
    }
    assert mounts == {"/tmp", SETTINGS["ORDERWAKE_DATA_DIR"]}  # noqa: S108  the path in a container
    assert COMPOSE["services"]["recommender"]["volumes"] == ["recommender:/data"]


def test_the_build_tools_are_locked_to_the_versions_of_the_whole_lock() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    assert pins("build.txt") <= pins("all.txt")
    assert pins("runtime.txt") <= pins("all.txt")
    for name in ("runtime.txt", "build.txt"):
        assert f"--require-hashes -r requirements/{name}" in DOCKERFILE
