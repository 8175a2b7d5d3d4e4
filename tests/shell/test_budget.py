"""GitHub on a bad day: its limits, its time-outs, its partial answers, and who goes on and who waits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergeq import jobs
from mergeq.core.budget import Hold, Purpose
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.core.status import Status
from mergeq.github import HeldBack, Refused, Unreadable
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.callers import Caller
from mergeq.sandbox.rates import Resource
from mergeq.sandbox.records import Pull
from mergeq.store import ALL
from tests.conftest import CONFIG, FILES, READY, Mergeq
from tests.shell.test_landing import MAIN, fault, hits, status_of
from tests.shell.test_staging import STAGED

SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
LOOK = {"route": "graphql:Look"}
PULLS = {"route": "graphql:Pulls"}
MERGE = "PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge"


def ready(github: Sandbox, title: str = "Add fins", **changes: Any) -> Pull:
    """A pull request that may land."""
    name = title.rsplit(maxsplit=1)[-1]
    pull = github.world.open_pull(
        "acme/rocket", **{"title": title, "files": {f"{name}.txt": "1\n"}, "labels": READY, **changes}
    )
    github.settle()
    return pull


def spend_all_but(github: Sandbox, points: int, resource: Resource = "graphql") -> None:
    """Somebody else with the same token uses up GitHub's hour."""
    now = github.world.now()
    payer = Caller(github.world, github.world.users.grant_of_token(github.token, now)).payer
    github.rates.fine(payer, resource, github.rates.budget(payer, resource, now).remaining - points, now)


def points(mergeq: Mergeq, name: str, **wanted: str) -> float:
    found = mergeq.store.metrics()
    return sum(
        value
        for series, labels, value in found
        if series == name and all(labels.get(key) == text for key, text in wanted.items())
    )


# accounting


def test_every_call_is_accounted_to_its_purpose_and_kind(github: Sandbox, mergeq: Mergeq) -> None:
    ready(github)

    mergeq.sweep_and_work()

    counts: dict[str, int] = github.app.test_client().get("/_sim/hits").get_json()
    asked = sum(count for name, count in counts.items() if name.startswith("graphql:"))
    assert points(mergeq, "mergeq_github_calls_total", resource="graphql") == asked
    assert points(mergeq, "mergeq_github_calls_total", purpose="landing", kind="write") == 2  # its status and the merge
    swept = sum(counts[f"graphql:{name}"] for name in ("OpenPulls", "States", "Pulls"))
    assert points(mergeq, "mergeq_github_calls_total", purpose="sweep", kind="read") == swept == 3
    purposes = {labels["purpose"] for name, labels, _ in mergeq.store.metrics() if name == "mergeq_github_points_total"}
    assert purposes == {"sweep", "landing"}


def test_what_github_says_last_is_kept_for_each_limit_with_what_was_used(github: Sandbox, mergeq: Mergeq) -> None:
    ready(github)

    mergeq.sweep_and_work()

    core, graphql = mergeq.store.all_spent()
    assert (core.resource, core.limit, core.remaining) == ("core", 5000, 5000 - sum(core.points.values()))
    assert (graphql.resource, graphql.limit) == ("graphql", 5000)
    assert graphql.remaining == 5000 - sum(graphql.points.values())


def test_two_processes_share_one_account_and_an_hour_later_it_begins_anew(
    start_mergeq: Callable[..., Mergeq], clock: ManualClock
) -> None:
    one, other = start_mergeq(), start_mergeq()
    one.services.github.on(Purpose.LOOK).read_branch(MAIN, "")
    other.services.github.on(Purpose.SWEEP).read_branch(MAIN, "")

    spent = one.store.allowance("*", "graphql")[1]
    assert spent is not None
    assert set(spent.points) == {"look", "sweep"}
    assert spent == other.store.allowance("*", "graphql")[1]

    clock.advance(3601)
    other.services.github.on(Purpose.LOOK).read_branch(MAIN, "")

    anew = one.store.allowance("*", "graphql")[1]
    assert anew is not None
    assert set(anew.points) == {"look"}


