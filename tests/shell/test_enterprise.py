"""An Enterprise Server that is older than what is asked for: found out at start, said once, and worked with."""

from collections.abc import Callable

import pytest

from mergeq.core.protection import Change, Effect, Field, Item, Kind, Target
from mergeq.core.pull import Branch
from mergeq.sandbox import Sandbox
from tests.conftest import READY, Mergeq
from tests.shell.test_doctor import OLD
from tests.shell.test_landing import hits

MAIN = Branch.parse("acme/rocket:main")


@pytest.fixture(autouse=True)
def old(github: Sandbox) -> None:
    github.world.enterprise, github.world.lacks = "3.9.4", OLD


def test_what_it_lacks_is_said_once_and_pull_requests_land_all_the_same(
    capfd: pytest.CaptureFixture[str], github: Sandbox, start_mergeq: Callable[[], Mergeq]
) -> None:
    mergeq = start_mergeq()
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()

    mergeq.services.meet_server()
    mergeq.sweep_and_work(2)

    assert not pull.is_open
    (line,) = (one for one in capfd.readouterr().err.splitlines() if "lacks" in one)
    assert "version=3.9.4" in line
    assert "rulesets, the merge methods that a ruleset allows, a merge queue of its own, locked branches" in line
    assert hits(github, "graphql:Schema") == 1


def test_its_classic_protection_is_kept(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.protect("acme/rocket", "main", ["e2e"])
    mergeq.services.meet_server()

    assert mergeq.services.github.read_branch(MAIN, "").protection.required == (("e2e", None),)


def test_its_rules_are_read_and_written_without_what_it_does_not_know(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.lacks = OLD | {("Repository", "rulesets"), ("BranchProtectionRule", "lockAllowsFetchAndMerge")}
    github.world.protect("acme/rocket", "main", ["e2e"])
    planner, applier = mergeq.services.planner, mergeq.services.applier

    facts = planner.read(["acme/rocket"])["acme/rocket"]
    (rule,) = facts.rules or ()
    change = Change(Field.LINEAR, before=False, after=True, effect=Effect.STRENGTHEN)
    item = Item(Target("acme/rocket", "main"), Kind.UPDATE, changes=(change,), before=rule.values, rule=rule.id)

    assert (facts.problem, facts.rulesets, rule.values[Field.LOCK]) == (None, (), False)
    assert applier.write(item, facts) is None
    assert github.world.repo("acme/rocket").protections["main"].linear_history
    planner.close()
    applier.close()


def test_one_that_was_not_met_at_start_is_met_by_the_first_read(github: Sandbox, mergeq: Mergeq) -> None:
    for _ in range(2):
        assert mergeq.services.github.read_branch(MAIN, "").branch == MAIN

    assert hits(github, "graphql:Schema") == 1


def test_a_server_that_does_not_answer_keeps_nobody_from_starting(
    capfd: pytest.CaptureFixture[str], github: Sandbox, mergeq: Mergeq
) -> None:
    github.world.faults.add("graphql.5xx", times=None)

    mergeq.services.meet_server()

    assert capfd.readouterr().err == ""
