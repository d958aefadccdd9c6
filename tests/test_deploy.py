"""What is deployed is what the flows take: prefect.yaml and its templates, the image and the compose file, held against the real models."""

import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPO

DEPLOY = REPO / "deploy"
FILES = [REPO / "prefect.yaml", DEPLOY / "kubernetes.yaml", DEPLOY / "ecs.yaml", DEPLOY / "ray.yaml"]
SECRET = re.compile(r"(?i)(password|secret|token|auth_string|api_key|access_key)")
INSTRUCTIONS = {"ARG", "FROM", "SHELL", "RUN", "ENV", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}


def deployments(path: Path) -> dict[str, dict]:
    return {found["name"]: found for found in yaml.safe_load(path.read_text())["deployments"]}


def containerfile() -> list[tuple[str, str]]:
    """Instruction and words, lines that go on joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_deployment_gives_its_flow_the_parameters_that_it_takes(path):
    for found in deployments(path).values():
        file, _, name = found["entrypoint"].partition(":")
        flow = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
        assert flow.validate_parameters(dict(found["parameters"])) is not None
        assert set(found["parameters"]) == set(inspect.signature(flow.fn).parameters), f"{path.name}: {found['name']}"


@pytest.mark.parametrize("path", FILES[1:], ids=lambda path: path.stem)
def test_the_templates_deploy_what_prefect_yaml_deploys(path):
    ours, theirs = deployments(FILES[0]), deployments(path)
    assert sorted(theirs) == sorted(f"{name}-{path.stem}" for name in ours)
    for name, found in ours.items():
        assert theirs[f"{name}-{path.stem}"]["entrypoint"] == found["entrypoint"]
        assert theirs[f"{name}-{path.stem}"]["parameters"] == found["parameters"]


def test_a_ray_job_knows_its_cluster():
    for found in deployments(DEPLOY / "ray.yaml").values():
        assert found["work_pool"]["job_variables"]["env"].keys() == {"SLUICE_POOL", "RAY_ADDRESS"}
        assert found["work_pool"]["job_variables"]["env"]["SLUICE_POOL"] == "ray"


def test_all_nodes_of_a_ray_cluster_see_the_workspace_in_one_place():
    cluster = yaml.safe_load((DEPLOY / "raycluster.yaml").read_text())["spec"]
    claim = "persistentVolumeClaim"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["volumeMounts"] == [{"name": pod["volumes"][0]["name"], "mountPath": container["workingDir"]}]
        assert pod["volumes"][0][claim] == {"claimName": "sluice-workspace"}
        assert container["securityContext"]["runAsNonRoot"] is True
    assert cluster["workerGroupSpecs"][0]["minReplicas"] <= cluster["workerGroupSpecs"][0]["replicas"]


def test_the_trigger_waits_for_the_event_that_the_watch_emits():
    from flows.watch import EVENT

    trigger = deployments(FILES[0])["refresh"]["triggers"][0]
    assert trigger["expect"] == [EVENT]
    assert trigger["match"] == {"prefect.resource.id": "sluice.crawl.*"}


def test_prefect_reads_the_trigger_as_it_is_meant():
    from prefect.events import DeploymentEventTrigger

    read = DeploymentEventTrigger.model_validate(deployments(FILES[0])["refresh"]["triggers"][0])
    assert read.posture.value == "Reactive"
    assert read.threshold == 1


def test_the_image_is_built_as_good_images_are():
    steps = containerfile()
    assert {name for name, _ in steps} <= INSTRUCTIONS
    assert steps[0][0] == "FROM"
    assert re.fullmatch(r"python:3\.1[1-3]-slim-\w+", steps[0][1]), "a base image with a fixed Python and distribution"
    users = [words for name, words in steps if name == "USER"]
    assert users, "no USER: the image would run as root"
    assert users[-1] not in ("root", "0")
    assert not any(name == "ADD" for name, _ in steps)
    for name, words in steps:
        if name in ("CMD", "ENTRYPOINT", "SHELL"):
            assert isinstance(yaml.safe_load(words), list), f"{name} without a shell: signals have to get through"
        if name == "ENV":
            assert not SECRET.search(words)
        if name == "RUN":
            assert "sudo" not in shlex.split(words)
            assert "apt-get install" not in words or ("--no-install-recommends" in words and "rm -rf /var/lib/apt/lists" in words)
            assert "pip install" not in words or "--no-cache-dir" in words
        if name == "COPY":
            sources = shlex.split(words)[:-1]
            assert all((REPO / source).exists() for source in sources), "COPY names a file that isn't there"


def test_the_image_runs_what_compose_expects():
    steps = dict(containerfile())
    assert yaml.safe_load(steps["CMD"])[:3] == ["prefect", "worker", "start"]
    assert yaml.safe_load(steps["ENTRYPOINT"]) == ["tini", "--"]


def test_compose_is_what_the_specification_says():
    compose_spec = pytest.importorskip("compose_spec", reason="no compose-spec here: uv sync --group dev")
    found = compose_spec.ComposeSpecification.model_validate({name: part for name, part in compose().items() if not name.startswith("x-")})
    assert sorted(found.services) == ["deploy", "server", "watch", "worker"]


def test_compose_runs_with_few_rights_and_shows_itself_to_this_machine_alone():
    services = compose()["services"]
    for name, service in services.items():
        assert service["user"].startswith("${SLUICE_UID:-1000}"), name
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged")
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "healthcheck" in services["server"]
    assert services["deploy"]["depends_on"]["server"]["condition"] == "service_healthy"
    assert {services[name]["depends_on"]["deploy"]["condition"] for name in ("worker", "watch")} == {"service_completed_successfully"}


def test_no_secret_stands_in_a_file():
    for service in compose()["services"].values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name):
                assert str(value).startswith("${"), f"{name} has to come from the environment"
    for path in FILES:
        assert not [name for name in re.findall(r"^\s+([A-Za-z_]+):\s*\S", path.read_text(), re.MULTILINE) if SECRET.search(name)]
    assert not SECRET.search((REPO / "params.yaml").read_text().replace("max_tokens", "").replace("tokens", "").replace("token", ""))


def test_the_server_asks_for_a_password():
    services = compose()["services"]
    needed = services["server"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
    assert needed.startswith("${PREFECT_AUTH:?"), "compose has to stop where no password is set"
    assert all(services[name]["environment"]["PREFECT_API_AUTH_STRING"] == needed for name in ("deploy", "worker", "watch"))


def test_prefect_knows_each_of_its_settings():
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings

    known = set(_get_settings_fields(Settings))
    named = {name for service in compose()["services"].values() for name in service.get("environment", {}) if name.startswith("PREFECT_")}
    assert named
    assert named <= known