def test_an_answer_that_comes_late_does_not_give_back_what_is_spent(mergeq: Mergeq) -> None:
    store = mergeq.store
    store.spend("*", "graphql", "look", "read", 1, 0.0, (5000.0, 4000.0, 3600.0))
    store.spend("*", "graphql", "look", "read", 1, 1.0, (5000.0, 4400.0, 3600.0))
    store.spend("*", "graphql", "look", "read", 7, 2.0, None)

    spent = store.allowance("*", "graphql")[1]

    assert spent is not None
    assert (spent.remaining, spent.points) == (3993.0, {"look": 9.0})


def test_what_a_bad_token_is_told_of_limits_is_not_ours(github: Sandbox, mergeq: Mergeq) -> None:
    """GitHub tells who it does not know of the limit for everybody."""
    mergeq.services.github.read_branch(MAIN, "")
    fault(github, "auth.expire")
    with pytest.raises(Unreadable, match="401"):
        mergeq.services.github.read_branch(MAIN, "")

    spent = mergeq.store.allowance("*", "graphql")[1]

    assert spent is not None
    assert (spent.limit, spent.remaining) == (5000, 5000 - sum(spent.points.values()))


# who waits


def test_when_little_is_left_a_landing_goes_on_and_statuses_wait(github: Sandbox, mergeq: Mergeq) -> None:
    waiting = ready(github, "Not yet", labels=("lgtm",))
    first = ready(github, "Add fins")
    mergeq.sweep_and_work()
    said = status_of(github, "acme/rocket", waiting.head_sha)
    second = ready(github, "Add wings", labels=("lgtm",))
    mergeq.sweep_and_work()
    github.world.add_label(second, "approved")
    github.world.remove_label(waiting, "lgtm")
    spend_all_but(github, 800, "core")
    mergeq.services.github.on(Purpose.LANDING).tree_of(MAIN, first.head_sha)  # an answer tells what is left

    mergeq.sweep_and_work()

    assert first.merged
    assert second.merged
    assert status_of(github, "acme/rocket", waiting.head_sha) == said
    assert points(mergeq, "mergeq_github_held_total", purpose="status") > 0


def test_what_is_in_the_pool_lands_when_there_is_little_left_for_anything_else(github: Sandbox, mergeq: Mergeq) -> None:
    issue = github.world.open_issue("acme/rocket", "freeze", labels=["tide/merge-blocker"])
    pull = ready(github)
    mergeq.sweep_and_work()
    spend_all_but(github, 600)
    mergeq.services.github.on(Purpose.LANDING).read_branch(MAIN, "")
    asked = hits(github, "graphql:OpenPulls")
    github.world.close_issue(issue)

    mergeq.sweep_and_work(10)

    assert pull.merged
    assert hits(github, "graphql:OpenPulls") == asked


