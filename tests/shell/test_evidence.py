"""What was tested is not tested again, and what is wrong in a batch is found and named."""

from collections.abc import Callable

import pytest

from mergeq import execute, sync
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import CiConfig, ManualClock, Sandbox
from mergeq.sandbox.records import Pull
from mergeq.store import ALL, RUNS
from tests.conftest import CONFIG, READY, Mergeq

MAIN = Branch("acme", "rocket", "main")
STAGED = (
    CONFIG.replace("  merge_method:", "  context_options: {required-contexts: [ci/test]}\n  merge_method:")
    + "mergeq: {queue: {retest: staging, slots: 1, landing: pull-request}}\n"
)


@pytest.fixture
def mergeq(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    return start_mergeq(STAGED)


def ready(github: Sandbox, *names: str, content: str = "x\n") -> list[Pull]:
    """Pull requests whose heads lack the tip of the base, so that their own CI proves nothing."""
    pulls = [
        github.world.open_pull("acme/rocket", title=name, files={f"{name}.txt": content}, labels=READY)
        for name in names
    ]
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()
    return pulls


def work(github: Sandbox, mergeq: Mergeq, minutes: int = 1) -> None:
    for _ in range(minutes):
        mergeq.sweep_and_work()
        github.settle()


def outcomes(mergeq: Mergeq) -> list[tuple[str, str, list[int]]]:
    return [(r.action, r.outcome.value, [t.number for t in r.targets]) for r in reversed(mergeq.history())]


def staged(github: Sandbox) -> list[str]:
    """The commits that staging refs have, the newest last."""
    repo = github.world.repo("acme/rocket")
    found = {sha for name, sha in repo.git.branches().items() if name.startswith("mergeq/")}
    return sorted(found, key=repo.moved_at.__getitem__)


def made(github: Sandbox) -> int:
    """How many commits were asked for."""
    return sum(count for request, count in github.hits.items() if "POST" in request and "git/commits" in request)


def told(mergeq: Mergeq, number: int) -> dict[str, str]:
    """The first reason of a pull request, as its page has it."""
    reasons = mergeq.web.get(f"/pr/acme/rocket/{number}.json").get_json()["reasons"]
    return dict(reasons[0]) if reasons else {}


def test_the_culprit_of_a_red_batch_is_found_and_named_and_everybody_else_lands(
    github: Sandbox, mergeq: Mergeq
) -> None:
    """T12.8, T12.9, D24: halves lead to it, two red runs of it alone convict it."""
    github.world.repo("acme/rocket").ci = CiConfig(pull_requests=False)
    pulls = [*ready(github, "fins", "hull", "tank"), *ready(github, "pump", content="BROKEN\n")]
    for pull in pulls:
        github.world.set_status(pull.repo, pull.head_sha, context="ci/test", state="success")

    work(github, mergeq, 12)

    assert [pull.merged for pull in pulls] == [True, True, True, False]
    assert [one for one in outcomes(mergeq) if one[1] == "RED"] == [
        ("TRIGGER_BATCH", "RED", [1, 2, 3, 4]),
        ("TRIGGER", "RED", [4]),
    ]
    assert ("MERGE_BATCH", "LANDED", [1, 2]) in outcomes(mergeq)
    reason = told(mergeq, 4)
    assert reason["observed"].startswith("ci/test failed on ")
    assert "(mergeq/main-" in reason["observed"]
    assert reason["observed"].endswith("2 times")
    assert reason["remedy"].startswith("push a fix, or have mergeq retry it")


def test_what_is_tested_next_is_built_on_the_commits_that_are_there(github: Sandbox, mergeq: Mergeq) -> None:
    """The first half of a red batch is a commit of its series: only a ref is made for it."""
    github.world.repo("acme/rocket").ci = CiConfig(pull_requests=False)
    pulls = [*ready(github, "fins", "hull"), *ready(github, "tank", "pump", content="BROKEN\n")]
    for pull in pulls:
        github.world.set_status(pull.repo, pull.head_sha, context="ci/test", state="success")
    work(github, mergeq)
    before = made(github)

    work(github, mergeq)

    assert made(github) == before
    whole, half = staged(github)
    assert github.world.repo("acme/rocket").git.is_ancestor(half, whole)


def test_a_head_that_holds_the_base_and_is_green_lands_without_another_test(github: Sandbox, mergeq: Mergeq) -> None:
    """T4.31: its own CI has tested the very tree that lands."""
    pull = github.world.open_pull("acme/rocket", title="Fins", files={"fins.txt": "x\n"}, labels=READY)
    github.settle()

    work(github, mergeq)

    assert pull.merged
    assert staged(github) == []
    record = mergeq.history()[0]
    assert record.tested_tree == record.landed_tree == github.world.repo(pull.repo).git.commit(pull.head_sha).tree


def test_a_head_without_what_staged_commits_are_asked_for_is_staged(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    """T0.6: e2e runs on staged commits alone."""
    mergeq = start_mergeq(STAGED.replace("slots: 1", "staging_contexts: [e2e]"))
    pull = github.world.open_pull("acme/rocket", title="Fins", files={"fins.txt": "x\n"}, labels=READY)
    github.settle()

    work(github, mergeq)

    assert pull.is_open
    assert len(staged(github)) == 1


def test_a_green_batch_that_lost_a_member_lands_untested_once_it_is_back(github: Sandbox, mergeq: Mergeq) -> None:
    """T4.21 and T12.10 repaired: a result is good for its tree, whatever happened meanwhile."""
    first, second = ready(github, "fins", "hull")
    mergeq.sweep_and_work()
    github.settle()
    tested = staged(github)
    github.world.add_label(second, "do-not-merge/hold")
    github.world.repo("acme/rocket").ci = CiConfig(branches=("main",))  # nothing else is tested from here on
    mergeq.sweep_and_work()
    assert not first.merged

    github.world.remove_label(second, "do-not-merge/hold")
    work(github, mergeq, 2)

    assert [first.merged, second.merged] == [True, True]
    assert ("MERGE_BATCH", "LANDED", [1, 2]) in outcomes(mergeq)
    assert set(tested) <= {mergeq.store.runs(MAIN)[0].staged_sha}


@pytest.mark.parametrize(
    ("state", "said", "remedy"),
    [
        pytest.param("error", "ci/test ended with an error", "build pushes to mergeq/**", id="infrastructure"),
        pytest.param("failure", "ci/test failed", "push a fix", id="failure"),
    ],
)
def test_only_a_failure_is_held_against_a_pull_request(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock, state: str, said: str, remedy: str
) -> None:
    (pull,) = ready(github, "fins")
    github.world.repo("acme/rocket").ci = None
    work(github, mergeq)
    for _ in range(3):
        for sha in staged(github):
            github.world.set_status("acme/rocket", sha, context="ci/test", state=state)
        clock.advance(120)
        work(github, mergeq)

    assert pull.is_open
    reason = told(mergeq, 1)
    assert reason["observed"].startswith(said)
    assert remedy in reason["remedy"]


def test_nobody_is_held_responsible_for_a_base_that_is_red_and_what_mends_it_lands(
    github: Sandbox, mergeq: Mergeq
) -> None:
    """D24: the base is tested by itself before anybody is convicted."""
    github.world.repo("acme/rocket").ci = CiConfig(pull_requests=False)
    (fins,) = ready(github, "fins")
    mend = github.world.open_pull("acme/rocket", title="Mend", files={"crack.txt": "mended\n"}, labels=READY)
    github.world.push("acme/rocket", "main", {"crack.txt": "BROKEN\n"})
    for pull in (fins, mend):
        github.world.set_status(pull.repo, pull.head_sha, context="ci/test", state="success")
    github.settle()

    work(github, mergeq, 12)

    assert not mend.merged  # it conflicts with what broke the base
    assert fins.is_open
    assert "it is not its fault" in told(mergeq, 1)["observed"]
    assert told(mergeq, 1)["remedy"].startswith("mend the base")
    github.world.push("acme/rocket", "main", {"crack.txt": "mended\n"})
    work(github, mergeq, 4)
    assert fins.merged


def test_what_was_red_is_tested_again_on_a_commit_of_its_own(github: Sandbox, mergeq: Mergeq) -> None:
    """D24: what CI said of a commit stays with it, so a second opinion needs a second commit."""
    (pull,) = ready(github, "fins")
    github.world.repo("acme/rocket").ci = None
    work(github, mergeq)
    (first,) = staged(github)
    github.world.set_status("acme/rocket", first, context="ci/test", state="failure")

    work(github, mergeq)

    git = github.world.repo("acme/rocket").git
    mine = [sha for sha in staged(github) if pull.head_sha in git.commit(sha).parents]
    assert len(mine) == 2
    assert git.commit(mine[0]).tree == git.commit(mine[1]).tree
    for sha in staged(github):
        if sha != first:
            github.world.set_status("acme/rocket", sha, context="ci/test", state="success")
    work(github, mergeq)
    assert pull.merged


def test_a_strict_branch_takes_what_was_staged_by_a_push(github: Sandbox, start_mergeq: Callable[..., Mergeq]) -> None:
    """D5: the staged commit holds the base, which is all that GitHub asks of a push; a merge would need an update."""
    mergeq = start_mergeq(STAGED.replace("landing: pull-request", "landing: auto"))
    github.world.repo("acme/rocket").ci = CiConfig(pull_requests=False)
    pulls = ready(github, "fins", "hull")
    github.world.protect("acme/rocket", "main", required_contexts=["ci/test"], strict=True)
    for pull in pulls:
        github.world.set_status(pull.repo, pull.head_sha, context="ci/test", state="success")

    work(github, mergeq, 3)

    assert all(pull.merged for pull in pulls)
    assert "by fast-forward" in mergeq.history()[0].way or mergeq.history()[0].way.startswith("fast-forward")
    assert sum(count for request, count in github.hits.items() if "update-branch" in request) == 0


def test_a_test_that_turns_red_again_before_the_landing_lands_nothing(github: Sandbox, mergeq: Mergeq) -> None:
    """D23, Q39: what was green when it was decided is looked at once more."""
    (pull,) = ready(github, "fins")
    mergeq.sweep_and_work()
    github.settle()
    (sha,) = staged(github)
    mergeq.store.mark_parts([MAIN], [ALL, RUNS], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease is not None
    saved = sync.sync(mergeq.services, lease)
    github.world.set_status("acme/rocket", sha, context="ci/test", state="failure")

    record = execute.land(mergeq.services, lease, saved)

    assert (saved.action, record.outcome, pull.is_open) == ("MERGE", Outcome.STALE, True)
    assert f"{sha[:7]} is not green any more: ci/test failed" in record.err
