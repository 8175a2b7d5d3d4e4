"""Protection against the sandbox: what is wished comes into force and stays so, and whatever happens is on record."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
import redis

from mergeq import enforcing, gathering, jobs, operators, reconcile
from mergeq.bootstrap import connect_github
from mergeq.core.audit import AuditRecord, Result
from mergeq.core.budget import Hold
from mergeq.core.orders import EVERYTHING
from mergeq.core.protection import Field, Item, Kind, RepoFacts, Target
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Protection, Restrictions
from mergeq.sandbox.rulesets import Enforcement
from mergeq.sandbox.users import BOT, Role
from mergeq.store import LeaseLost
from mergeq.store.paging import cursor_of
from mergeq.store.protection import PACES, WRITER_SECONDS, ProtectionStore, Sought
from tests.conftest import FILES, READY, Mergeq
from tests.shell.test_landing import hits
from tests.web.test_webhooks import send

ENFORCED = """
branch-protection:
  orgs:
    acme:
      repos:
        rocket:
          branches:
            main:
              protect: true
              enforce_admins: true
              required_status_checks: {contexts: [ci/test], strict: true}
mergeq:
  protection: {mode: enforce}
"""
OBSERVED = ENFORCED.replace("mode: enforce", "mode: observe")
WIDE = ENFORCED.replace("repos:", "protect: true\n      repos:")
QUEUED = ENFORCED + "tide: {queries: [{orgs: [acme], labels: [lgtm]}]}\n"
MAIN = Target("acme/rocket", "main")


class Protected:
    """mergeq at work on protection, by its own timer and jobs alone."""

    def __init__(self, mergeq: Mergeq, github: Sandbox, clock: ManualClock) -> None:
        self.mergeq, self.github, self._clock = mergeq, github, clock
        self.store = mergeq.store.protection

    def pass_by(self, seconds: float = 10.0) -> None:
        """Let time go by and do all that it brings."""
        self._clock.advance(seconds)
        for _ in range(2):
            jobs.tick_once(self.mergeq.services)
            self.mergeq.work()

    def rule(self, pattern: str = "main", repo: str = "acme/rocket") -> Protection | None:
        return self.github.world.repo(repo).protections.get(pattern)

    def rows(self, **sought: str) -> list[AuditRecord]:
        """The audit, oldest first."""
        return self.store.audit(Sought(**sought))[::-1]  # type: ignore[arg-type]

    def results(self, **sought: str) -> list[Result]:
        return [row.result for row in self.rows(**sought)]

    def kinds(self) -> dict[str, Kind]:
        """What the pages show of each target."""
        return {str(item.target): item.kind for seen in self.store.seen() for item in seen.items}

    def rewrite(self, config: str) -> None:
        self.mergeq.services.settings.config_paths[0].write_text(config)
        self.mergeq.services.followed.force()

    def tells(self, event: str, action: str, by: str, delivery: str, pattern: str = "main") -> None:
        """An event of GitHub's that a rule was changed."""
        payload = {
            "action": action,
            "repository": {"full_name": "acme/rocket", "id": 1},
            "sender": {"login": by},
            "rule": {"name": pattern},
        }
        assert send(self.mergeq, event, payload, delivery).status_code == 202

    def makes(self, branch: str) -> None:
        """An event of GitHub's that a branch was made."""
        payload = {"ref": branch, "ref_type": "branch", "repository": {"full_name": "acme/rocket", "id": 1}}
        assert send(self.mergeq, "create", payload, f"made {branch}").status_code in {200, 202}

    def counted(self, name: str) -> float:
        return sum(value for one, _, value in self.mergeq.store.metrics() if one == f"mergeq_protection_{name}")


@pytest.fixture
def protect(github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock) -> Callable[..., Protected]:
    """Start mergeq with a configuration of protection."""
    return lambda config=ENFORCED: Protected(start_mergeq(config), github, clock)


# From nothing to what is wished


def test_what_is_wished_comes_into_force_by_itself_and_is_on_record(protect: Callable[..., Protected]) -> None:
    protected = protect()

    protected.pass_by()

    rule = protected.rule()
    assert rule
    assert (rule.enforce_admins, [check.context for check in rule.checks]) == (True, ["ci/test"])
    (row,) = protected.rows()
    assert (row.result, row.kind, row.cause, row.effect) == (Result.APPLIED, "create", "first-run", "strengthen")
    assert (row.by, row.executor, row.before) == ("mergeq", "the token", None)
    assert row.place.endswith("config.yaml:11")
    assert row.after
    assert row.after["enforce_admins"] is True
    assert protected.kinds() == {"acme/rocket:main": Kind.NOTHING}
    assert protected.store.kinds() == {"acme": {"no-op": 1}}
    assert protected.counted("applied_total") == 1


