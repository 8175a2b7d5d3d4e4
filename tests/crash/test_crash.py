"""Whatever ends, and when: no pull request lands twice, none is lost, nothing untested lands, nothing stays behind."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.crash.journeys import JOURNEYS
from tests.crash.processes import ROOT

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent"),
]
EVERY = 800  # each run takes a point of eight hundred, and each commit others
BATCHES = [name for name, journey in JOURNEYS.items() if len(journey.lands) > 1 and "staging" in journey.queue]
OTHERS = [name for name in JOURNEYS if name not in BATCHES]


def crash(*arguments: str) -> Any:
    """What the harness reports; its words are shown with a test that fails."""
    program = [sys.executable, "-m", "tests.crash", "--json", *arguments]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    print(done.args, done.stderr)  # noqa: T201 -- shown with a journey that failed
    return json.loads(done.stdout)


def turn() -> str:
    """Which point is the first: as the commit says that is checked out."""
    head = ["git", "rev-parse", "HEAD"]
    sha = subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return str(int(sha or "0", 16) % EVERY)


@pytest.mark.parametrize("journeys", [BATCHES, OTHERS], ids=["batches", "others"])
def test_every_journey_ends_as_it_should_whatever_is_killed_on_the_way(journeys: list[str]) -> None:
    named = [word for name in journeys for word in ("--journey", name)]
    found = crash(*named, "--every", str(EVERY), "--offset", turn())

    assert found["violations"] == []
    assert found["points"] > 0
    assert found["killed"] > 0


def test_a_landing_that_was_not_written_down_before_it_was_asked_for_is_found_out() -> None:
    asked = ("--wrong", "--journey", "alone", "--only", "process-at-worker-github", "--write", "PUT ")
    tries = (crash(*asked) for _ in range(6))  # what comes before a write varies, and another may be met instead
    found = next((one for one in tries if one["violations"]), None)

    assert found is not None
    assert found["killed"] == 2
    assert [one["what"] for one in found["violations"]] == ["history says 0 times that #1 landed"]
    assert found["violations"][0]["write"].startswith("PUT ")