def test_what_is_held_back_is_done_in_the_next_hour_by_itself(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    pull = ready(github)
    spend_all_but(github, 900)
    mergeq.services.github.on(Purpose.LANDING).read_branch(MAIN, "")
    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    mergeq.services.queue.enqueue(jobs.turn, str(MAIN))

    mergeq.work()
    before = (pull.is_open, mergeq.store.pool(MAIN), mergeq.store.is_idle())
    clock.advance(3600)
    jobs.tick_once(mergeq.services)
    mergeq.work()

    assert before == (True, None, False)
    assert pull.merged


def test_a_look_that_is_held_back_says_until_when(github: Sandbox, mergeq: Mergeq) -> None:
    spend_all_but(github, 900)
    mergeq.services.github.on(Purpose.LANDING).read_branch(MAIN, "")
    asked = hits(github, "graphql:Look")

    with pytest.raises(HeldBack, match=r"^89\d of 5000 graphql points are left, too few for look_idle$") as held:
        mergeq.services.github.on(Purpose.LOOK_IDLE).read_branch(MAIN, "")

    assert 3500 < held.value.until - mergeq.services.now() <= 3602
    assert hits(github, "graphql:Look") == asked


def test_sweeps_become_rarer_before_they_stop(github: Sandbox, mergeq: Mergeq) -> None:
    mergeq.sweep_and_work()
    spend_all_but(github, 1500)
    mergeq.services.github.on(Purpose.LANDING).read_branch(MAIN, "")
    asked = hits(github, "graphql:OpenPulls")

    mergeq.sweep_and_work(1)
    after_one = hits(github, "graphql:OpenPulls")
    mergeq.sweep_and_work(3)

    assert after_one == asked
    assert hits(github, "graphql:OpenPulls") > asked


def test_the_configuration_says_what_is_kept_back(github: Sandbox, start_mergeq: Callable[..., Mergeq]) -> None:
    mergeq = start_mergeq(CONFIG + "mergeq: {budget: {reserve: 0%, floors: {landing: 10, protection: 0}}}\n")
    spend_all_but(github, 40)
    client = mergeq.services.github

    client.on(Purpose.SWEEP).read_branch(MAIN, "")
    client.on(Purpose.SWEEP).read_branch(MAIN, "")
    spend_all_but(github, 8)
    client.on(Purpose.LANDING).read_branch(MAIN, "")

    with pytest.raises(HeldBack):
        client.on(Purpose.SWEEP).read_branch(MAIN, "")


# limits that GitHub enforces


@pytest.mark.parametrize(
    ("name", "args", "seconds"),
    [
        ("limit.secondary", {"code": 403}, 60),
        ("limit.secondary", {"code": 429, "retry_after": 300}, 300),
        ("limit.abuse", {"code": 403}, 60),
    ],
    ids=["without a hint", "with Retry-After", "in its old words"],
)
def test_a_secondary_limit_makes_every_process_wait_and_asks_nothing_more(
    github: Sandbox,
    start_mergeq: Callable[..., Mergeq],
    clock: ManualClock,
    name: str,
    args: dict[str, int],
    seconds: int,
) -> None:
    """Q59, Q60, Q62."""
    one, other = start_mergeq(), start_mergeq()
    fault(github, name, match=LOOK, args=args)

    with pytest.raises(HeldBack) as held:
        one.services.github.read_branch(MAIN, "")
    asked = hits(github, "graphql:Look")
    with pytest.raises(HeldBack):
        other.services.github.read_branch(MAIN, "")
    with pytest.raises(HeldBack):
        other.services.github.tree_of(MAIN, "0" * 40)

    assert held.value.until == clock.now() + seconds
    assert hits(github, "graphql:Look") == asked == 1
    assert hits(github, "git/commits") == 0
    clock.advance(seconds)
    assert other.services.github.read_branch(MAIN, "").pulls == ()


def test_a_limit_that_comes_again_makes_wait_twice_as_long(github: Sandbox, mergeq: Mergeq, clock: ManualClock) -> None:
    fault(github, "limit.secondary", times=2, match=LOOK)
    waits = []
    for _ in range(2):
        with pytest.raises(HeldBack) as held:
            mergeq.services.github.read_branch(MAIN, "")
        waits.append(held.value.until - clock.now())
        clock.advance(waits[-1])

    assert waits == [60, 120]
    assert points(mergeq, "mergeq_github_pauses_total", limit="secondary") == 2


def test_a_read_waits_for_a_limit_of_seconds(github: Sandbox, mergeq: Mergeq, clock: ManualClock) -> None:
    fault(github, "limit.secondary", match=LOOK, args={"retry_after": 5})
    before = clock.now()

    mergeq.services.github.read_branch(MAIN, "")

    assert clock.now() - before == pytest.approx(5)


def test_of_two_limits_the_longer_counts(mergeq: Mergeq) -> None:
    mergeq.store.hold_off("acme", Hold(500.0, "long"))
    mergeq.store.hold_off("acme", Hold(60.0, "short"))

    assert mergeq.store.hold("acme") == Hold(500.0, "long")


def test_a_used_up_hour_is_waited_for_by_github_s_clock(github: Sandbox, mergeq: Mergeq, clock: ManualClock) -> None:
    """Q4, Q61."""
    spend_all_but(github, 0)

    with pytest.raises(HeldBack, match="API rate limit exceeded") as held:
        mergeq.services.github.read_branch(MAIN, "")

    assert held.value.until - clock.now() == pytest.approx(3601, abs=2)


@pytest.mark.parametrize("kind", ["RATE_LIMITED", "RATE_LIMIT"])
def test_graphql_s_own_word_for_a_limit_is_understood(github: Sandbox, mergeq: Mergeq, kind: str) -> None:
    """Q4."""
    fault(github, "graphql.rate_limited", match=LOOK, args={"type": kind})

    with pytest.raises(HeldBack, match="API rate limit exceeded"):
        mergeq.services.github.read_branch(MAIN, "")


@pytest.mark.parametrize("code", [403, 429])
def test_a_merge_that_a_limit_refused_is_not_done_and_is_asked_again_after_it(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock, code: int
) -> None:
    """D6."""
    fault(github, "limit.secondary", match={"route": MERGE}, args={"code": code, "retry_after": 90})
    pull = ready(github)

    mergeq.sweep_and_work()
    refused = (pull.merged, mergeq.store.intent(MAIN), mergeq.history(), hits(github, MERGE))
    jobs.tick_once(mergeq.services)
    mergeq.work()
    still = hits(github, MERGE)
    clock.advance(91)
    jobs.tick_once(mergeq.services)
    mergeq.work()

    assert refused == (False, None, [], 1)
    assert still == 1
    assert pull.merged
    assert hits(github, MERGE) == 2
    assert [record.outcome for record in mergeq.history()] == [Outcome.LANDED]


def test_a_limit_right_after_a_merge_leaves_it_to_be_looked_up_and_not_asked_again(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pull = ready(github)
    mergeq.sweep_and_work(0)
    fault(github, "merge.lie_merged", times=1, args={"code": 502})
    fault(github, "limit.secondary", after=5, match=LOOK, args={"retry_after": 1200})

    for _ in range(40):
        mergeq.sweep_and_work()
        if mergeq.history():
            break

    assert pull.merged
    assert hits(github, MERGE) == 1
    assert [record.outcome for record in mergeq.history()] == [Outcome.LANDED]


@pytest.mark.parametrize("meets", ["before it", "after it"])
def test_a_run_that_a_limit_interrupts_is_recorded_as_far_as_it_came_and_goes_on(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], meets: str
) -> None:
    """The limit comes with the second merge of a batch, or with the reading after the first."""
    mergeq = start_mergeq(STAGED)
    pulls = [ready(github, f"Part {n}") for n in range(2)]
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    mergeq.sweep_and_work()
    github.settle()
    route = MERGE if meets == "before it" else "graphql:Landing"
    fault(github, "limit.secondary", match={"route": route}, after=1 if meets == "before it" else 0)

    for _ in range(6):
        mergeq.sweep_and_work()
        github.settle()

    assert [pull.merged for pull in pulls] == [True, True]
    ended = [record for record in reversed(mergeq.history()) if record.action in {"MERGE", "MERGE_BATCH"}]
    assert [record.outcome for record in ended] == [Outcome.PARTIAL, Outcome.LANDED]
    assert ended[0].landed_sha == pulls[0].merge_commit_sha
    assert hits(github, MERGE) == (3 if meets == "before it" else 2)
    assert mergeq.store.halted(MAIN) == ""


def test_staging_that_a_limit_interrupts_goes_on_where_it_was(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(STAGED)
    pull = ready(github)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    fault(github, "limit.secondary", match={"route": "POST /repos/{owner}/{repo}/git/refs"}, after=1)

    mergeq.sweep_and_work()

    assert [run.is_pushed for run in mergeq.store.runs(MAIN)] == [False]
    for _ in range(3):
        mergeq.sweep_and_work()
        github.settle()
    assert pull.merged
    assert [record.outcome for record in mergeq.history()] == [Outcome.LANDED, Outcome.TRIGGERED]


@pytest.mark.parametrize("landed", [True, False], ids=["it had landed", "it had not"])
def test_a_merge_whose_connection_broke_is_looked_up_before_anything_else(
    github: Sandbox, mergeq: Mergeq, landed: bool
) -> None:
    """Q11."""
    fault(github, "merge.reset", args={"landed": landed})
    pull = ready(github)

    mergeq.sweep_and_work(2)

    assert pull.merged
    assert hits(github, MERGE) == (1 if landed else 2)
    assert [record.outcome for record in mergeq.history()] == (
        [Outcome.LANDED] if landed else [Outcome.LANDED, Outcome.STALE]
    )


def test_a_status_whose_answer_was_an_error_is_not_sent_again_in_that_turn(github: Sandbox, mergeq: Mergeq) -> None:
    fault(github, "status.5xx", times=1)

    with pytest.raises(Refused, match=r"^502 "):
        mergeq.services.github.set_status(MAIN, "0" * 40, "tide", Status("pending", "x"), "")

    assert hits(github, "POST /repos/{owner}/{repo}/statuses") == 1


# time-outs and partial answers


def test_what_is_too_large_for_one_answer_is_read_in_halves_and_that_is_remembered(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock
) -> None:
    """Q2."""
    one, other = start_mergeq(), start_mergeq()
    numbers = {ready(github, f"Part {n}").number for n in range(13)}
    fault(github, "graphql.timeout", match=PULLS, times=None, args={"above": 3})

    facts = one.services.github.read_branch(MAIN, "")
    tries = hits(github, "graphql:Pulls")
    other.services.github.read_branch(MAIN, "")

    assert {pull.number for pull in facts.pulls} == numbers
    assert facts.partial == ""
    assert tries == 2 + 5  # 13 and 6 are too many; then five times up to three
    assert hits(github, "graphql:Pulls") == tries + 5
    clock.advance(3601)
    assert one.store.recall(["most pulls of acme"], clock.now()) == [None]


def test_a_branch_that_times_out_one_by_one_cannot_be_read(github: Sandbox, mergeq: Mergeq) -> None:
    fault(github, "graphql.timeout", match=LOOK, times=None, args={"code": 504})

    with pytest.raises(Unreadable, match="GitHub answered 504"):
        mergeq.services.github.read_branch(MAIN, "")

    assert hits(github, "graphql:Look") == 6
    assert points(mergeq, "mergeq_github_retries_total") == 5


def test_something_that_went_wrong_for_a_moment_is_asked_again(github: Sandbox, mergeq: Mergeq) -> None:
    """Q5."""
    fault(github, "graphql.untyped", match=LOOK)

    assert mergeq.services.github.read_branch(MAIN, "").partial == ""
    assert hits(github, "graphql:Look") == 2


@pytest.mark.parametrize(
    ("route", "path", "unread", "partial"),
    [
        (LOOK, ["repository", "pullRequests", "nodes", 0], ("a pull request",), ""),
        (LOOK, ["repository", "pullRequests", "nodes", 0, "statusCheckRollup"], (), ""),
        (PULLS, ["nodes", 0], ("#1",), ""),
        (PULLS, ["nodes", 0, "statusCheckRollup"], ("#1",), ""),
        (LOOK, ["repository", "issues"], (), "the blocker issues"),
        (LOOK, ["repository", "ref", "branchProtectionRule"], (), "the rules of the branch"),
    ],
    ids=[
        "a whole row",
        "what a row shows of contexts",
        "a whole pull request",
        "the contexts of one",
        "the blockers",
        "the protection",
    ],
)
def test_what_an_answer_lacks_is_missed_and_not_taken_for_empty(
    github: Sandbox,
    mergeq: Mergeq,
    route: dict[str, str],
    path: list[str | int],
    unread: tuple[str, ...],
    partial: str,
) -> None:
    """Q3."""
    ready(github, "Add fins")
    other = ready(github, "Add wings")
    fault(github, "graphql.partial", match=route, args={"path": path})

    facts = mergeq.services.github.read_branch(MAIN, "tide/merge-blocker")

    assert (facts.unread, facts.partial) == (unread, partial)
    assert other.number in {pull.number for pull in facts.pulls}


def test_an_answer_without_a_page_is_no_answer(github: Sandbox, mergeq: Mergeq) -> None:
    """Q3."""
    fault(github, "graphql.partial", match=LOOK, times=None, args={"path": "repository.pullRequests.nodes"})

    with pytest.raises(Unreadable):
        mergeq.services.github.read_branch(MAIN, "")


def test_a_pull_request_that_github_does_not_give_stays_out_and_the_others_land(
    github: Sandbox, mergeq: Mergeq
) -> None:
    """D8."""
    pulls = [ready(github, "Add fins"), ready(github, "Add wings")]
    fault(github, "graphql.partial", match=PULLS, times=None, args={"path": ["nodes", 0, "statusCheckRollup"]})

    mergeq.sweep_and_work(2)

    [left_out] = [pull for pull in pulls if pull.is_open]
    assert f"<b>Not read from GitHub in full:</b> #{left_out.number}." in mergeq.web.get("/tide").text


@pytest.mark.parametrize("named", ["issues", "ref"], ids=["blockers", "rules"])
def test_nothing_lands_while_blockers_or_rules_are_missing(github: Sandbox, mergeq: Mergeq, named: str) -> None:
    """D8, D11."""
    pull = ready(github)
    below = [named, *(["rules"] if named == "ref" else [])]
    fault(github, "graphql.partial", match=LOOK, times=None, args={"path": ["repository", *below]})
    fault(github, "graphql.partial", match={"route": "graphql:States"}, times=None, args={"path": ["branch0", *below]})

    mergeq.sweep_and_work(2)

    assert pull.is_open
    assert hits(github, MERGE) == 0


@pytest.mark.parametrize("kind", ["RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"])
def test_a_query_that_is_too_large_is_made_smaller(github: Sandbox, mergeq: Mergeq, kind: str) -> None:
    pulls = [ready(github, f"Part {n}") for n in range(5)]
    fault(github, "graphql.partial", match=PULLS, times=2, args={"path": ["nodes", 0], "type": kind})

    facts = mergeq.services.github.read_branch(MAIN, "")

    assert {pull.number for pull in facts.pulls} == {pull.number for pull in pulls}
    assert mergeq.store.recall(["most pulls of acme"], mergeq.services.now()) == ["1"]


def test_a_query_that_stays_too_large_is_named(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github)
    path = ["repository", "pull0"]
    fault(
        github,
        "graphql.partial",
        match={"route": "graphql:LastLook"},
        times=None,
        args={"path": path, "type": "RESOURCE_LIMITS_EXCEEDED"},
    )

    with pytest.raises(Unreadable, match="RESOURCE_LIMITS_EXCEEDED: Something went wrong"):
        mergeq.services.github.last_look(MAIN, pull.number, "")


@pytest.mark.parametrize("trouble", ["http.5xx", "http.reset"])
def test_a_rest_read_is_asked_again_after_an_outage_and_a_write_is_not(
    github: Sandbox, mergeq: Mergeq, trouble: str
) -> None:
    """D6."""
    tip = str(github.world.repo("acme/rocket").git.tip("main"))
    read, write = "GET /repos/{owner}/{repo}/git/commits/{commit_sha}", "POST /repos/{owner}/{repo}/git/refs"
    fault(github, trouble, match={"route": read}, times=2)
    fault(github, trouble, match={"route": write})

    tree = mergeq.services.github.tree_of(MAIN, tip)
    with pytest.raises(Refused):
        mergeq.services.github.create_ref(MAIN, "next", tip)

    assert tree == github.world.repo("acme/rocket").git.commit(tip).tree
    assert (hits(github, read), hits(github, write)) == (3, 1)


# without limits


def test_a_github_that_tells_no_limits_is_used_freely_and_that_is_said_once(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], capsys: pytest.CaptureFixture[str]
) -> None:
    """Q84."""
    fault(github, "limit.none")
    one, other = start_mergeq(), start_mergeq()
    pull = ready(github)

    one.sweep_and_work(2)
    other.sweep_and_work()

    assert pull.merged
    said = capsys.readouterr().err
    assert said.count("tells of no limit for graphql") == 1
    assert said.count("tells of no limit for core") == 1
    assert [(spent.limit, spent.remaining) for spent in one.store.all_spent()] == [(None, None)] * 2
    assert points(one, "mergeq_github_calls_total") > 0


def test_an_error_page_without_headers_is_no_sign_that_there_are_no_limits(
    mergeq: Mergeq, github: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    fault(github, "limit.none")
    fault(github, "graphql.5xx", times=None)

    with pytest.raises(Unreadable):
        mergeq.services.github.read_branch(MAIN, "")

    assert "tells of no limit" not in capsys.readouterr().err


# what people see


def test_the_queue_page_says_that_github_makes_it_wait(github: Sandbox, mergeq: Mergeq, clock: ManualClock) -> None:
    fault(github, "limit.secondary", match=LOOK, args={"retry_after": 900})
    with pytest.raises(HeldBack):
        mergeq.services.github.read_branch(MAIN, "")

    page = mergeq.web.get("/tide").text
    clock.advance(901)

    assert "GitHub&#39;s limit makes everything wait until" in page.replace("GitHub's", "GitHub&#39;s")
    assert SECONDARY in page
    assert SECONDARY not in mergeq.web.get("/tide").text


def test_the_queue_page_says_who_waits_when_little_is_left(github: Sandbox, mergeq: Mergeq) -> None:
    spend_all_but(github, 960)
    mergeq.services.github.on(Purpose.LANDING).read_branch(MAIN, "")

    page = mergeq.web.get("/tide").text

    assert "limit makes sweeps wait until" in page
    assert "of 5,000 graphql points are left" in page


def test_metrics_show_what_is_left_and_what_was_used_for_what(github: Sandbox, mergeq: Mergeq) -> None:
    ready(github)
    mergeq.sweep_and_work()
    fault(github, "limit.secondary", match=LOOK, args={"retry_after": 900})
    with pytest.raises(HeldBack):
        mergeq.services.github.read_branch(MAIN, "")

    text = mergeq.web.get("/metrics").text

    for line in (
        'mergeq_github_limit{owner="*",resource="graphql"} 5000.0',
        'mergeq_github_remaining{owner="*",resource="graphql"} 49',
        'mergeq_github_used{owner="*",purpose="landing",resource="core"} 2.0',
        'mergeq_github_calls_total{kind="write",owner="*",purpose="landing",resource="core"} 2.0',
        'mergeq_github_pauses_total{limit="secondary",owner="*"} 1.0',
        'mergeq_github_paused_until{owner="*"}',
    ):
        assert line in text


def test_an_organization_with_the_app_has_limits_of_its_own(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], tmp_path: Path, clock: ManualClock
) -> None:
    github.world.create_repo("other/thing", files=FILES)
    app = github.world.register_app(
        "queue", permissions=dict.fromkeys(("contents", "pull_requests", "issues"), "write")
    )
    for owner in ("acme", "other"):
        github.world.install_app(app, owner)
    key = tmp_path / "app.pem"
    key.write_text(app.pem)
    mergeq = start_mergeq(github_token="", github_app_id=str(app.app.id), github_app_key_file=str(key))
    client = mergeq.services.github
    fault(github, "limit.secondary", match=LOOK)

    with pytest.raises(HeldBack):
        client.read_branch(MAIN, "")
    facts = client.read_branch(Branch("other", "thing", "main"), "")

    assert facts.pulls == ()
    assert mergeq.store.holds(clock.now()).keys() == {"acme"}
    assert {spent.account for spent in mergeq.store.all_spent()} == {"acme", "other"}
    assert "limit for acme makes everything wait" in mergeq.web.get("/tide").text


def test_a_refusal_for_another_reason_makes_nobody_wait(mergeq: Mergeq) -> None:
    meter = mergeq.services.github._wire.meter

    assert meter.hold_for("acme", 403, {"x-ratelimit-remaining": "4000"}, "Resource not accessible") is None
    assert meter.hold_for("acme", 405, {}, 'Required status check "secondary rate limit" is expected.') is None
    assert meter.hold_for("acme", 502, {"retry-after": "5"}, "") is None
    assert mergeq.store.hold("acme") is None
