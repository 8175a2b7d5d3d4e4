"""Whatever ends, and when: no pull request lands twice, none is lost, nothing untested lands, nothing stays behind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.journeys import JOURNEYS
from tests.crash.processes import ROOT
from tests.simulate.wrong import Wrong, run, spoilt

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent"),
]
EVERY = 1000  # each run takes a point of a thousand, and each commit others
BATCHES = ["batch", "red", "forward", "conflict"]
OTHERS = [name for name in JOURNEYS if name not in BATCHES]
AT_LIFTING = ("--only", "process-at-worker-github", "--write", "LiftRule")
WRONG = {
    Wrong(
        "rules are changed while the queue may land there",
        "enforcing.py",
        "        for branch in theirs:\n",
        "        for branch in theirs[:0]:\n",
    ): (("--write", "none, so that nothing ends"), "was changed while the queue might land there"),
    Wrong(
        "a change of a rule is not written down before it is sent",
        "enforcing.py",
        "                store.intend(writer, row, item)\n",
        "",
    ): (AT_LIFTING, "and the row says seen by mergeq-bot"),
    Wrong(
        "what was about to be written is never over",
        "store/protection.py",
        ', *_appending(news), ["DEL", INTENTS + repo]]',
        ", *_appending(news)]",
    ): (AT_LIFTING, "something about rules is meant still"),
    Wrong(
        "whoever died is believed to have written",
        "enforcing.py",
        "    if there != item.before:\n",
        "    if facts:\n",
    ): (AT_LIFTING, "and GitHub saw nothing"),
    Wrong(
        "rules are weakened though what comes first was not done",
        "enforcing.py",
        "problem is not None and problem.kind in RETRIED\n",
        "False\n",
    ): (("--only", "connection-at-worker-github", "--write", "ChangeRule"), "was weakened before"),
}
"""Mistakes in what keeps rules, with the points of their journey, a dozen at most, at one of which each is found, and
what is said of it then.
"""


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


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_what_a_mistake_replaces_is_there(wrong: Wrong) -> None:
    assert spoilt(wrong)


def test_a_rule_that_is_changed_in_the_middle_of_a_landing_is_found_out(tmp_path: Path) -> None:
    _is_found(next(iter(WRONG)), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("wrong", [*WRONG][1:], ids=lambda wrong: wrong.name)
def test_every_mistake_in_keeping_rules_is_found_out(wrong: Wrong, tmp_path: Path) -> None:
    _is_found(wrong, tmp_path)


def _is_found(wrong: Wrong, folder: Path) -> None:
    points, said = WRONG[wrong]
    done = run(wrong, folder, "tests.crash", "--json", "--journey", "guarded", *points)

    found = json.loads(done.stdout)
    assert found["killed"] <= 12
    assert any(said in one["what"] for one in found["violations"]), done.stderr
