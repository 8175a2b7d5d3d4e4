"""From a sweep to a landing, or to the reason why not: real Redis, a real RQ worker, HTTP and git."""

import json
import threading
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis

from mergeq import execute, jobs, sync
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch, Method
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Pull, Restrictions
from mergeq.store import ALL, LEASE_SECONDS, Intent, Lease, SavedPool, Store, held
from tests.conftest import CONFIG, FILES, READY, Mergeq
from tests.shell.quirky import STAGED

MAIN = Branch("acme", "rocket", "main")
WAYS = [("tide/squash", 1), ("tide/rebase", 1), ("", 2)]


def status_of(github: Sandbox, repo: str, sha: str) -> tuple[str, str]:
    found = {s.context: (s.state.value, s.description or "") for s in github.world.repo(repo).latest_statuses(sha)}
    return found["tide"]


def fault(github: Sandbox, name: str, **details: object) -> None:
    answer = github.app.test_client().post("/_sim/faults", json={"id": name, **details})
    assert answer.status_code < 300, answer.text


def hits(github: Sandbox, route: str) -> int:
    found: dict[str, int] = github.app.test_client().get("/_sim/hits").get_json()
    return sum(count for name, count in found.items() if route in name)


def test_a_ready_pull_request_lands_after_one_sweep(github: Sandbox, mergeq: Mergeq) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()

    mergeq.sweep_and_work()

    assert pull.merged
    repo = github.world.repo("acme/rocket")
    assert repo.git.tip("main") == pull.merge_commit_sha
    record = mergeq.history()[0]
    assert (record.outcome, record.landed_sha) == (Outcome.LANDED, pull.merge_commit_sha)
    assert record.landed_tree == repo.git.commit(str(pull.merge_commit_sha)).tree
    assert record.tested_tree is None


@pytest.mark.parametrize(("label", "parents"), WAYS, ids=["squash by label", "rebase by label", "merge by default"])
def test_the_method_is_the_one_asked_for(github: Sandbox, mergeq: Mergeq, label: str, parents: int) -> None:
    labels = (*READY, label) if label else READY
    commits = [{"a.txt": "1\n"}, {"b.txt": "2\n"}]
    pull = github.world.open_pull("acme/rocket", title="Two steps", commits=commits, labels=labels)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()

    mergeq.sweep_and_work()

    git = github.world.repo("acme/rocket").git
    landed = git.commit(str(pull.merge_commit_sha))
    assert len(landed.parents) == parents
    if label == "tide/squash":
        assert landed.headline == "Two steps (#1)"
    if label == "tide/rebase":
        assert len(git.commit(landed.parents[0]).parents) == 1


def test_the_configured_method_of_a_repository_is_used(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.create_repo("acme/launchpad", files=FILES)
    pull = github.world.open_pull("acme/launchpad", title="Rebase me", files={"a.txt": "1\n"}, labels=READY)
    github.settle()

    mergeq.sweep_and_work()

    assert len(github.world.repo("acme/launchpad").git.commit(str(pull.merge_commit_sha)).parents) == 1


def test_pull_requests_land_one_at_a_time_in_one_job(github: Sandbox, mergeq: Mergeq) -> None:
    pulls = [
        github.world.open_pull("acme/rocket", title=f"Part {n}", files={f"part{n}.txt": "x\n"}, labels=READY)
        for n in range(3)
    ]
    github.settle()

    mergeq.sweep_and_work()

    assert [record.targets[0].number for record in reversed(mergeq.history())] == [pull.number for pull in pulls]
    assert all(pull.merged for pull in pulls)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"labels": ("lgtm",)}, ("pending", "Not mergeable. Needs approved label.")),
        (
            {"labels": (*READY, "do-not-merge/hold")},
            ("pending", "Not mergeable. Should not have do-not-merge/hold label."),
        ),
        ({"draft": True}, ("pending", "Not mergeable. PR is a draft.")),
        ({"files": {"engine.txt": "BROKEN\n"}}, ("pending", "Not mergeable. Job ci/test has not succeeded.")),
        (
            {"labels": (*READY, "tide/squash", "tide/rebase")},
            ("error", "Not mergeable. PR has conflicting merge method override labels"),
        ),
    ],
    ids=["a label is missing", "a hold label", "a draft", "CI is red", "two method labels"],
)
def test_what_is_not_ready_stays_open_and_says_why(
    github: Sandbox, mergeq: Mergeq, spoil: dict[str, object], said: tuple[str, str]
) -> None:
    asked: dict[str, object] = {"title": "Add fins", "files": {"fins.txt": "four\n"}, "labels": READY, **spoil}
    pull = github.world.open_pull("acme/rocket", **asked)  # type: ignore[arg-type]
    github.settle()

    mergeq.sweep_and_work(2)

    assert pull.is_open
    assert status_of(github, "acme/rocket", pull.head_sha) == said
    assert mergeq.history() == []
    assert hits(github, "/merge") == 0


