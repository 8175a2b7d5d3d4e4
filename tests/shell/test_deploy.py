"""What is under deploy/ is true of the program beside it: commands, variables, ports, paths, and how safely it runs."""

import gc
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from gunicorn.config import Config

from mergeq.bootstrap import Services
from mergeq.cli import cli
from mergeq.config import Settings
from mergeq.web import server

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TEXTS = sorted(file for file in DEPLOY.rglob("*") if file.is_file())
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SUPERVISED = ("web", "worker", "tick")
HARDENED = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectControlGroups": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictNamespaces": "yes",
    "LockPersonality": "yes",
    "SystemCallFilter": "@system-service",
    "StateDirectory": "mergeq",
}


def unit(file: Path) -> dict[str, dict[str, list[str]]]:
    """A systemd unit: section, key, and every value the key was given."""
    sections: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in file.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            sections.setdefault(section, {}).setdefault(key, []).append(value)
    return sections


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each on one line."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1].strip()) for line in lines]


def of(instruction: str) -> list[str]:
    return [value for name, value in instructions() if name == instruction]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for value in of("ENV") for pair in shlex.split(value))


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every mergeq command line under deploy/, with where it stands."""
    for file in UNITS:
        yield file.name, shlex.split(unit(file)["Service"]["ExecStart"][0])[1:]
    for name in SUPERVISED:
        yield f"compose.yaml: {name}", compose()["services"][name]["command"]
    yield "Dockerfile", yaml.safe_load(of("CMD")[-1])
    for file in TEXTS:
        for line in re.findall(r"`mergeq ([a-z][^`]*)`", file.read_text()):
            yield file.name, shlex.split(line)


@pytest.mark.parametrize(("where", "line"), sorted({(where, " ".join(words)) for where, words in commands()}))
def test_every_command_line_is_one_that_mergeq_takes(where: str, line: str) -> None:
    name, *arguments = shlex.split(line)

    assert name in cli.commands, where
    cli.commands[name].make_context(name, arguments)


def read_variables() -> set[str]:
    source = (ROOT / "mergeq" / "config" / "settings.py").read_text()
    return set(re.findall(r'env\.get\(\s*"((?:MERGEQ|GITHUB)_[A-Z_]+)"', source))


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_every_variable_that_is_named_is_one_that_mergeq_reads(file: Path) -> None:
    assert set(re.findall(r"\b(?:MERGEQ|GITHUB)_[A-Z_]+\b", file.read_text())) - read_variables() == set()


def test_the_example_names_every_variable_once_and_explains_it() -> None:
    lines = (DEPLOY / "mergeq.env.example").read_text().splitlines()
    names = [match[1] for line in lines if (match := re.match(r"#?([A-Z_]+)=", line))]
    explained = [above.startswith("# ") for above, line in pairwise(lines) if re.match(r"#?[A-Z_]+=", line)]

    assert sorted(names) == sorted(read_variables())
    assert all(explained)


def test_the_example_is_read_as_it_stands_and_its_examples_are_valid() -> None:
    lines = (DEPLOY / "mergeq.env.example").read_text().splitlines()
    pairs = [line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?[A-Z_]+=", line)]
    told = Settings.from_environment(dict(pairs))
    unset = Settings.from_environment({"HOME": "/"})

    assert (told.host, told.port) == (unset.host, unset.port)
    assert told.github_api_url == unset.github_api_url
    assert told.log_format == unset.log_format
    assert (told.github_token, told.webhook_secrets) == ("", ())


def test_all_ways_to_run_agree_on_port_and_paths() -> None:
    image = image_environment()
    port = str(Settings.from_environment({"HOME": "/"}).port)
    services = compose()["services"]
    folder, state = image["MERGEQ_CONFIG"], image["MERGEQ_STATE_DIR"]

    assert image["MERGEQ_LISTEN"] == f"0.0.0.0:{port}"
    assert of("EXPOSE") == [port]
    assert f"127.0.0.1:{port}/healthz" in of("HEALTHCHECK")[0]
    assert services["web"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"127.0.0.1:{port}/healthz" in services["web"]["healthcheck"]["test"][-1]
    for name in SUPERVISED:
        told = services[name]["environment"]
        assert {key: told[key] for key in ("MERGEQ_CONFIG", "MERGEQ_LISTEN", "MERGEQ_STATE_DIR")} == {
            key: image[key] for key in ("MERGEQ_CONFIG", "MERGEQ_LISTEN", "MERGEQ_STATE_DIR")
        }
        assert services[name]["volumes"] == [f"./config:{folder}:ro"]
        assert services[name]["env_file"] == ["mergeq.env"]
        assert told["MERGEQ_REDIS_URL"].startswith("redis://redis:")
    for file in UNITS:
        service = unit(file)["Service"]
        assert service["Environment"] == [f"MERGEQ_CONFIG={folder}", f"MERGEQ_STATE_DIR={state}"]
        assert service["EnvironmentFile"] == ["/etc/mergeq/mergeq.env"]
        assert f"/var/lib/{service['StateDirectory'][0]}" == state
    for text in (folder, "/etc/mergeq/mergeq.env", state):
        assert text in (DEPLOY / "README.md").read_text()


def test_health_is_asked_of_a_route_that_is_there() -> None:
    assert '.get("/healthz")' in (ROOT / "mergeq" / "web" / "pages.py").read_text()


def test_the_image_is_given_all_that_its_wheel_is_built_of_and_sees_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml",
        "constraints.txt",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
    }
    copied = {
        source: words[-1]
        for value in of("COPY")
        if not value.startswith("--from")
        for words in [value.split()]
        for source in words[:-1]
    }
    visible = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}

    assert needed - copied.keys() == set()
    assert set(copied) == visible
    assert [source for source in copied if not (ROOT / source).exists()] == []
    for source, target in copied.items():
        assert (
            target if source == Path(source).name and (ROOT / source).is_dir() else f"{target}{Path(source).name}"
        ) in {
            source,
            f"./{source}",
        }


def test_the_image_runs_mergeq_as_nobody_in_particular_and_carries_no_secret() -> None:
    stages = of("FROM")
    after_last = instructions()[max(i for i, (name, _) in enumerate(instructions()) if name == "FROM") :]
    users = [value for name, value in after_last if name == "USER"]
    secrets = {"GITHUB_TOKEN", "MERGEQ_WEBHOOK_SECRET", "MERGEQ_WEBHOOK_SECRET_PREVIOUS", "MERGEQ_REDIS_URL"}

    assert stages == ["python:3.12-slim-bookworm AS build", "python:3.12-slim-bookworm"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1])
    assert of("ENTRYPOINT") == ['["mergeq"]']
    assert of("ARG") == []
    assert image_environment().keys() & secrets == set()
    assert not any("git " in value or "apt" in value for name, value in after_last if name == "RUN")


def test_the_image_is_of_a_python_that_mergeq_supports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert "Programming Language :: Python :: 3.12" in project["classifiers"]


def test_redis_keeps_what_it_is_told_and_evicts_nothing() -> None:
    redis = compose()["services"]["redis"]
    words = redis["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))

    assert options == {"--appendonly": "yes", "--appendfsync": "everysec", "--maxmemory-policy": "noeviction"}
    assert redis["volumes"] == ["redis:/data"]
    assert "redis" in compose()["volumes"]
    assert "ports" not in redis
    assert redis["networks"] == ["inside"]
    assert compose()["networks"]["inside"] == {"internal": True}


def test_every_container_restarts_and_writes_nowhere_but_into_its_volumes() -> None:
    for name, service in compose()["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "healthcheck" in service, name
    for name in SUPERVISED:
        service = compose()["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert compose()["services"]["worker"]["deploy"]["replicas"] > 1


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_every_unit_is_hardened(file: Path) -> None:
    service = unit(file)["Service"]

    assert {key: service.get(key) for key in HARDENED} == {key: [value] for key, value in HARDENED.items()}
    assert service["Restart"][0] in {"on-failure", "always"}
    assert (service["KillMode"], service["KillSignal"]) == (["mixed"], ["SIGTERM"])


def test_the_units_differ_only_where_they_must() -> None:
    common = {"ExecStart", "Type", "Restart", "TimeoutStopSec"}
    rest = {
        file.name: {key: value for key, value in unit(file)["Service"].items() if key not in common} for file in UNITS
    }

    assert len({str(value) for value in rest.values()}) == 1


def test_a_worker_gets_the_time_that_its_job_may_take() -> None:
    source = (ROOT / "mergeq" / "jobs.py").read_text()
    job = int(re.findall(r"^_TURN_SECONDS = (\d+)", source, re.MULTILINE)[0])
    told = [
        unit(DEPLOY / "systemd" / "mergeq-worker@.service")["Service"]["TimeoutStopSec"][0].removesuffix("in"),
        compose()["services"]["worker"]["stop_grace_period"],
    ]

    assert [int(text.removesuffix("m")) * 60 > job for text in told] == [True, True]


def test_the_target_starts_every_part_and_never_beside_the_single_unit() -> None:
    target = unit(DEPLOY / "systemd" / "mergeq.target")["Unit"]
    parts = [file.name for file in UNITS if file.name != "mergeq.service"]

    assert {re.sub(r"@\d+", "@", name) for name in target["Wants"][0].split()} == set(parts)
    assert target["Conflicts"] == ["mergeq.service"]
    for part in parts:
        assert unit(DEPLOY / "systemd" / part)["Unit"]["PartOf"] == ["mergeq.target"]
    assert set(target["Wants"][0].split()) <= {
        word for line in (DEPLOY / "README.md").read_text().splitlines() for word in line.split()
    }


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed here")
    for file in (DEPLOY / "systemd").iterdir():
        text = file.read_text().replace("/opt/mergeq/bin/mergeq", sys.executable)
        names = [file.name.replace("@", f"@{number}") for number in (1, 2)] if "@" in file.name else [file.name]
        for name in names:
            (tmp_path / name).write_text(text)
    units = sorted(str(file) for file in tmp_path.iterdir())
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(
        [program, "verify", "--man=no", *units], env=environment, capture_output=True, text=True, check=False
    )
    if "Failed to" in done.stderr and "bus" in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr.splitlines()[0]}")

    assert (done.returncode, [line for line in done.stderr.splitlines() if "mergeq" in line]) == (0, [])


def gunicorn_options() -> dict[str, Any]:
    found = runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))
    return {name: value for name, value in found.items() if not name.startswith("__")}


def test_gunicorn_knows_every_setting_and_takes_its_value() -> None:
    config = Config()
    for name, value in gunicorn_options().items():
        assert name in config.settings
        config.set(name, value)


def test_what_mergeq_web_serves_with_is_what_the_file_says() -> None:
    services = cast(Services, SimpleNamespace(settings=Settings(host="127.0.0.1", port=8471)))

    told, unset = server.gunicorn(services).cfg, Config()
    changed = {name for name, setting in told.settings.items() if setting.get() != unset.settings[name].get()}
    options = gunicorn_options()
    assert {name: told.settings[name].get() for name in options} == {
        name: unset.settings[name].validator(value) for name, value in options.items()
    }
    hooks = {name for name, setting in told.settings.items() if setting.section == "Server Hooks"}
    assert changed - options.keys() - hooks - {"bind"} == set()
    assert told.bind == ["127.0.0.1:8471"]


def test_what_a_worker_inherits_stays_shared_for_its_garbage_collections_leave_it_alone() -> None:
    followed = list[str]()
    services = SimpleNamespace(settings=Settings(), follow=lambda: followed.append("the files were read"))
    try:
        server.gunicorn(cast(Services, services)).cfg.pre_fork(None, None)

        assert followed == ["the files were read"]
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_files_are_plain_and_name_no_host_of_a_package_index(file: Path) -> None:
    text = file.read_text()

    assert text.endswith("\n")
    assert [line for line in text.splitlines() if line != line.rstrip()] == []
    assert re.findall(r"(?:pypi|pythonhosted|deb[.]debian|registry[.]npmjs)[.]", text) == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (DEPLOY / "README.md").read_text())

    assert [link for link in links if not (DEPLOY / link).exists()] == []
