"""No law is broken in any world, whatever happens; and a mistake in mergeq breaks one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulate.wrong import WRONG, Wrong, found, spoilt

_ROOT = Path(__file__).parents[2]


def simulate(*asked: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.simulate", *asked]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)


def test_no_law_is_broken_in_ten_worlds() -> None:
    done = simulate("--seeds", "1-10", "--steps", "50", "--processes", "1")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "laws were broken in 0 seeds" in done.stdout


def test_a_seed_tells_the_same_tale_in_every_process() -> None:
    def tale() -> list[dict[str, Any]]:
        done = simulate("--seeds", "3,11", "--steps", "30", "--processes", "1", "--json")
        told: list[dict[str, Any]] = json.loads(done.stdout)["seeds"]
        return told

    first, again = tale(), tale()

    assert first == again
    assert all(len(one["tale"]) > 5 for one in first)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_what_a_mistake_replaces_is_there(wrong: Wrong) -> None:
    assert spoilt(wrong)


def test_a_batch_believed_too_early_breaks_a_law(tmp_path: Path) -> None:
    done = found(WRONG[0], tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "which CI never tested green" in done.stdout
    assert "replay: python -m tests.simulate --seeds" in done.stdout


@pytest.mark.soak
@pytest.mark.parametrize("wrong", WRONG[1:], ids=lambda wrong: wrong.name)
def test_every_mistake_breaks_a_law(wrong: Wrong, tmp_path: Path) -> None:
    done = found(wrong, tmp_path)

    assert done.returncode == 1, f"no law was broken in seeds {wrong.seeds}:\n{done.stdout}{done.stderr}"
    assert "\nseed " in done.stdout