def test_a_conflict_is_named_once_github_knows_it(github: Sandbox, mergeq: Mergeq) -> None:
    pull = github.world.open_pull("acme/rocket", title="Two engines", files={"engine.txt": "two\n"}, labels=READY)
    github.world.push("acme/rocket", "main", {"engine.txt": "three\n"})
    github.settle()

    mergeq.sweep_and_work(3)

    assert pull.is_open
    assert status_of(github, "acme/rocket", pull.head_sha) == ("error", "Not mergeable. PR has a merge conflict.")


def test_a_status_is_written_once_and_not_at_every_sweep(github: Sandbox, mergeq: Mergeq) -> None:
    """T11.276, T11.277, T11.279."""
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=("lgtm",))
    github.settle()

    mergeq.sweep_and_work(3)

    assert hits(github, "POST /repos/{owner}/{repo}/statuses") == hits(github, "/statuses/") == 1


@pytest.mark.parametrize("before", [None, "pending", "success"])
def test_our_own_context_is_made_green_right_before_merging_where_it_is_not(
    github: Sandbox, mergeq: Mergeq, before: str | None
) -> None:
    """T11.221, T11.278."""
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    if before:
        github.world.set_status("acme/rocket", pull.head_sha, context="tide", state=before)
    github.settle()

    mergeq.sweep_and_work()

    assert pull.merged
    assert status_of(github, "acme/rocket", pull.head_sha)[0] == "success"
    assert hits(github, "/statuses/") == (before != "success")


def test_an_open_blocker_stops_the_branch_until_it_is_closed(github: Sandbox, mergeq: Mergeq) -> None:
    issue = github.world.open_issue("acme/rocket", "freeze branch:main", labels=["tide/merge-blocker"])
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()

    mergeq.sweep_and_work(2)
    said = status_of(github, "acme/rocket", pull.head_sha)
    github.world.close_issue(issue)
    mergeq.sweep_and_work()

    assert said == ("pending", f"Not mergeable. Merging is blocked by issue {issue.number}.")
    assert pull.merged


