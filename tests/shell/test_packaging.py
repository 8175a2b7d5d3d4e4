"""What is installed is what was written: the wheel and the sdist carry the folders that travel with the code."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

import jsonschema
import pytest

from mergeq import shipped
from mergeq.cli import cli

ROOT = Path(__file__).parents[2]
FOLDERS: tuple[Literal["policies", "schemas", "webui"], ...] = ("policies", "schemas", "webui")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def files_of(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_a_checkout_finds_its_folders() -> None:
    assert [shipped(folder) for folder in FOLDERS] == [ROOT / folder for folder in FOLDERS]


def test_a_wheel_finds_them_inside_itself(built: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(tmp_path)  # noqa: S202 -- our own file
    program = (
        "import mergeq, json; print(json.dumps([str(mergeq.shipped(f)) for f in ('policies', 'schemas', 'webui')]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == [str(tmp_path / "mergeq" / folder) for folder in FOLDERS]
    for folder in FOLDERS:
        assert files_of(tmp_path / "mergeq" / folder) == files_of(ROOT / folder)
    assert (tmp_path / "mergeq" / "sandbox" / "schema.graphql").is_file()
    assert (tmp_path / "mergeq" / "py.typed").is_file()


def test_an_sdist_has_them_beside_the_code(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[1]) as sdist:
        sdist.extractall(tmp_path, filter="data")
    home = next(tmp_path.iterdir())

    for folder in FOLDERS:
        assert files_of(home / folder) == files_of(ROOT / folder)
    assert (home / "constraints.txt").is_file()


def test_what_serves_a_real_github_does_not_hold_the_sandbox_in_memory() -> None:
    program = "import sys, mergeq.cli; print([name for name in sys.modules if name.startswith('mergeq.sandbox')])"

    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def test_a_missing_folder_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "mergeq").mkdir()
    (tmp_path / "mergeq" / "__init__.py").write_text((ROOT / "mergeq" / "__init__.py").read_text())
    program = "import mergeq\ntry: mergeq.shipped('webui')\nexcept FileNotFoundError as error: print(error)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "webui/ is missing from this installation of mergeq; install it again"


@pytest.mark.parametrize("file", sorted((ROOT / "schemas").glob("*.json")), ids=lambda file: file.name)
def test_every_schema_is_valid_and_describes_every_property(file: Path) -> None:
    schema = json.loads(file.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)

    def described(node: object, path: str) -> list[str]:
        if isinstance(node, list):
            return [gap for item in node for gap in described(item, path)]
        if not isinstance(node, dict):
            return []
        gaps = []
        for name, child in node.get("properties", {}).items():
            named = schema.get("$defs", {}).get(child.get("$ref", "").rpartition("/")[2], {})
            if not {**named, **child}.get("description"):
                gaps.append(f"{path}/{name}")
        return gaps + [gap for name, child in node.items() for gap in described(child, f"{path}/{name}")]

    assert described(schema, "") == []


def read(*names: str) -> str:
    return "\n".join((ROOT / name).read_text() for name in names)


def test_every_command_is_in_the_readme() -> None:
    text = read("README.md")

    assert [name for name in cli.commands if f"mergeq {name}" not in text] == []


def test_every_environment_variable_is_in_the_readme_and_no_other() -> None:
    used = set(re.findall(r'env\.get\(\s*"([A-Z_]+)"', read("mergeq/config/settings.py"))) - {"HOME", "XDG_STATE_HOME"}
    told = set(re.findall(r"`((?:MERGEQ|GITHUB)_[A-Z_]+)`", read("README.md")))

    assert used == told


def test_every_route_is_in_the_readme() -> None:
    source = read("mergeq/web/pages.py", "mergeq/web/webhooks.py")
    routes = {
        re.sub(r"<(?:int:)?(\w+)>", r"\1", route) for route in re.findall(r'\.(?:get|post)\("(/[^"]*)"\)', source)
    }
    text = read("README.md").replace("ORG", "org").replace("REPO", "repo").replace("/N", "/number")

    assert {route for route in routes if route not in text and not route.endswith(".js")} == set()


def test_every_target_of_the_makefile_has_its_line_of_help() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)

    assert {target for target in targets if f"make {target}" not in done.stdout} == set()


def test_every_dependency_is_pinned() -> None:
    def plain(name: str) -> str:
        return re.split(r"[\[<>=!;~ ]", name.strip(), maxsplit=1)[0].lower().replace("_", "-")

    pinned = {plain(line) for line in read("constraints.txt").splitlines() if "==" in line}
    project = read("pyproject.toml")
    asked = re.findall(
        r'^  "([a-z][\w\-\[\]]*[<>=!; ].*|[a-z][\w\-\[\]]*)",?$', project.split("[project.scripts]")[0], re.MULTILINE
    )
    developers = re.findall(r'^  "(.+)",$', project.split("[dependency-groups]")[1].split("[tool.")[0], re.MULTILINE)

    assert {plain(name) for name in (*asked, *developers) if "::" not in name} - pinned == set()