def test_where_all_is_as_wished_nothing_is_read_until_it_is_due(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    protected = protect()
    protected.pass_by()
    protected.pass_by()
    before = hits(github, "graphql")

    for seconds in (400.0, 3600.0, 3600.0):
        protected.pass_by(seconds)

    assert hits(github, "graphql") == before


def test_what_is_as_wished_is_never_written_again(protect: Callable[..., Protected]) -> None:
    """P6.29."""
    protected = protect()
    protected.pass_by()

    for _ in range(3):
        protected.pass_by(7 * 3600.0)

    assert protected.results() == [Result.APPLIED]
    assert protected.store.whole()[0] > 7 * 3600.0


def test_an_org_that_is_observed_is_read_and_planned_and_never_written(protect: Callable[..., Protected]) -> None:
    protected = protect(OBSERVED)

    protected.pass_by()
    protected.pass_by(30 * 86400.0)

    assert protected.rule() is None
    assert protected.rows() == []
    assert protected.kinds() == {"acme/rocket:main": Kind.CREATE}
    assert protected.counted("skipped_total") >= 2


def test_a_configuration_that_protects_nothing_costs_nothing(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    Protected(mergeq, github, clock).pass_by()

    assert list(mergeq.store.protection.seen()) == []


# Drift


def test_what_somebody_loosened_is_put_right_within_seconds_and_both_are_on_record(
    protect: Callable[..., Protected],
) -> None:
    """P6.36."""
    protected = protect()
    protected.pass_by()
    protected.github.world.protect("acme/rocket", "main", ["ci/test"], enforce_admins=False, strict=True)

    protected.tells("branch_protection_rule", "edited", "bob", "d1")
    protected.mergeq.work()

    rule = protected.rule()
    assert rule
    assert rule.enforce_admins
    seen, repaired = protected.rows()[1:]
    assert (seen.result, seen.by, seen.cause, seen.effect) == (Result.SEEN, "bob", "drift", "weaken")
    assert (seen.before, seen.after) == ({"enforce_admins": True}, {"enforce_admins": False})
    assert (repaired.result, repaired.by, repaired.cause) == (Result.APPLIED, "mergeq", "drift")
    assert protected.counted("drift_total") == 1


def test_what_is_drifted_in_an_observed_org_is_told_once_and_left(protect: Callable[..., Protected]) -> None:
    protected = protect(OBSERVED)
    protected.github.world.protect("acme/rocket", "main", ["ci/test"], enforce_admins=True, strict=True)
    protected.pass_by()
    protected.github.world.unprotect("acme/rocket", "main")
    protected.tells("branch_protection_rule", "deleted", "bob", "d1")

    protected.mergeq.work()
    protected.pass_by(7 * 3600.0)

    (row,) = protected.rows()
    assert (row.result, row.by, row.kind, row.cause, row.after) == (Result.SEEN, "bob", "delete", "drift", None)
    assert protected.rule() is None


def test_a_change_that_no_event_told_of_is_found_by_the_next_look(protect: Callable[..., Protected]) -> None:
    protected = protect()
    protected.pass_by()
    protected.github.world.unprotect("acme/rocket", "main")

    protected.pass_by(7 * 3600.0)

    assert protected.rule()
    assert protected.results() == [Result.APPLIED, Result.SEEN, Result.APPLIED]


def test_a_rule_that_nobody_manages_is_left_alone_and_its_changes_are_on_record(
    protect: Callable[..., Protected],
) -> None:
    """P6.37."""
    protected = protect()
    protected.pass_by()
    protected.github.world.protect("acme/rocket", "old", ["ci/old"])

    protected.tells("branch_protection_rule", "created", "ana", "d1", "old")
    protected.mergeq.work()

    (row,) = protected.rows(result="seen")
    assert (row.target, row.by, row.kind, row.cause) == ("acme/rocket:old", "ana", "create", "")
    assert protected.rule("old")


def test_a_ruleset_that_is_disabled_is_on_record_as_weaker(protect: Callable[..., Protected]) -> None:
    """P6.59."""
    protected = protect()
    made = protected.github.world.add_ruleset("acme/rocket", "tight", rules=[{"type": "deletion"}])
    protected.pass_by()
    protected.github.world.repo("acme/rocket").rulesets.clear()

    protected.pass_by(7 * 3600.0)

    (row,) = protected.rows(result="seen")
    assert made.name == "tight"
    assert (row.target, row.effect, row.why) == ("acme/rocket", "weaken", "ruleset tight was removed on GitHub")


# What a changed configuration does


def test_a_changed_configuration_is_put_into_force_at_once_for_what_it_is(protect: Callable[..., Protected]) -> None:
    """P6.36."""
    protected = protect()
    protected.pass_by()

    protected.rewrite(ENFORCED.replace("[ci/test]", "[ci/test, ci/more]"))
    protected.pass_by()

    rule = protected.rule()
    assert rule
    assert {check.context for check in rule.checks} == {"ci/test", "ci/more"}
    assert [(row.cause, row.effect) for row in protected.rows()[1:]] == [("config-change", "strengthen")]


def test_while_the_configuration_is_invalid_nothing_is_written_and_the_last_good_one_tells(
    protect: Callable[..., Protected],
) -> None:
    protected = protect()
    protected.pass_by()
    protected.rewrite("branch-protection: [")
    protected.github.world.unprotect("acme/rocket", "main")

    protected.pass_by(7 * 3600.0)
    before = protected.rule()
    protected.rewrite(ENFORCED)
    protected.pass_by()
    protected.pass_by(7 * 3600.0)

    assert before is None
    assert protected.kinds() == {"acme/rocket:main": Kind.NOTHING}
    assert protected.rule()


def test_while_everything_is_paused_nothing_is_written(protect: Callable[..., Protected]) -> None:
    protected = protect()
    operators.pause(protected.mergeq.services, EVERYTHING, "ana", "GitHub is being moved")

    protected.pass_by()

    assert protected.rule() is None
    assert reconcile.widened(protected.mergeq.services, "acme/rocket") == "acme/rocket"


def test_what_nobody_asks_for_any_more_is_shown_as_orphaned_and_stays(protect: Callable[..., Protected]) -> None:
    protected = protect()
    protected.pass_by()

    protected.rewrite(ENFORCED.replace("main:", "next:"))
    protected.pass_by()

    assert protected.rule("main")
    assert protected.kinds()["acme/rocket:main"] is Kind.ORPHANED


def test_what_is_to_be_unprotected_loses_its_rule(protect: Callable[..., Protected]) -> None:
    protected = protect()
    protected.pass_by()

    protected.rewrite(
        "branch-protection: {orgs: {acme: {repos: {rocket: {branches: {main: {protect: false}}}}}}}\n"
        "mergeq: {protection: {mode: enforce}}\n"
    )
    protected.pass_by()

    assert protected.rule() is None
    row = protected.rows()[-1]
    assert (row.result, row.kind, row.effect, row.after) == (Result.APPLIED, "delete", "weaken", None)


# The gate


def many(count: int, mode: str = "enforce", **gate: int) -> str:
    """A configuration that protects main in so many repositories."""
    repos = "".join(
        f"        r{n}: {{branches: {{main: {{protect: true, enforce_admins: true}}}}}}\n" for n in range(count)
    )
    limits = ", ".join(f"{key}: {value}" for key, value in gate.items())
    head = "branch-protection:\n  orgs:\n    acme:\n      repos:\n"
    return f"{head}{repos}mergeq: {{protection: {{mode: {mode}, gate: {{{limits}}}}}}}\n"


@pytest.fixture
def fleet(github: Sandbox) -> list[str]:
    names = [f"acme/r{n}" for n in range(3)]
    for name in names:
        github.world.create_repo(name, files=FILES)
    return names


def test_a_plan_that_does_too_much_waits_until_somebody_agrees(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    protected = protect(many(3, max_repos_changed=2))
    protected.pass_by()
    (held,) = protected.store.held()
    protected.pass_by(7 * 3600.0)
    before = [protected.rule("main", name) for name in fleet]

    reconcile.acknowledge(protected.mergeq.services, protected.store.held()[0], "ana@desk", "as agreed")
    protected.pass_by()

    assert before == [None, None, None]
    assert held.hash == protected.rows(result="held")[0].plan
    assert "max_repos_changed is 2" in held.reasons[0]
    assert all(protected.rule("main", name) for name in fleet)
    assert protected.store.held() == []
    assert [row.by for row in protected.rows(result="acknowledged")] == ["ana@desk"] * 3
    assert protected.results().count(Result.HELD) == 3  # once a plan, not once a look


def test_no_part_of_a_plan_that_waits_is_written_by_a_look_at_one_repository(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    protected = protect(many(3, max_repos_changed=2))
    protected.pass_by()

    for name in fleet:
        protected.store.mark([name], 0.0)
    protected.pass_by()

    assert [protected.rule("main", name) for name in fleet] == [None, None, None]


def test_what_somebody_did_to_one_repository_has_no_other_wait(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    """P7.6: or whoever may change one would keep all from being repaired."""
    protected = protect(many(3, max_weakening=0))
    protected.pass_by()
    world = protected.github.world
    world.protect(fleet[0], "main", required_reviews=6)
    world.unprotect(fleet[1], "main")

    protected.pass_by(7 * 3600.0)
    protected.pass_by(7 * 3600.0)

    (held,) = protected.store.held()
    assert (held.scope, [str(item.target) for item in held.items]) == (fleet[0], ["acme/r0:main"])
    assert protected.rule("main", fleet[1])
    assert protected.results(about=fleet[0]).count(Result.HELD) == 1
    reconcile.acknowledge(protected.mergeq.services, held, "ana", "as wished")
    protected.pass_by()
    rule = protected.rule("main", fleet[0])
    assert rule
    assert rule.reviews is None


def test_a_changed_configuration_is_weighed_as_a_whole_whatever_is_looked_at_first(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    protected = protect(many(3, max_repos_changed=2))
    services = protected.mergeq.services

    report = reconcile.reconcile(services, fleet[0])

    assert report.held
    assert protected.rule("main", fleet[0]) is None


# Applying


def test_a_change_is_left_alone_if_somebody_was_faster(protect: Callable[..., Protected]) -> None:
    protected = protect()
    services = protected.mergeq.services
    gathered = gathering.gather(services)
    protected.github.world.protect("acme/rocket", "main", ["ci/other"])
    order = enforcing.Order("r1", "ana", exactly=True)

    report = enforcing.carry_out(services, gathered, gathered.plan.writes, order)

    assert [(str(item.target), why) for item, why in report.left] == [
        ("acme/rocket:main", "it was changed since the plan was made; plan it again")
    ]
    rule = protected.rule()
    assert rule
    assert [check.context for check in rule.checks] == ["ci/other"]


def test_what_weakens_one_thing_weakens_nothing_else_that_came_meanwhile(protect: Callable[..., Protected]) -> None:
    """P7.1: more than was chosen, and perhaps agreed to."""
    protected = protect(ENFORCED.replace(", strict: true", ""))
    services, world = protected.mergeq.services, protected.github.world
    world.protect("acme/rocket", "main", ["ci/test"], strict=True)
    gathered = gathering.gather(services)
    world.protect("acme/rocket", "main", ["ci/test", "ci/more"], strict=True)

    report = enforcing.carry_out(services, gathered, gathered.plan.writes, enforcing.Order("r1"))

    assert [item.effect for item in gathered.plan.writes] == ["weaken"]
    assert [why for _, why in report.left] == ["it was changed since the plan was made; plan it again"]


def when_asked(times: int, act: Callable[[], object]) -> Callable[[], bool]:
    """Says that a run goes on, and does something when it is asked so many times."""
    asked = count(1)

    def goes_on() -> bool:
        if next(asked) == times:
            act()
        return True

    return goes_on


def test_what_was_refused_since_the_repository_was_archived_meanwhile_failed(protect: Callable[..., Protected]) -> None:
    protected = protect()
    services, world = protected.mergeq.services, protected.github.world
    gathered, order = gathering.gather(services), enforcing.Order("r1")
    archive = when_asked(2, lambda: world.archive("acme/rocket"))

    during = enforcing.carry_out(services, gathered, gathered.plan.writes, order, archive)
    after = enforcing.carry_out(services, gathered, gathered.plan.writes, order)

    assert [(row.result, row.problem.partition(":")[0]) for row in during.rows] == [(Result.FAILED, "archived")]
    assert [why for _, why in after.left] == ["acme/rocket is archived, so nothing of it can be changed"]


def test_of_what_was_sent_before_the_repository_was_archived_nobody_claims_to_know(
    protect: Callable[..., Protected], monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = protect()
    services, world = protected.mergeq.services, protected.github.world
    gathered = gathering.gather(services)

    def write(*_: object) -> None:
        world.archive("acme/rocket")

    monkeypatch.setattr(services.applier, "write", write)
    report = enforcing.carry_out(services, gathered, gathered.plan.writes, enforcing.Order("r1"))
    protected.pass_by(400.0)

    assert [why for _, why in report.left] == [
        "it cannot be told whether it was done: acme/rocket is archived, so nothing of it can be changed"
    ]
    assert [(row.result, row.problem) for row in protected.rows(run="r1")] == [
        (Result.FAILED, "mergeq was stopped before it was sent, or it was lost")
    ]


def test_what_has_to_wait_is_read_again_before_it_is_written(protect: Callable[..., Protected]) -> None:
    """P7.1: whatever is changed while one's turn is waited for is not written over."""
    protected = protect()
    services, world = protected.mergeq.services, protected.github.world
    gathered, order = gathering.gather(services), enforcing.Order("r1", "ana", exactly=True)
    for _ in range(20):
        protected.store.turn(services.applier.account("acme"), services.now(), 1.0)
    loosen = when_asked(2, lambda: world.protect("acme/rocket", "main", ["ci/other"]))

    report = enforcing.carry_out(services, gathered, gathered.plan.writes, order, loosen)

    assert [why for _, why in report.left] == ["it was changed since the plan was made; plan it again"]
    rule = protected.rule()
    assert rule
    assert [check.context for check in rule.checks] == ["ci/other"]


def test_whoever_halts_everything_is_heard_before_the_next_write(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    github.world.push("acme/rocket", "b0", {"engine.txt": "v1"})
    protected = protect(ENFORCED.replace("            main:\n", "            b0: {protect: true}\n            main:\n"))
    services = protected.mergeq.services
    halt = when_asked(3, lambda: operators.pause(services, EVERYTHING, "ana", "not that"))

    report = reconcile.reconcile(services, gathering.ALL, halt)

    assert len(report.rows) == 1
    assert [why for _, why in report.left] == [enforcing.STOPPED]


def test_by_itself_it_is_planned_again_if_that_weakens_nothing(protect: Callable[..., Protected]) -> None:
    protected = protect()
    services = protected.mergeq.services
    gathered = gathering.gather(services)
    protected.github.world.protect("acme/rocket", "main", enforce_admins=False)

    report = enforcing.carry_out(services, gathered, gathered.plan.writes, enforcing.Order("r1"))

    assert [row.result for row in report.rows] == [Result.APPLIED]
    rule = protected.rule()
    assert rule
    assert rule.enforce_admins


def test_an_organization_that_could_not_be_listed_is_looked_at_again_soon(protect: Callable[..., Protected]) -> None:
    protected = protect(WIDE)
    protected.github.world.faults.add("graphql.5xx", times=4)

    protected.pass_by()
    before = protected.rule()
    protected.pass_by(310.0)

    assert before is None
    assert protected.rule()


def test_a_changed_configuration_that_could_not_be_weighed_as_a_whole_is_weighed_so_again(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    """P7.6: what could not be read is not let through one repository after the other."""
    protected = protect(many(3, max_repos_changed=2))
    protected.github.world.faults.add("graphql.5xx", times=None)
    protected.pass_by()
    protected.github.world.faults.clear()

    protected.pass_by(310.0)

    assert len(protected.store.held()) == 1
    assert [protected.rule("main", name) for name in fleet] == [None, None, None]


def test_rights_that_are_gone_for_a_moment_are_asked_for_again_within_the_hour(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    protected = protect()
    protected.pass_by()
    github.world.users.set_role(BOT, Role.WRITE)
    github.world.unprotect("acme/rocket", "main")
    protected.pass_by(7 * 3600.0)
    before = protected.kinds()
    github.world.users.set_role(BOT, Role.ADMIN)

    protected.pass_by(3610.0)

    assert before == {"acme/rocket:main": Kind.UNKNOWN}
    assert protected.rule()


def test_a_repository_that_was_deleted_or_renamed_is_not_looked_for_for_ever(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    protected = protect(WIDE)
    protected.pass_by()
    services, world = protected.mergeq.services, protected.github.world
    world.delete_repo(fleet[1])
    world.rename_repo(fleet[2], "acme/renamed")
    protected.pass_by(7 * 3600.0)
    before = [*gathering.gather(services).unknown]

    protected.pass_by(25 * 3600.0)

    assert before == [fleet[1]]
    assert gathering.gather(services).unknown == {}
    assert [row.target for row in protected.rows(result="seen")] == [fleet[2], fleet[1]]
    assert protected.kinds()["acme/renamed:main"] is Kind.NOTHING


def test_one_repository_that_fails_stops_no_other(protect: Callable[..., Protected], fleet: list[str]) -> None:
    """P6.47."""
    protected = protect(many(3))
    protected.github.world.delete_repo("acme/r1")

    protected.pass_by()

    assert [bool(protected.rule("main", name)) for name in (fleet[0], fleet[2])] == [True, True]
    errors = {seen.repo: seen.error for seen in protected.store.seen()}
    assert errors["acme/r1"]
    assert protected.kinds()["acme/r1:main"] is Kind.UNKNOWN


STRICTER_AND_LOOSER = ENFORCED.replace("            main:\n", "            old: {protect: true}\n            main:\n")


def test_nothing_is_weakened_before_what_is_to_be_stricter_first(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P7.7: a failure that passes leaves both for the next run, in which they have their order again."""
    github.world.push("acme/rocket", "old", {"engine.txt": "v1"})
    github.world.protect("acme/rocket", "old", ["ci/test"])
    protected = protect(STRICTER_AND_LOOSER)
    github.world.faults.add("graphql.5xx", times=1, after=2, args={"code": 502})

    protected.pass_by()
    at_first = (protected.rule(), protected.rule("old"))
    protected.pass_by(enforcing.LATER)

    assert at_first[0] is None
    assert at_first[1]
    assert at_first[1].checks, "still as strict as it was"
    old = protected.rule("old")
    assert protected.rule()
    assert old
    assert not old.checks
    assert [(row.target, row.result) for row in protected.rows()] == [
        ("acme/rocket:main", Result.FAILED),
        ("acme/rocket:main", Result.APPLIED),
        ("acme/rocket:old", Result.APPLIED),
    ]


def test_what_fails_for_good_keeps_nothing_else_waiting(protect: Callable[..., Protected], github: Sandbox) -> None:
    """P7.7: a failure is that of one branch."""
    github.world.push("acme/rocket", "old", {"engine.txt": "v1"})
    github.world.protect("acme/rocket", "old", ["ci/test"])
    protected = protect(STRICTER_AND_LOOSER.replace("enforce_admins: true", "restrictions: {users: [nobody-at-all]}"))

    protected.pass_by()

    old = protected.rule("old")
    assert protected.rule() is None
    assert old
    assert not old.checks


def test_two_writers_never_meet_in_one_repository(protect: Callable[..., Protected]) -> None:
    protected = protect()
    other = protected.store.acquire("acme/rocket", protected.mergeq.services.now())
    assert other

    protected.pass_by()
    before = protected.rule()
    protected.store.release(other)
    protected.pass_by(120.0)

    assert before is None
    assert protected.rule()


def test_a_branch_on_which_the_queue_is_at_work_is_not_changed_meanwhile(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P7.47."""
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()
    protected = protect(QUEUED.replace("mode: enforce", "mode: observe"))
    protected.mergeq.sweep_and_work()
    protected.rewrite(QUEUED)
    protected.mergeq.services.follow()
    store, services = protected.mergeq.store, protected.mergeq.services
    store.send([Branch.parse("acme/rocket:main")], services.now())
    lease = store.claim(Branch.parse("acme/rocket:main"), services.now() + 3600.0)
    assert lease

    report = reconcile.reconcile(services, gathering.ALL)

    assert [why for _, why in report.left] == ["the queue is at work on acme/rocket:main"]
    assert protected.rule() is None


def test_what_github_holds_back_is_done_as_soon_as_it_may(protect: Callable[..., Protected]) -> None:
    protected = protect()
    until = protected.mergeq.services.now() + 100.0
    protected.mergeq.store.hold_off("*", Hold(until, "GitHub asked for it"))

    protected.pass_by(60.0)
    before = protected.rule()
    protected.pass_by(60.0)

    assert before is None
    assert protected.rule()
    assert protected.counted("failed_total") == 0


def test_a_failure_of_mergeqs_own_is_tried_again_in_a_minute(
    protect: Callable[..., Protected], monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = protect()
    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "gather", lambda *_: 1 / 0)
        protected.pass_by()
    before = protected.rule()
    protected.pass_by(70.0)

    assert before is None
    assert protected.rule()
    assert protected.counted("failed_total") == 1


def test_a_write_in_whose_middle_redis_goes_away_is_told_calmly_and_taken_up_again(
    protect: Callable[..., Protected], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    protected = protect()

    def gone(*_: object, **__: object) -> None:
        raise redis.ConnectionError("Redis was killed")

    with monkeypatch.context() as away:
        away.setattr(ProtectionStore, "note_applied", gone)
        protected.pass_by()
    said = "".join(capsys.readouterr())
    protected.pass_by(60.0)
    protected.pass_by(60.0)

    assert "protection waits for Redis" in said
    assert "Traceback" not in said
    assert protected.results() == [Result.APPLIED]
    assert protected.store.intents("acme/rocket") == []


def test_a_look_whose_worker_died_is_taken_up_again_after_a_minute(protect: Callable[..., Protected]) -> None:
    protected = protect()
    store = protected.store
    now = protected.mergeq.services.now()
    store.begin(now, store.begun())
    store.mark([gathering.ALL], now)
    assert store.take(gathering.ALL, now)

    protected.pass_by(50.0)
    before = protected.rule()
    protected.pass_by(10.0)

    assert before is None
    assert protected.rule()


def test_a_store_that_was_lost_learns_what_is_in_force_and_writes_nothing(
    protect: Callable[..., Protected],
) -> None:
    protected = protect()
    protected.pass_by()
    protected.mergeq.services.queue.connection.flushall()
    protected.mergeq.store.found(protected.mergeq.services.now())

    protected.pass_by()

    assert protected.rows() == []
    assert protected.store.in_force(["acme/rocket"])[MAIN].values[Field.ENFORCE_ADMINS] is True


def test_only_one_timer_has_everything_looked_at(protect: Callable[..., Protected]) -> None:
    protected = protect()
    last = protected.store.begun()

    assert [protected.store.begin(5.0, last), protected.store.begin(5.0, last)] == [True, False]


def test_what_is_stopped_before_a_write_is_left_for_the_next_run(protect: Callable[..., Protected]) -> None:
    protected = protect()

    report = reconcile.reconcile(protected.mergeq.services, gathering.ALL, lambda: False)

    assert [why for _, why in report.left] == [enforcing.STOPPED]
    assert not report.is_whole
    assert protected.rule() is None
    protected.pass_by()
    assert protected.rule()


# Rolling back


def test_what_is_rolled_back_stays_so_until_the_configuration_asks_for_something_else(
    protect: Callable[..., Protected],
) -> None:
    protected = protect()
    protected.pass_by()
    services = protected.mergeq.services
    run = protected.rows()[0].run
    gathered = reconcile.undoing(services, run)
    order = enforcing.Order("r2", "ana", "it locked us out", exactly=True, undoes=run)

    report = reconcile.enforce(services, gathered, gathered.plan.writes, order)
    gone = protected.rule()
    protected.pass_by(7 * 3600.0)
    still = protected.rule()
    kinds = protected.kinds()
    protected.rewrite(ENFORCED.replace("[ci/test]", "[ci/other]"))
    protected.pass_by()

    assert [row.result for row in report.rows] == [Result.ROLLED_BACK]
    assert (gone, still) == (None, None)
    assert kinds == {"acme/rocket:main": Kind.PARKED}
    assert protected.rule()


def test_a_plan_that_waited_in_a_part_is_forgotten_once_everything_was_weighed(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    protected = protect(many(3, max_repos_changed=2))
    services, store = protected.mergeq.services, protected.store
    gathered = gathering.gather(services, "acme")
    reconcile.enforce(services, gathered, gathered.plan.writes, enforcing.Order("r1", "ana"))
    waited = [held.scope for held in store.held()]

    protected.rewrite(many(3, max_repos_changed=3))
    protected.pass_by()

    assert waited == ["acme"]
    assert store.held() == []
    assert all(protected.rule("main", name) for name in fleet)


# What GitHub does with it


def test_what_names_nobody_fails_by_itself_and_says_whom(protect: Callable[..., Protected]) -> None:
    protected = protect(ENFORCED.replace("enforce_admins: true", "restrictions: {users: [nobody-at-all], teams: []}"))

    protected.pass_by()

    (row,) = protected.rows()
    assert row.result is Result.FAILED
    assert row.problem.startswith("actor_invalid: ")
    assert "nobody-at-all" in row.problem
    assert protected.counted("failed_total") == 1


def test_a_team_that_comes_after_the_configuration_names_it_is_found_soon(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P7.45: that there is nobody of a name is believed for ten minutes, event or not."""
    protected = protect(ENFORCED.replace("enforce_admins: true", "restrictions: {users: [], teams: [late]}"))
    protected.pass_by()
    github.world.users.join_team("acme/late", "ana")
    sent = {"action": "added_to_repository", "repository": {"full_name": "acme/rocket", "id": 1}}
    assert send(protected.mergeq, "team", sent).status_code == 202

    protected.pass_by()
    before = protected.rule()
    protected.pass_by(700.0)

    assert before is None
    assert protected.rule()


def test_after_two_refusals_for_want_of_rights_the_rest_of_a_repository_is_not_tried(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P7.7."""
    for n in range(4):
        github.world.push("acme/rocket", f"b{n}", {"engine.txt": "v1"})
    branches = "".join(f"            b{n}: {{protect: true}}\n" for n in range(4))
    protected = protect(ENFORCED.replace("            main:\n", f"{branches}            main:\n"))
    services = protected.mergeq.services
    github.world.users.set_role("writer", Role.WRITE)
    token = github.world.users.issue_token("writer")
    with closing(connect_github(replace(services.settings, github_token=token))) as client:
        weak = replace(services, applier=client.protecting_as(client.credentials))
        gathered = gathering.gather(weak)

        report = enforcing.carry_out(weak, gathered, gathered.plan.writes, enforcing.Order("r1"))

    assert [row.problem.partition(":")[0] for row in report.rows] == ["no_admin", "no_admin"]
    assert [why for _, why in report.left] == ["GitHub refused two changes here for want of administration rights"] * 3


NAMING = ENFORCED.replace("enforce_admins: true", "restrictions: {users: [], teams: [strangers]}")


def test_what_github_takes_without_effect_is_tried_once_more_and_then_left_alone(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P6.53, P7.8, P4.34: who may not write is left out without a word."""
    github.world.users.join_team("acme/strangers", "eve")
    github.world.repo("acme/rocket").people.team_roles["strangers"] = Role.READ
    protected = protect(NAMING)

    protected.pass_by()
    once = protected.kinds()
    for _ in range(20):
        protected.pass_by(60.0)
    parked = protected.kinds()
    tries = protected.results().count(Result.NOT_EFFECTIVE)
    github.world.repo("acme/rocket").people.team_roles["strangers"] = Role.WRITE
    protected.pass_by(86400.0)

    assert once == {"acme/rocket:main": Kind.UPDATE}
    assert parked == {"acme/rocket:main": Kind.PARKED}
    assert tries == 3
    assert "had no effect on restrictions" in protected.rows(result="not-effective")[0].problem
    assert protected.results()[-1] is Result.APPLIED
    rule = protected.rule()
    assert rule
    assert rule.restrictions
    assert protected.kinds() == {"acme/rocket:main": Kind.NOTHING}


def test_who_undoes_each_change_at_once_is_named_and_not_left_alone_for_long(
    protect: Callable[..., Protected], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7.8: what had no effect is tried less and less often, but not for the sake of whoever is quick."""
    protected = protect()
    services, world = protected.mergeq.services, protected.github.world
    write = services.applier.write

    def write_in_vain(item: Item, facts: RepoFacts) -> None:
        assert write(item, facts) is None
        world.protect("acme/rocket", "main", enforce_admins=False)
        protected.tells("branch_protection_rule", "edited", "mergeq-bot", f"ours {services.now()}")
        protected.tells("branch_protection_rule", "edited", "eve", f"hers {services.now()}")

    with monkeypatch.context() as patch:
        patch.setattr(services.applier, "write", write_in_vain)
        for _ in range(12):
            protected.pass_by(30.0)
    tried = protected.rows(result="not-effective")
    protected.pass_by(70.0)

    assert len(tried) > 3
    assert tried[-1].problem.endswith("; it told of changes by eve, mergeq-bot since")
    assert protected.kinds() == {"acme/rocket:main": Kind.NOTHING}


def test_who_may_not_push_is_named_before_anything_is_written_where_that_is_verified(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P6.32, P3.12."""
    github.world.users.join_team("acme/strangers", "eve")
    github.world.repo("acme/rocket").people.team_roles["strangers"] = Role.READ
    protected = protect(NAMING.replace("mode: enforce", "mode: enforce, verify_restrictions: true"))

    protected.pass_by()

    (item,) = next(iter(protected.store.seen())).items
    assert item.kind is Kind.INVALID
    assert item.why == "the following teams are not authorized for acme/rocket: [strangers]"
    assert protected.rule() is None


def test_prows_own_request_is_sent_where_that_is_asked_for(protect: Callable[..., Protected], github: Sandbox) -> None:
    """D13."""
    github.world.protect("acme/rocket", "main", ["ci/test"], required_conversation_resolution=True)
    protected = protect(ENFORCED.replace("mode: enforce", "mode: enforce, fields: prow"))

    protected.pass_by()

    rule = protected.rule()
    assert rule
    assert (rule.enforce_admins, rule.conversation_resolution) == (True, False)
    assert protected.results() == [Result.APPLIED]
    assert hits(github, "PUT /repos/{owner}/{repo}/branches/{branch}/protection") == 1


@pytest.mark.parametrize("fields", ["preserve", "prow"])
def test_a_bot_that_is_named_among_the_users_may_push_as_the_app_that_it_is(
    protect: Callable[..., Protected], github: Sandbox, fields: str
) -> None:
    """Real configurations let Prow push by the login of its App's bot."""
    github.world.install_app(github.world.register_app("prow", permissions={"contents": "write"}), "acme")
    named = "restrictions: {users: ['prow[bot]']}\n              enforce_admins"
    config = ENFORCED.replace("enforce_admins", named)
    protected = protect(config.replace("mode: enforce", f"mode: enforce, fields: {fields}"))

    protected.pass_by()
    protected.pass_by(7 * 3600.0)

    rule = protected.rule()
    assert rule
    assert rule.restrictions == Restrictions(apps=("prow",))
    assert protected.results() == [Result.APPLIED]


def test_what_was_being_written_when_mergeq_died_is_on_record_as_its_own(protect: Callable[..., Protected]) -> None:
    protected = protect()
    protected.pass_by()
    services, store = protected.mergeq.services, protected.store
    protected.rewrite(ENFORCED.replace("[ci/test]", "[ci/test, ci/more]"))
    services.follow()
    gathered = gathering.gather(services)
    (item,) = gathered.plan.writes
    writer = store.acquire("acme/rocket", services.now())
    assert writer
    row = replace(protected.rows()[0], id=store.new_id(services.now()), time=services.now(), run="r9")
    store.intend(writer, row, item)
    services.applier.write(item, gathered.facts["acme/rocket"])
    store.mark(["acme/rocket"], 0.0)

    protected.pass_by(120.0)

    assert [(one.result, one.run) for one in protected.rows()[1:]] == [(Result.APPLIED, "r9")]
    assert [str(one.target) for one in store.run("r9")] == ["acme/rocket:main"]
    assert store.intents("acme/rocket") == []


def test_what_was_not_sent_when_mergeq_died_failed_and_is_done_again(protect: Callable[..., Protected]) -> None:
    protected = protect()
    services, store = protected.mergeq.services, protected.store
    gathered = gathering.gather(services)
    (item,) = gathered.plan.writes
    writer = store.acquire("acme/rocket", services.now())
    assert writer
    store.intend(writer, enforcing.row_about(services, enforcing.Order("r9"), item, Result.APPLIED), item)

    protected.pass_by(120.0)

    assert [(one.result, one.run == "r9") for one in protected.rows()] == [
        (Result.FAILED, True),
        (Result.APPLIED, False),
    ]
    assert protected.rule()


def test_many_changes_of_one_repository_take_a_look_for_every_few(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    names = [f"b{n:02}" for n in range(24)]
    for name in names:
        github.world.push("acme/rocket", name, {"engine.txt": "v1"})
    branches = "".join(f"            {name}: {{protect: true}}\n" for name in names)
    protected = protect(ENFORCED.replace("            main:\n", f"{branches}            main:\n"))
    before = hits(github, "graphql")

    protected.pass_by()

    assert all(protected.rule(name) for name in names)
    assert protected.results() == [Result.APPLIED] * 25
    assert hits(github, "graphql") - before <= 25 + 11


def test_what_somebody_else_changes_meanwhile_is_still_told(protect: Callable[..., Protected]) -> None:
    protected = protect()
    services, world = protected.mergeq.services, protected.github.world
    world.protect("acme/rocket", "old", ["ci/old"])
    reconcile.note(services, gathered := gathering.gather(services))
    world.unprotect("acme/rocket", "old")

    enforcing.carry_out(services, gathered, gathered.plan.writes, enforcing.Order("r1"))
    protected.pass_by()

    assert [(row.result, row.target) for row in protected.rows()] == [
        (Result.SEEN, "acme/rocket:old"),
        (Result.APPLIED, "acme/rocket:main"),
    ]


def test_who_loosens_a_rule_right_before_it_is_written_is_on_record_by_name(protect: Callable[..., Protected]) -> None:
    """P7.8."""
    protected = protect()
    protected.pass_by()
    services, world = protected.mergeq.services, protected.github.world
    protected.rewrite(ENFORCED.replace("[ci/test]", "[ci/test, ci/more]"))
    services.follow()
    reconcile.note(services, gathered := gathering.gather(services))
    world.protect("acme/rocket", "main", enforce_admins=False)
    protected.tells("branch_protection_rule", "edited", "eve", "d1")

    enforcing.carry_out(services, gathered, gathered.plan.writes, enforcing.Order("r1"))

    assert [(row.result, row.by, row.effect) for row in protected.rows()[1:]] == [
        (Result.SEEN, "eve", "weaken"),
        (Result.APPLIED, "mergeq", "strengthen"),
    ]
    assert protected.counted("drift_total") == 1


def test_who_changed_another_rule_is_not_named_for_this_one(protect: Callable[..., Protected]) -> None:
    protected = protect()
    world = protected.github.world
    world.audited = True
    protected.pass_by()

    world.protect("acme/rocket", "main", enforce_admins=False, by="eve")
    world.protect("acme/rocket", "old", ["ci/old"], by="ana")
    protected.pass_by(7 * 3600.0)

    assert {row.target: row.by for row in protected.rows(result="seen")} == {
        "acme/rocket:main": "eve",
        "acme/rocket:old": "ana",
    }


def test_a_ruleset_of_ours_is_kept_as_wished_too(protect: Callable[..., Protected], github: Sandbox) -> None:
    protected = protect(ENFORCED.replace("mode: enforce", "mode: enforce, backend: ruleset"))
    protected.pass_by()
    rulesets = github.world.repo("acme/rocket").rulesets
    made = [one.name for one in rulesets.values()]
    rulesets.clear()

    protected.pass_by(7 * 3600.0)

    assert made == ["mergeq: main"]
    assert [one.name for one in rulesets.values()] == made
    assert protected.results() == [Result.APPLIED, Result.SEEN, Result.APPLIED]
    assert protected.kinds() == {"acme/rocket:main": Kind.NOTHING}


@pytest.mark.parametrize(
    "switched",
    [
        {"enforcement": Enforcement.DISABLED},
        {"enforcement": Enforcement.EVALUATE},
        {"conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": ["refs/heads/main"]}}},
        {"conditions": {"ref_name": {"include": ["refs/heads/other"], "exclude": []}}},
    ],
    ids=["off", "only evaluated", "excluded", "for others"],
)
def test_a_ruleset_of_ours_that_somebody_has_switched_off_or_to_others_is_put_right(
    protect: Callable[..., Protected], github: Sandbox, switched: dict[str, object]
) -> None:
    """P6.59: GitHub takes no second ruleset of its name."""
    protected = protect(ENFORCED.replace("mode: enforce", "mode: enforce, backend: ruleset"))
    protected.pass_by()
    rulesets = github.world.repo("acme/rocket").rulesets
    ((number, made),) = rulesets.items()
    rulesets[number] = replace(made, **switched)  # type: ignore[arg-type]

    protected.pass_by(7 * 3600.0)

    assert [(one.enforcement, one.conditions) for one in rulesets.values()] == [(made.enforcement, made.conditions)]
    assert [(row.result, row.effect) for row in protected.rows()[1:]] == [
        (Result.SEEN, "weaken"),
        (Result.APPLIED, "strengthen"),
    ]


# Exemptions


def exempt(until: str) -> str:
    patch = "{required_status_checks: {strict: false}}"
    one = f"{{id: rel-1, target: 'acme/rocket:main', until: {until}, owner: jo, reason: hotfix, patch: {patch}}}"
    return ENFORCED.replace("mode: enforce", f"mode: enforce, exemptions: [{one}]")


def test_an_exemption_ends_by_itself_on_the_second_and_on_record(
    protect: Callable[..., Protected], clock: ManualClock
) -> None:
    """P7.11."""
    ends = clock.now() + 7200.0
    at = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    protected = protect(exempt(at))
    protected.pass_by()
    before = protected.rule()
    assert before
    loosened = before.status

    protected.pass_by(ends - clock.now() - 1.0)
    still = len(protected.rows())
    protected.pass_by(10.0)

    rule = protected.rule()
    assert rule
    assert loosened
    assert not loosened.strict
    assert rule.status
    assert rule.status.strict
    assert still == 1
    assert [(row.result, row.cause) for row in protected.rows()[1:]] == [
        (Result.EXPIRED, ""),
        (Result.APPLIED, "expiry"),
    ]
    assert protected.rows()[1].why == "the exemption rel-1 has ended"


# Events


@pytest.mark.parametrize(
    ("event", "payload", "marked"),
    [
        ("branch_protection_configuration", {"action": "disabled"}, ["acme/rocket"]),
        ("repository", {"action": "unarchived"}, ["acme/rocket"]),
        ("create", {"ref_type": "tag", "ref": "v1"}, []),
        ("create", {"ref_type": "branch", "ref": "next"}, ["acme/rocket"]),
        ("team", {"action": "deleted", "organization": {"login": "acme"}, "repository": None}, ["acme"]),
        ("membership", {"action": "added", "organization": {"login": "acme"}, "repository": None}, []),
        ("branch_protection_rule", {"action": "edited", "repository": {"full_name": "umbrella/rocket"}}, []),
    ],
)
def test_each_event_has_what_it_is_about_looked_at(
    protect: Callable[..., Protected], event: str, payload: dict[str, object], marked: list[str]
) -> None:
    """P7.21."""
    protected = protect(ENFORCED.replace("repos:", "protect: true\n      repos:"))
    sent = {"repository": {"full_name": "acme/rocket", "id": 1}, "sender": {"login": "bob"}, "rule": {}} | payload

    assert send(protected.mergeq, event, sent).status_code in {200, 202}

    assert protected.store.overdue(protected.mergeq.services.now(), 0.0) == marked


@pytest.mark.parametrize(
    ("branch", "is_read"),
    [("next", True), ("dependabot/pip/x", False), ("mergeq/main/0123456789ab", False), ("mergeq-scratch/x", False)],
)
def test_a_new_branch_has_its_repository_read_if_it_is_to_be_protected(
    protect: Callable[..., Protected], branch: str, is_read: bool
) -> None:
    """P6.30: neither bots' branches nor those on which the queue itself stages."""
    protected = protect(
        WIDE.replace("protect: true\n      repos", "protect: true\n      exclude: [^dependabot/]\n      repos")
    )

    protected.makes(branch)

    assert protected.store.overdue(protected.mergeq.services.now(), 0.0) == ["acme/rocket"] * is_read


def test_very_many_branches_are_not_listed_again_for_each_that_comes(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P7.21: whoever may push could use up what GitHub lets be asked."""
    for n in range(250):
        github.world.push("acme/rocket", f"b{n}", {"engine.txt": "v1"})
    protected = protect(WIDE.replace("mode: enforce", "mode: observe"))
    protected.pass_by()
    services = protected.mergeq.services

    for n in range(3):
        protected.makes(f"c{n}")
    at_once = protected.store.overdue(services.now(), 0.0)
    later = protected.store.overdue(services.now() + 24.0, 0.0)
    protected.tells("branch_protection_rule", "edited", "eve", "d9")

    assert at_once == []
    assert later == ["acme/rocket"]
    assert not protected.store.is_idle()


def test_events_about_people_have_an_organization_read_no_more_often_than_it_can_be_paid_for(
    protect: Callable[..., Protected], fleet: list[str]
) -> None:
    """P7.21: a fifth of what GitHub lets be asked."""
    protected = protect(WIDE.replace("mode: enforce", "mode: observe"))
    protected.pass_by()
    sent = {"action": "removed", "organization": {"login": "acme"}, "repository": None, "sender": {"login": "bob"}}

    for n in range(3):
        assert send(protected.mergeq, "membership", sent, f"d{n}").status_code in {200, 202}
    services = protected.mergeq.services

    assert protected.store.overdue(services.now(), 0.0) == []
    assert protected.store.overdue(services.now() + (len(fleet) + 1) * 1.8, 0.0) == ["acme"]


@pytest.mark.parametrize("config", [ENFORCED, ENFORCED.replace("repos:", "protect: true\n      repos:")])
def test_a_repository_is_one_however_it_is_spelt(protect: Callable[..., Protected], config: str) -> None:
    protected = protect(config.replace("acme:", "ACME:").replace("rocket:", "Rocket:"))
    protected.pass_by()
    protected.github.world.unprotect("acme/rocket", "main")

    protected.tells("branch_protection_rule", "deleted", "bob", "d1")
    protected.mergeq.work()

    assert [(row.result, row.by) for row in protected.rows(about="acme/rocket:main")] == [
        (Result.APPLIED, "mergeq"),
        (Result.SEEN, "bob"),
        (Result.APPLIED, "mergeq"),
    ]
    assert len(list(protected.store.seen())) == 1


# The store


def test_the_newest_rows_are_kept_and_found_by_what_they_say(protect: Callable[..., Protected]) -> None:
    store = protect().store
    rows = [AuditRecord(f"{n:02}", float(n), "r1", f"acme/r{n % 2}:main", Result.SEEN, by="ana") for n in range(10)]
    store.append(rows)

    assert [row.id for row in store.audit(Sought(about="acme/r1"), limit=2)] == ["09", "07"]
    assert [row.id for row in store.audit(Sought(since=3.0, until=5.0))] == ["04", "03"]
    assert store.audit(Sought(by="ANA"), limit=3, cursor=cursor_of(rows[4])) == rows[3:0:-1]
    assert store.audit(Sought(result="applied")) == []


def test_a_writer_that_was_away_too_long_writes_nothing(protect: Callable[..., Protected]) -> None:
    store = protect().store
    first = store.acquire("acme/rocket", 0.0)
    second = store.acquire("acme/rocket", WRITER_SECONDS + 1.0)
    assert first
    assert second
    row = AuditRecord("1", 0.0, "r1", "acme/rocket:main", Result.APPLIED)

    with pytest.raises(LeaseLost):
        store.extend(first, 100.0)
    with pytest.raises(LeaseLost):
        store.intend(first, row, Item(MAIN, Kind.CREATE))
    with pytest.raises(LeaseLost):
        store.note_applied(first, Item(MAIN, Kind.CREATE), row, in_force=None, live=(0.0, {}))
    assert store.audit() == []


def test_one_token_writes_for_several_owners_no_faster_than_for_one(
    protect: Callable[..., Protected], github: Sandbox
) -> None:
    """P7.7: GitHub counts whoever writes."""
    github.world.create_repo("umbrella/rain", files=FILES)
    orgs = "umbrella: {repos: {rain: {branches: {main: {protect: true}}}}}"
    protected = protect(ENFORCED.replace("  orgs:\n", f"  orgs:\n    {orgs}\n"))

    protected.pass_by()

    assert protected.rule("main", "umbrella/rain")
    assert protected.rule()
    assert protected.mergeq.services.queue.connection.hkeys(PACES) == [b"*"]


def test_writes_for_one_owner_keep_their_distance(protect: Callable[..., Protected]) -> None:
    store = protect().store

    assert [store.turn("acme", 10.0, 1.0), store.turn("acme", 10.0, 1.0), store.turn("umbrella", 10.0, 1.0)] == [
        0,
        1,
        0,
    ]


def test_what_was_taken_and_not_done_is_looked_at_again(protect: Callable[..., Protected]) -> None:
    store = protect().store
    store.mark(["acme"], 0.0)

    first, second = store.take("acme", 1.0), store.take("acme", 1.0)
    assert first
    assert second is None
    store.hold_on(first, 41.0)

    assert store.overdue(100.0, 5.0) == []
    assert store.overdue(101.0, 5.0) == ["acme"], "a minute after it was last held on to"


def test_what_another_has_taken_is_his(protect: Callable[..., Protected]) -> None:
    store = protect().store
    store.mark(["acme"], 0.0)
    dead = store.take("acme", 1.0)
    store.overdue(61.0, 5.0)
    assert dead
    assert store.take("acme", 62.0)

    store.done(dead)

    with pytest.raises(LeaseLost):
        store.hold_on(dead, 63.0)
    assert store.overdue(122.0, 5.0) == ["acme"], "who took it later has died too"


def test_what_is_put_off_while_it_is_looked_at_stays_put_off(protect: Callable[..., Protected]) -> None:
    store = protect().store
    store.mark(["acme"], 0.0)
    taken = store.take("acme", 1.0)
    assert taken
    store.put_off("acme", 100.0)

    store.done(taken)

    assert store.overdue(99.0, 5.0) == []
    assert store.overdue(100.0, 5.0) == ["acme"]
