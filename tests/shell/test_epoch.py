"""A store that may have lost halts and pauses lets nothing happen until a person says so; one that is new does."""

from collections.abc import Callable

import pytest
import redis

from mergeq import execute, jobs, operators
from mergeq.core.history import Outcome
from mergeq.core.orders import EVERYTHING
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Pull
from mergeq.store import LeaseLost
from tests.conftest import CONFIG, FILES, READY, Mergeq
from tests.shell.test_landing import fault, hits, saved_and_claimed
from tests.shell.test_operators import said
from tests.shell.test_staging import STAGED, ready, work

MAIN = Branch("acme", "rocket", "main")
WHO = "ana@desk"


@pytest.fixture
def fresh(mergeq: Mergeq, clean_redis: "redis.Redis") -> Mergeq:
    """mergeq on a store that nothing was ever written to."""
    clean_redis.flushall()
    return mergeq


def halted_twice(github: Sandbox, mergeq: Mergeq, clean_redis: "redis.Redis") -> Pull:
    """A pull request on a branch that was paused, in a store that has forgotten it."""
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, MAIN, WHO, "release week")
    work(github, mergeq)
    clean_redis.flushall()
    return pull


def test_a_first_installation_goes_to_work_by_itself(github: Sandbox, fresh: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    ready(github, "Add wings", {"wings.txt": "two\n"})
    github.world.set_status("acme/rocket", pull.head_sha, context="ci/other", state="success")
    github.settle()

    work(github, fresh)

    assert pull.merged
    assert fresh.store.halts() == {}
    assert fresh.web.get("/readyz").text == "ready\n"


def test_an_organization_without_pull_requests_is_a_first_installation_too(github: Sandbox, fresh: Mergeq) -> None:
    work(github, fresh)

    assert fresh.store.is_founded()


def test_until_everything_was_read_nothing_is_written_to_github(github: Sandbox, fresh: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    jobs.look_at(fresh.services, [MAIN])

    fresh.work()

    assert pull.is_open
    assert hits(github, "/statuses/") == 0
    saved = fresh.store.pool(MAIN)
    assert saved
    assert saved.why.startswith("halted until a person resumes it: the store is new")
    assert "Everything is halted" in fresh.web.get("/tide").text


def test_after_redis_lost_everything_nothing_lands_until_a_person_says_so(
    github: Sandbox, mergeq: Mergeq, clean_redis: "redis.Redis"
) -> None:
    """D14."""
    pull = halted_twice(github, mergeq, clean_redis)

    work(github, mergeq, 5)
    waiting, why = pull.is_open, mergeq.store.halted(MAIN)
    readiness = mergeq.web.get("/readyz").text
    result = said(mergeq, "resume", "--all", "--why", "nothing was paused any more")
    work(github, mergeq, 2)

    assert waiting
    assert why.startswith("paused by mergeq since 20")
    assert why.endswith(
        "the store is new, but GitHub shows the status tide on acme/rocket#1: "
        "if an earlier one was lost, so were its pauses and halts"
    )
    assert "the store is new, but GitHub shows" in readiness
    assert "the store is new, but GitHub shows" in mergeq.web.get("/api/history").text
    assert result.exit_code == 0
    assert pull.merged


def test_the_loss_is_noticed_by_a_worker_that_is_about_to_land(
    github: Sandbox, mergeq: Mergeq, clean_redis: "redis.Redis"
) -> None:
    _, lease, saved = saved_and_claimed(github, mergeq)
    clean_redis.flushall()

    with pytest.raises(LeaseLost):
        execute.land(mergeq.services, lease, saved)

    assert hits(github, "/merge") == 0


def test_a_worker_that_claims_its_branch_after_the_loss_lands_nothing(
    github: Sandbox, mergeq: Mergeq, clean_redis: "redis.Redis"
) -> None:
    """As when the branch is claimed anew under the number that its lease had before."""
    _, _, saved = saved_and_claimed(github, mergeq)
    clean_redis.flushall()
    mergeq.store.mark_parts([MAIN], ["all"], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease

    record = execute.land(mergeq.services, lease, saved)

    assert record.outcome is Outcome.STALE
    assert hits(github, "/merge") == 0


def test_a_staging_ref_is_a_trace_as_well(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clean_redis: "redis.Redis"
) -> None:
    mergeq = start_mergeq(STAGED)
    clean_redis.flushall()
    tip = str(github.world.repo("acme/rocket").git.tip("main"))
    github.world.create_ref("acme/rocket", "refs/heads/mergeq/main-0123456789ab", tip)
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()

    work(github, mergeq, 3)

    assert pull.is_open
    assert "GitHub shows the staging ref mergeq/main-0123456789ab in acme/rocket" in mergeq.store.halted(MAIN)


def test_what_cannot_be_read_leaves_it_open_until_it_can(github: Sandbox, fresh: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    partial = {"route": "graphql:Pulls"}
    fault(github, "graphql.partial", match=partial, args={"path": "nodes.0.statusCheckRollup"}, times=1)

    work(github, fresh)
    was_founded = fresh.store.is_founded()
    work(github, fresh, 3)

    assert (was_founded, fresh.store.is_founded()) == (False, True)
    assert pull.merged


def test_webhooks_that_tell_everything_do_not_put_off_the_look_at_everything(github: Sandbox, fresh: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    jobs.receive(fresh.services, "one", "label", {"repository": {"full_name": "acme/rocket"}}, of_owner=True)
    for search in fresh.services.config.open_pull_searches():
        fresh.store.set_swept(search, fresh.services.now())

    work(github, fresh, 2)

    assert pull.merged


def test_a_person_may_take_it_on_before_everything_was_read(github: Sandbox, fresh: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()

    result = said(fresh, "resume", "--all", "--why", "this is the first start")
    jobs.look_at(fresh.services, [MAIN])
    fresh.work()

    assert result.stdout == "everything goes on\n"
    assert pull.merged


def test_until_everything_was_read_it_is_looked_for_once_a_minute(
    github: Sandbox, fresh: Mergeq, clock: ManualClock
) -> None:
    """A GitHub that does not answer is not asked again with every beat."""
    github.world.faults.add("graphql.5xx", times=None)
    asked = []
    for _ in range(3):
        jobs.tick_once(fresh.services)
        fresh.work()
        asked.append(hits(github, "graphql"))
        clock.advance(1)

    clock.advance(60)
    jobs.tick_once(fresh.services)
    fresh.work()

    assert asked[0] == asked[2] < hits(github, "graphql")


def test_another_organization_that_is_added_later_pauses_nothing(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq()
    github.world.create_repo("acme/launchpad", files=FILES)
    pull = github.world.open_pull("acme/launchpad", title="Add legs", files={"legs.txt": "3\n"}, labels=READY)
    github.world.set_status("acme/launchpad", pull.head_sha, context="tide", state="pending")
    github.settle()

    work(github, mergeq)

    assert pull.merged
    assert EVERYTHING not in mergeq.store.halts()


PROTECTED = """
branch-protection: {orgs: {acme: {protect: true, enforce_admins: true}}}
mergeq: {protection: {mode: enforce}}
"""


def test_branches_are_protected_as_soon_as_the_store_is_known_to_be_new(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clean_redis: "redis.Redis"
) -> None:
    mergeq = start_mergeq(CONFIG + PROTECTED)
    clean_redis.flushall()

    mergeq.sweep_and_work()
    was_founded, was_protected = mergeq.store.is_founded(), bool(github.world.repo("acme/rocket").protections)
    mergeq.sweep_and_work()

    assert (was_founded, was_protected) == (True, False)
    assert github.world.repo("acme/rocket").protections["main"].enforce_admins


def test_branches_are_protected_as_soon_as_everything_goes_on(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(CONFIG + PROTECTED)
    operators.pause(mergeq.services, EVERYTHING, WHO, "release week")
    mergeq.sweep_and_work(3)
    while_paused = dict(github.world.repo("acme/rocket").protections)

    operators.resume(mergeq.services, EVERYTHING, WHO, "it is out")
    mergeq.sweep_and_work()

    assert while_paused == {}
    assert github.world.repo("acme/rocket").protections["main"].enforce_admins