def saved_and_claimed(github: Sandbox, mergeq: Mergeq) -> tuple[Pull, Lease, SavedPool]:
    """A ready pull request, the lease of its branch, and the decision to land it."""
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()
    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease is not None
    return pull, lease, sync.sync(mergeq.services, lease)


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda world, pull: world.push_to_pull(pull, {"fins.txt": "five\n"}), "its head is now"),
        (lambda world, pull: world.remove_label(pull, "lgtm"), "needs the label lgtm"),
        (lambda world, pull: world.add_label(pull, "do-not-merge/hold"), "not to have the label do-not-merge/hold"),
        (lambda world, pull: world.add_label(pull, "tide/squash"), "its merge method is now squash, not merge"),
        (lambda world, pull: world.set_draft(pull, True), "it is a draft"),
        (lambda world, pull: world.close_pull(pull), "it is closed or merged"),
        (
            lambda world, pull: world.set_status("acme/rocket", pull.head_sha, context="e2e", state="failure"),
            "e2e failed",
        ),
        (
            lambda world, _: world.open_issue("acme/rocket", "stop", labels=["tide/merge-blocker"]),
            "blocked by issue #2",
        ),
    ],
    ids=[
        "pushed to",
        "lgtm taken away",
        "held",
        "method changed",
        "made a draft",
        "closed",
        "a context went red",
        "a freeze",
    ],
)
def test_what_changed_after_the_decision_stops_the_landing(
    github: Sandbox, mergeq: Mergeq, meanwhile: Callable[..., object], said: str
) -> None:
    pull, lease, saved = saved_and_claimed(github, mergeq)
    meanwhile(github.world, pull)

    record = execute.land(mergeq.services, lease, saved)

    assert record is not None
    assert record.outcome is Outcome.STALE
    assert said in record.err
    assert hits(github, "/merge") == 0
    assert not pull.merged


def test_a_retargeted_pull_request_does_not_land_on_its_old_base(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.create_ref("acme/rocket", "refs/heads/next", str(github.world.repo("acme/rocket").git.tip("main")))
    pull, lease, saved = saved_and_claimed(github, mergeq)
    github.world.retarget(pull, "next")

    record = execute.land(mergeq.services, lease, saved)

    assert record is not None
    told = f"failed merging [{pull.number}]: #{pull.number}: its base is now next"
    assert (record.outcome, record.err) == (Outcome.STALE, told)


def test_what_github_refuses_stands_back_and_lets_the_next_one_land(github: Sandbox, mergeq: Mergeq) -> None:
    """T11.223."""
    stuck = github.world.open_pull("acme/rocket", title="Stuck", files={"a.txt": "1\n"}, labels=READY)
    fine = github.world.open_pull("acme/rocket", title="Fine", files={"b.txt": "2\n"}, labels=READY)
    fault(github, "merge.base_modified", match={"repo": "acme/rocket", "pr": stuck.number}, times=6)
    github.settle()

    mergeq.sweep_and_work()
    state, text = status_of(github, "acme/rocket", stuck.head_sha)

    assert fine.merged
    assert stuck.is_open
    ends = [record.outcome for record in mergeq.history()]
    assert ends == [Outcome.REFUSED, Outcome.LANDED, Outcome.REFUSED]  # once more, for the base had moved
    assert state == "error"
    assert text.startswith("Not mergeable. GitHub refused: Base branch was modified.")
    told = f"failed merging [{stuck.number}]: #{stuck.number}: base branch was modified: Base branch was modified."
    assert mergeq.history()[2].err.startswith(told)


@pytest.mark.parametrize("role", ["write", "admin"])
def test_where_others_alone_may_push_nothing_is_asked_for(github: Sandbox, mergeq: Mergeq, role: str) -> None:
    """D19: an administrator's token would pass."""
    pulls = [
        github.world.open_pull("acme/rocket", title=f"Fin {n}", files={f"{n}.txt": "1\n"}, labels=READY)
        for n in range(3)
    ]
    github.world.users.set_role("mergeq-bot", role)
    github.world.protect("acme/rocket", "main", restrictions=Restrictions(users=("somebody-else",)))
    github.settle()

    mergeq.sweep_and_work(2)

    assert (hits(github, "/merge"), mergeq.history()) == (0, [])
    for pull in pulls:
        told = status_of(github, "acme/rocket", pull.head_sha)[1]
        assert told == "Not mergeable. Only somebody-else may push to the branch."


@pytest.mark.parametrize("enforced", [True, False], ids=["nobody may pass it by", "our token could pass it by"])
@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"required_reviews": 1}, "Not mergeable. Protection requires approving reviews."),
        ({"required_contexts": ["e2e"]}, "Not mergeable. Job e2e has not succeeded."),
        (
            {"required_linear_history": True},
            "Not mergeable. Protection requires a linear history, which merge would break.",
        ),
        (
            {"required_contexts": ["ci/test"], "strict": True},
            "Not mergeable. Protection requires it to be up to date with main.",
        ),
    ],
    ids=["a review", "a context nobody configured here", "a linear history", "up to date"],
)
def test_github_s_own_protection_is_kept_as_if_there_were_no_way_round_it(
    github: Sandbox, mergeq: Mergeq, rule: dict[str, object], said: str, enforced: bool
) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.world.protect("acme/rocket", "main", enforce_admins=enforced, **rule)  # type: ignore[arg-type]
    github.settle()

    mergeq.sweep_and_work(2)

    assert pull.is_open
    assert status_of(github, "acme/rocket", pull.head_sha)[1] == said
    assert hits(github, "/merge") == 0


