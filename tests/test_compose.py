"""The files for a team's server agree with one another and with medseg, and open nothing that was not asked for."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest

from medseg.yaml import read_yaml

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(:\?|:-)?([^}]*)\}")


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(read_yaml(ROOT / "docker-compose.yml")["services"])


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def example() -> dict[str, str]:
    """Variables of `.env.example`, those in comments too."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    found = [re.match(r"#?([A-Z0-9_]+)=(.*)", line) for line in lines]
    return {each[1]: each[2] for each in found if each}


def test_it_has_a_database_a_server_and_training_on_a_gpu_on_demand(services: dict[str, Any]) -> None:
    assert set(services) == {"database", "tracking", "train"}
    assert services["train"]["profiles"] == ["gpu"]
    assert services["train"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    assert not any("profiles" in services[name] for name in ("database", "tracking"))


def test_nothing_starts_without_passwords_and_none_has_a_default(text: str) -> None:
    secrets = {
        name: kind for name, kind, _ in VARIABLE.findall(text) if re.search("PASSWORD|SECRET|KEY", name)
    }
    required = {"POSTGRES_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY"}

    assert {name for name, kind in secrets.items() if kind == ":?"} == required
    assert all(not value for name, kind, value in VARIABLE.findall(text) if name in secrets and kind == ":-")
    assert all(value == "" for name, value in example().items() if re.search("PASSWORD|SECRET|KEY", name))
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert {line.partition("=")[0] for line in lines if line and not line.startswith("#")} == required


def test_every_variable_is_in_the_example_and_the_other_way_round(
    text: str, services: dict[str, Any]
) -> None:
    passed_on = {
        name for each in services.values() for name, value in each["environment"].items() if value is None
    }
    assert {name for name, _, _ in VARIABLE.findall(text)} | passed_on == set(example())


def test_what_a_store_of_s3_needs_is_passed_on_only_where_it_is_set(services: dict[str, Any]) -> None:
    """An empty address of the store is one for MLflow, and no valid one."""
    environment = services["tracking"]["environment"]
    of_s3 = {name: value for name, value in environment.items() if "S3" in name or name.startswith("AWS_")}

    assert set(of_s3) >= {"MLFLOW_S3_ENDPOINT_URL", "AWS_DEFAULT_REGION"}
    assert set(of_s3.values()) == {None}


@pytest.mark.parametrize(
    ("variables", "answered"),
    [
        ({}, ["localhost:5000", "127.0.0.1:5000", "tracking:5000"]),
        ({"MEDSEG_PORT": "8080"}, ["localhost:8080", "127.0.0.1:8080", "tracking:5000"]),
        ({"MEDSEG_HOSTS": "mlflow.ward"}, ["localhost:5000", "tracking:5000", "mlflow.ward"]),
    ],
)
@pytest.mark.filterwarnings("ignore")  # MLflow's own, at import
def test_the_server_answers_by_the_names_that_clients_call_it(
    services: dict[str, Any], variables: dict[str, str], answered: list[str]
) -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    text = services["tracking"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]
    hosts = VARIABLE.sub(lambda each: variables.get(each[1], each[3]), text).split(",")

    assert all(is_allowed_host_header(hosts, name) for name in answered)
    assert not is_allowed_host_header(hosts, "elsewhere:5000")


def test_images_are_pinned_and_ours_are_of_this_version(services: dict[str, Any], dockerfile: str) -> None:
    import medseg

    images = {name: each["image"] for name, each in services.items()}
    base = re.search(r"^FROM (\S+)$", dockerfile, re.MULTILINE)

    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", images["database"])
    assert images["tracking"] == f"medseg:{medseg.__version__}"
    assert images["train"] == f"medseg:{medseg.__version__}-cuda"
    assert base is not None
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base[1])
    assert not re.findall(r"pip install .*[<>]", dockerfile)


def test_only_the_server_is_reached_and_from_this_machine_unless_told_otherwise(
    services: dict[str, Any],
) -> None:
    assert services["tracking"]["ports"] == ["${MEDSEG_BIND:-127.0.0.1}:${MEDSEG_PORT:-5000}:5000"]
    assert not any("ports" in services[name] for name in ("database", "train"))


def test_start_order_restarts_and_health_are_said(services: dict[str, Any]) -> None:
    for name, before in (("tracking", "database"), ("train", "tracking")):
        assert services[name]["depends_on"] == {before: {"condition": "service_healthy"}}
        assert services[before]["healthcheck"]["test"][0] == "CMD"
        assert services[before]["restart"] == "unless-stopped"


def test_nobody_is_root_and_volumes_have_names(services: dict[str, Any], dockerfile: str) -> None:
    declared = set(read_yaml(ROOT / "docker-compose.yml")["volumes"])
    users = {name: each["user"] for name, each in services.items()}
    mounted = {str(volume).partition(":")[0] for each in services.values() for volume in each["volumes"]}

    assert users == {"database": "postgres", "tracking": "medseg", "train": "medseg"}
    assert re.search(r"^USER medseg$", dockerfile, re.MULTILINE)
    assert all(each["security_opt"] == ["no-new-privileges:true"] for each in services.values())
    assert declared <= mounted
    assert all(
        str(volume).endswith(":ro") for volume in services["train"]["volumes"] if "/data" in str(volume)
    )


@pytest.mark.filterwarnings("ignore")  # MLflow's own, at import
def test_mlflow_has_passwords_and_telemetry_off_and_takes_what_it_is_given(services: dict[str, Any]) -> None:
    from mlflow import environment_variables
    from mlflow.cli import server

    from medseg.tracking.mlflow.quiet import quiet_environment

    tracking = services["tracking"]
    known = {option for each in server.params for option in (*each.opts, *each.secondary_opts)}
    own = [name for name in tracking["environment"] if name.startswith("MLFLOW_")]

    assert "--app-name=basic-auth" in tracking["command"]
    assert {option.partition("=")[0] for option in tracking["command"]} <= known
    assert {name for name in own if not hasattr(environment_variables, name)} <= {
        "MLFLOW_BACKEND_STORE_URI"
    } | {each.envvar for each in server.params if each.envvar}
    for name in ("tracking", "train"):
        environment = services[name]["environment"]
        off = {key: quiet_environment({})[key] for key in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")}
        assert environment.items() >= off.items()


def test_users_lie_in_the_same_database_as_the_runs(services: dict[str, Any]) -> None:
    config = read_yaml(ROOT / "docker-compose.yml")["configs"]["auth"]["content"]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(config)
    address = services["tracking"]["environment"]["MLFLOW_BACKEND_STORE_URI"]

    assert parser["mlflow"]["database_uri"] == address
    assert "@database:5432/" in address
    assert services["tracking"]["configs"][0]["source"] == "auth"
    assert services["train"]["environment"]["MLFLOW_TRACKING_URI"] == "http://tracking:5000"


def test_the_document_names_services_variables_and_volumes_that_are_there(services: dict[str, Any]) -> None:
    document = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    variables = set(re.findall(r"`((?:MEDSEG|MLFLOW|AWS)_[A-Z0-9_]+)", document)) - {"MEDSEG_USER"}
    commands = set(re.findall(r"docker compose (?:exec|run)(?: -\S+)*(?: tar)? (\w+)", document))

    assert variables <= set(example())
    assert commands <= set(services)
    assert "database" in commands