def test_one_that_turns_out_to_conflict_does_not_hold_up_the_next(github: Sandbox, mergeq: Mergeq) -> None:
    pulls = [
        github.world.open_pull("acme/rocket", title=f"Engine {n}", files={"engine.txt": f"{n}\n"}, labels=READY)
        for n in range(2)
    ]
    fine = github.world.open_pull("acme/rocket", title="Fine", files={"b.txt": "2\n"}, labels=READY)
    github.settle()

    mergeq.sweep_and_work()

    assert [pull.merged for pull in (*pulls, fine)] == [True, False, True]


def test_a_landing_whose_worker_died_is_found_and_recorded_once(github: Sandbox, mergeq: Mergeq) -> None:
    pull, lease, saved = saved_and_claimed(github, mergeq)
    base = github.world.repo("acme/rocket").git.tip("main")
    intent = Intent(saved, pull.number, pull.head_sha, Method.MERGE, str(base), mergeq.services.now())
    mergeq.store.intend(lease, intent)
    github.world.merge_pull(pull, method="merge", by="mergeq-bot")

    mergeq.sweep_and_work(4)

    assert [record.outcome for record in mergeq.history()] == [Outcome.LANDED]
    assert mergeq.history()[0].landed_sha == pull.merge_commit_sha
    assert mergeq.store.intent(MAIN) is None


def test_a_landing_that_was_never_sent_is_closed_and_then_done(github: Sandbox, mergeq: Mergeq) -> None:
    pull, lease, saved = saved_and_claimed(github, mergeq)
    base = github.world.repo("acme/rocket").git.tip("main")
    intent = Intent(saved, pull.number, pull.head_sha, Method.MERGE, str(base), mergeq.services.now())
    mergeq.store.intend(lease, intent)

    mergeq.sweep_and_work(4)

    assert [record.outcome for record in mergeq.history()] == [Outcome.LANDED, Outcome.STALE]
    assert pull.merged


def test_a_worker_holds_on_to_its_branch_for_as_long_as_it_is_at_it(
    mergeq: Mergeq, clock: ManualClock, clean_redis: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    mergeq.store.send([MAIN], clock.now())
    monkeypatch.setattr(jobs, "_BEAT_SECONDS", 0.01)

    with held(mergeq.store, MAIN, clock.now()) as lease:
        assert lease is not None
        clock.advance(LEASE_SECONDS - 1)
        with jobs._held_on_to(mergeq.services, str(MAIN), partial(mergeq.store.extend, lease)):
            for _ in range(1000):
                if clean_redis.zscore("mergeq:working", str(MAIN)) == clock.now() + LEASE_SECONDS:
                    break
                threading.Event().wait(0.01)

        assert mergeq.store.overdue(clock.now() + LEASE_SECONDS - 1, patience=0.0) == []
        assert mergeq.store.overdue(clock.now() + LEASE_SECONDS, patience=0.0) == [MAIN]


@pytest.mark.parametrize(("switch", "noted"), [("http.5xx", "try_again"), ("limit.secondary", "put_off")])
def test_a_branch_that_waits_is_put_off_before_its_lease_is_given_back(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], monkeypatch: pytest.MonkeyPatch, switch: str, noted: str
) -> None:
    """Or a worker that is killed between the two would leave a branch that nobody looks at again."""
    mergeq = start_mergeq(STAGED)
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()
    fault(github, switch, match={"route": "POST /repos/{owner}/{repo}/git/refs"}, after=1)
    put_off, marked = getattr(Store, noted), list[bool]()

    def note(store: Store, *args: Any) -> Any:
        marked.append(MAIN in store.all_marked())
        return put_off(store, *args)

    monkeypatch.setattr(Store, noted, note)
    mergeq.sweep_and_work()

    assert (pull.is_open, len(marked) > 0, all(marked)) == (True, True, True)


def test_a_branch_that_cannot_be_read_keeps_its_page_and_says_so(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=("lgtm",))
    github.settle()
    mergeq.sweep_and_work()
    fault(github, "graphql.5xx", times=100, args={"code": 502})

    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    mergeq.services.queue.enqueue(jobs.turn, str(MAIN))
    mergeq.work()

    saved = mergeq.store.pool(MAIN)
    assert saved is not None
    assert saved.error == "acme/rocket:main could not be read: GitHub answered 502"
    assert [standing.pull.title for standing in saved.pool.standings] == ["Add fins"]


def test_a_head_without_any_ci_result_waits_unless_allowed(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    github.world.create_repo("acme/paper", files={"README.md": "no CI here\n"})
    pull = github.world.open_pull("acme/paper", title="Words", files={"a.md": "x\n"}, labels=READY)
    github.settle()

    start_mergeq().sweep_and_work()
    said = status_of(github, "acme/paper", pull.head_sha)
    start_mergeq(
        CONFIG + "mergeq: {queue: {orgs: {acme: {repos: {paper: {empty_contexts: allow}}}}}}\n"
    ).sweep_and_work()

    assert said == ("pending", "Not mergeable. No CI has reported on this commit.")
    assert pull.merged


def test_a_repository_outside_the_queries_is_left_alone(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.create_repo("other/thing", files=FILES)
    pull = github.world.open_pull("other/thing", title="Mine", files={"a.txt": "1\n"}, labels=READY)
    github.settle()

    mergeq.sweep_and_work()

    assert pull.is_open
    assert "tide" not in {status.context for status in github.world.repo("other/thing").latest_statuses(pull.head_sha)}


def test_nothing_in_redis_is_pickled_and_no_job_carries_more_than_a_name(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()
    mergeq.store.mark_parts([MAIN], [ALL], 0.0)
    jobs.tick_once(mergeq.services)

    connection: Any = mergeq.services.queue.connection
    jobs_seen = [connection.hgetall(f"rq:job:{job_id}") for job_id in mergeq.services.queue.job_ids]

    assert {json.loads(zlib.decompress(job[b"data"]))[0] for job in jobs_seen} == {
        "mergeq.jobs.ask_again",
        "mergeq.jobs.sweep",
        "mergeq.jobs.turn",
    }
    assert not any(b"lgtm" in value for job in jobs_seen for value in job.values())


def test_a_red_context_that_its_re_run_takes_away_for_a_moment_is_not_forgotten(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()
    github.world.set_status("acme/rocket", pull.head_sha, context="e2e", state="failure")
    mergeq.sweep_and_work()
    statuses = github.world.repo("acme/rocket").statuses[pull.head_sha]
    statuses[:] = [status for status in statuses if status.context != "e2e"]
    mergeq.sweep_and_work(2)
    waited = pull.is_open
    github.world.set_status("acme/rocket", pull.head_sha, context="e2e", state="success")
    mergeq.sweep_and_work()

    assert waited
    assert pull.merged
