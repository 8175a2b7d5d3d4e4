"""What GitHub and people do to staged runs: what is tested, what lands of it, and what people are shown."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from mergeq import execute, sync
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Pull
from mergeq.store import ALL
from tests.conftest import READY, Mergeq
from tests.quirks import Quirk
from tests.shell import quirky
from tests.shell.quirky import STAGED, read, reasons, status_of, warned, work

MAIN = Branch("acme", "rocket", "main")


@pytest.fixture
def mergeq(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    return start_mergeq(STAGED)


def ready(github: Sandbox, title: str = "Add fins", **more: Any) -> Pull:
    """A pull request that is ready, and behind its base, so that what its own CI said is not enough."""
    pull = quirky.ready(github, title, **more)
    github.world.push("acme/rocket", "main", {f"beside {title}.txt": "x\n"})
    github.settle()
    return pull


def staged(github: Sandbox) -> dict[str, str]:
    """The staging and scratch refs that there are, with their tips."""
    branches = github.world.repo("acme/rocket").git.branches()
    return {name: sha for name, sha in branches.items() if name.startswith("mergeq")}


def outcomes(mergeq: Mergeq) -> list[str]:
    """How everything ended, oldest first."""
    return [record.outcome.value for record in reversed(mergeq.history())]


@pytest.mark.parametrize(
    ("switch", "args", "said"),
    [
        pytest.param("checks.flip", {"at": 1000}, "ci/test failed", marks=pytest.mark.quirk("Q39")),
        pytest.param("branch.delete", {"branch": "main"}, "does not exist on GitHub", marks=pytest.mark.quirk("Q42")),
        pytest.param("pr.retarget", {"base": "next"}, "its base is now next", marks=pytest.mark.quirk("Q43")),
        pytest.param("pr.force_push", {}, "its head is now", marks=pytest.mark.quirk("Q44")),
        pytest.param("pr.close", {}, "it is closed or merged", marks=pytest.mark.quirk("Q45")),
        pytest.param("pr.draft", {}, "it is a draft", marks=pytest.mark.quirk("Q45")),
        pytest.param("branch.enable_mq", {}, "merge queue", marks=pytest.mark.quirk("Q46")),
        pytest.param("push.direct", {}, "not at the tested", marks=pytest.mark.quirk("Q47")),
        pytest.param("policy.linear", {}, "without merge commits", marks=pytest.mark.quirk("Q50")),
        pytest.param("policy.last_push", {}, "approving review", marks=pytest.mark.quirk("Q90")),
    ],
)
def test_a_green_run_does_not_land_what_has_changed_since(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock, switch: str, args: dict[str, Any], said: str
) -> None:
    github.world.create_ref("acme/rocket", "refs/heads/next", str(github.world.repo("acme/rocket").git.tip("main")))
    pull = ready(github)
    work(github, mergeq)
    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease is not None
    saved = sync.sync(mergeq.services, lease)
    quirk.on(switch, pr=pull.number, **args)
    clock.advance(1)

    record = execute.land(mergeq.services, lease, saved)

    assert (saved.action, record.outcome, bool(saved.run)) == ("MERGE", Outcome.STALE, True)
    assert said in record.err
    assert (pull.merged, quirk.requests("{pull_number}/merge")) == (False, 0)


@pytest.mark.parametrize(
    ("switch", "args", "said"),
    [
        pytest.param("checks.flip", {"at": 1000}, "Job ci/test has not succeeded.", marks=pytest.mark.quirk("Q39")),
        pytest.param("pr.force_push", {}, "lgtm was given to an earlier head", marks=pytest.mark.quirk("Q44")),
        pytest.param("pr.draft", {}, "PR is a draft.", marks=pytest.mark.quirk("Q45")),
        pytest.param("policy.linear", {}, "Protection requires a linear history", marks=pytest.mark.quirk("Q50")),
    ],
)
def test_a_run_whose_member_may_not_land_any_more_is_given_up_with_its_ref(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock, switch: str, args: dict[str, Any], said: str
) -> None:
    pull = ready(github)
    mergeq.sweep_and_work()
    before = staged(github)
    quirk.on(switch, pr=pull.number, **args)
    clock.advance(1)

    work(github, mergeq, 2)

    assert (pull.is_open, len(before), staged(github)) == (True, 1, {})
    assert outcomes(mergeq) == ["TRIGGERED", "ABANDONED"]
    assert mergeq.history()[0].err == "#1 left the pool or changed"
    assert status_of(github, pull).startswith(f"Not mergeable. {said}")


@pytest.mark.quirk("Q45")
def test_what_is_closed_while_it_is_tested_and_opened_again_lands_as_tested(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    mergeq.sweep_and_work()
    quirk.on("pr.close", pr=pull.number)
    work(github, mergeq)
    closed = staged(github)
    quirk.on("pr.reopen", pr=pull.number)
    work(github, mergeq, 3)

    assert (closed, pull.merged) == ({}, True)
    assert [name for name in outcomes(mergeq) if name != "TRIGGERED"] == ["ABANDONED", "LANDED"]
    assert mergeq.history()[0].tested_tree == mergeq.history()[0].landed_tree


@pytest.mark.quirk("Q43")
def test_what_gets_another_base_while_it_is_tested_is_tested_on_that(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    git = github.world.repo("acme/rocket").git
    github.world.create_ref("acme/rocket", "refs/heads/next", str(git.tip("main")))
    base = github.world.push("acme/rocket", "next", {"next.txt": "x\n"})
    pull = ready(github)
    mergeq.sweep_and_work()
    quirk.on("pr.retarget", pr=pull.number, base="next")

    work(github, mergeq, 3)

    record = mergeq.history("acme/rocket:next")[0]
    assert outcomes(mergeq) == ["TRIGGERED", "ABANDONED"]
    assert (pull.merged, record.outcome, record.tested_tree) == (True, Outcome.LANDED, record.landed_tree)
    assert git.is_ancestor(base, str(record.landed_sha))


@pytest.mark.quirk("Q42")
def test_a_base_that_is_gone_while_something_is_tested_on_it_is_told_and_nothing_lands(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    mergeq.sweep_and_work()
    quirk.on("branch.delete", branch="main")

    work(github, mergeq, 2)

    assert (pull.is_open, pull.merged, quirk.requests("{pull_number}/merge")) == (False, False, 0)
    assert "acme/rocket:main does not exist on GitHub, or the token may not see it" in read(mergeq)


@pytest.mark.quirk("Q46")
def test_a_queue_of_githubs_that_comes_while_a_run_is_green_keeps_it_from_landing(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    work(github, mergeq)
    quirk.on("branch.enable_mq")

    work(github, mergeq, 2)

    assert (pull.is_open, quirk.requests("{pull_number}/merge")) == (True, 0)
    assert status_of(github, pull) == "Not mergeable. GitHub's own merge queue serves this branch."
    assert "Turn GitHub's merge queue off for this branch" in read(mergeq)


@pytest.mark.quirk("Q51")
def test_where_only_others_may_push_nothing_is_staged_and_those_who_may_are_named(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pulls = [ready(github, "One"), ready(github, "Two")]
    quirk.on("policy.restrict", apps=["queue"])
    github.world.users.set_role("mergeq-bot", "write")

    work(github, mergeq, 3)

    assert (outcomes(mergeq), quirk.requests("{pull_number}/merge"), staged(github)) == ([], 0, {})
    for pull in pulls:
        assert reasons(mergeq, pull) == ["needs mergeq to be among those who may push, but only queue[bot] may"]


@pytest.mark.parametrize(
    ("switch", "args"),
    [
        pytest.param("merges.409_auth", {}, marks=pytest.mark.quirk("Q56")),
        pytest.param("git.replica_lag", {"ms": 90_000}, marks=pytest.mark.quirk("Q57")),
    ],
)
def test_a_batch_that_github_does_not_merge_for_a_moment_is_whole_all_the_same(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, switch: str, args: dict[str, Any]
) -> None:
    quirk.on(switch, **args)
    pulls = [ready(github, "One"), ready(github, "Two")]

    work(github, mergeq, 4)

    landed = next(record for record in mergeq.history() if record.outcome is Outcome.LANDED)
    assert [pull.merged for pull in pulls] == [True, True]
    assert ([target.number for target in landed.targets], landed.tested_tree) == ([1, 2], landed.landed_tree)


@pytest.mark.quirk("Q40")
def test_a_context_that_never_reports_on_staged_commits_is_named_after_a_time(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, clock: ManualClock
) -> None:
    mergeq = start_mergeq(STAGED.replace("retest: staging", "retest: staging, staging_contexts: [e2e]"))
    pull = ready(github)
    quirk.shown_by("graphql:Staged")
    work(github, mergeq, 2)
    waiting = status_of(github, pull)
    clock.advance(600)
    work(github, mergeq)

    ended = next(record for record in mergeq.history() if record.outcome is Outcome.ABANDONED)
    assert (pull.is_open, waiting) == (True, "Not mergeable. Retesting: e2e")
    assert (outcomes(mergeq)[:2], ended.err) == (["TRIGGERED", "ABANDONED"], "e2e never appeared")
    assert "SILENT #1 Add fins as" in read(mergeq)


@pytest.mark.quirk("Q40")
def test_a_context_that_never_reports_on_a_head_is_named_and_holds_up_nobody_else(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED.replace("retest: staging", "retest: head").replace("[ci/test]", "[ci/test, e2e]"))
    silent, other = ready(github), ready(github, "Other")
    github.world.set_status("acme/rocket", other.head_sha, context="e2e")
    quirk.shown_by("graphql:LastLook")

    work(github, mergeq, 2)

    assert (silent.is_open, other.merged) == (True, True)
    assert status_of(github, silent) == "Not mergeable. Job e2e has not succeeded."
    assert reasons(mergeq, silent) == [f"needs e2e to be green on {silent.head_sha[:7]}, but e2e has not reported yet"]
    assert "See why e2e does not report on this commit" in read(mergeq)


@pytest.mark.quirk("Q49")
@pytest.mark.parametrize("signed", [True, False])
def test_a_context_of_heads_is_asked_of_the_head_and_not_of_what_is_staged(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, signed: bool
) -> None:
    mergeq = start_mergeq(STAGED.replace("retest: staging", "retest: staging, head_only_contexts: [dco]"))
    github.world.protect("acme/rocket", "main", required_contexts=["ci/test", "dco"])
    pull = ready(github)
    if signed:
        github.world.set_status("acme/rocket", pull.head_sha, context="dco")
    quirk.shown_by("graphql:OpenPulls")

    work(github, mergeq, 3)

    assert pull.merged == signed
    assert outcomes(mergeq) == (["TRIGGERED", "LANDED"] if signed else [])
    assert signed or status_of(github, pull) == "Not mergeable. Job dco has not succeeded."


@pytest.mark.quirk("Q48")
def test_where_signatures_are_required_staged_commits_are_signed_and_rebases_wait(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github, labels=(*READY, "tide/squash"))
    rebased = ready(github, "Rebased", labels=(*READY, "tide/rebase"))
    number = github.world.add_ruleset(
        "acme/rocket", rules=[{"type": "required_signatures"}], include=["refs/heads/mergeq/**/*"]
    ).id
    quirk.on("policy.signatures")

    work(github, mergeq)
    git = github.world.repo("acme/rocket").git
    commits = [git.commit(sha) for sha in staged(github).values()]
    work(github, mergeq)

    assert (number > 0, [commit.is_verified for commit in commits]) == (True, [True])
    assert (pull.merged, rebased.is_open) == (True, True)
    assert mergeq.history()[0].tested_tree == mergeq.history()[0].landed_tree
    assert status_of(github, rebased) == "Not mergeable. Protection requires signatures, which rebase would lose."


@pytest.mark.quirk("Q48")
def test_unsigned_commits_that_github_does_not_take_stop_their_pull_request_alone(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    unsigned, signed = ready(github), ready(github, "Signed", labels=(*READY, "tide/squash"))
    quirk.on("policy.signatures")

    work(github, mergeq, 4)

    assert (unsigned.is_open, signed.merged) == (True, True)
    said = f"commits must have verified signatures, and {unsigned.head_sha[:7]} has none."
    assert status_of(github, unsigned) == f"Not mergeable. It is not landed: {said}"


@pytest.mark.quirk("Q48")
def test_unsigned_commits_that_no_ref_of_ours_may_have_are_left_out_of_the_batch_with_the_ruleset_named(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    github.world.add_ruleset("acme/rocket", "signed", rules=[{"type": "required_signatures"}], include=["~ALL"])
    quirk.shown_by("POST /repos/{owner}/{repo}/merges")

    work(github, mergeq, 2)

    assert (pull.is_open, outcomes(mergeq)) == (True, [])
    assert "the ruleset signed of acme/rocket covers refs/heads/mergeq-scratch/**" in reasons(mergeq, pull)[0]
    assert "Commits must have verified signatures." in reasons(mergeq, pull)[0]


@pytest.mark.quirk("Q52")
def test_a_ruleset_on_every_branch_is_named_with_what_to_exclude_and_all_goes_on_once_it_is(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    quirk.on("ruleset.all")
    with capture_logs() as log:
        work(github, mergeq)
    said, page = status_of(github, pull), read(mergeq)
    (ruleset,) = github.world.repo("acme/rocket").rulesets.values()
    github.app.test_client().put(
        f"/api/v3/repos/acme/rocket/rulesets/{ruleset.id}",
        json={"conditions": {"ref_name": {"include": ["~ALL"], "exclude": ["refs/heads/mergeq*/**/*"]}}},
        headers={"Authorization": f"Bearer {github.token}", "User-Agent": "an administrator"},
    )
    work(github, mergeq, 3)

    assert said.startswith(
        "Not mergeable. It cannot be tested: the ruleset everywhere of acme/rocket covers refs/heads/"
    )
    assert "refuses there commits that were not tested before" in page
    assert "exclude `refs/heads/mergeq-scratch/**/*` in its target branches" in page
    assert [one.startswith("not carried out: 422 the ruleset everywhere of acme/rocket") for one in warned(log)] == [
        True
    ]
    assert (pull.merged, outcomes(mergeq)) == (True, ["TRIGGERED", "LANDED"])


@pytest.mark.quirk("Q53")
@pytest.mark.parametrize(("after", "where"), [(0, "mergeq-scratch/"), (2, "mergeq/")])
def test_a_ref_that_is_refused_without_a_reason_is_made_anew_under_another_name(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, after: int, where: str
) -> None:
    pull = ready(github)
    quirk.on("refs.opaque422", after=after)
    with capture_logs() as log:
        mergeq.sweep_and_work()
    said, before = status_of(github, pull), mergeq.store.runs(MAIN)
    work(github, mergeq, 3)

    what = f"Reference update failed, though no ruleset seems to cover refs/heads/{where}**"
    assert (warned(log), before) == ([f"not carried out: 422 {what}"], [])
    assert said == f"Not mergeable. It cannot be tested: {what}"
    assert (pull.merged, outcomes(mergeq)) == (True, ["TRIGGERED", "LANDED"])


def test_a_branch_that_leaves_no_room_for_ours_is_named_and_all_goes_on_once_it_is_gone(
    github: Sandbox, mergeq: Mergeq
) -> None:
    """Q53: git keeps a branch in a file, and what is below it in a folder of that name."""
    pull = ready(github)
    github.world.create_ref("acme/rocket", "refs/heads/mergeq", pull.head_sha)
    mergeq.sweep_and_work()
    said = status_of(github, pull)
    github.world.delete_branch("acme/rocket", "mergeq")
    work(github, mergeq, 3)

    assert said.startswith("Not mergeable. It cannot be tested: there is a branch mergeq, below which git can have no")
    assert pull.merged


@pytest.mark.quirk("Q53")
def test_a_ref_that_is_refused_does_not_disturb_what_is_tested(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pulls = [ready(github, "One"), ready(github, "Two")]
    quirk.on("refs.opaque422", after=5)

    work(github, mergeq, 3)

    assert [pull.merged for pull in pulls] == [True, True]
    assert "ABANDONED" not in outcomes(mergeq)[:2]


@pytest.mark.quirk("Q55")
def test_a_staging_ref_that_somebody_has_deleted_is_no_obstacle_to_giving_its_run_up(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    mergeq.sweep_and_work()
    (name,) = staged(github)
    github.world.delete_ref("acme/rocket", f"refs/heads/{name}")
    quirk.shown_by("DELETE /repos/{owner}/{repo}/git/refs/{ref}")
    github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})
    with capture_logs() as log:
        work(github, mergeq, 3)

    assert (pull.merged, warned(log)) == (True, [])
    assert outcomes(mergeq) == ["TRIGGERED", "ABANDONED", "TRIGGERED", "LANDED"]


@pytest.mark.quirk("Q58")
def test_workflow_files_that_turn_out_to_be_out_of_reach_stop_their_pull_request_alone_and_are_told_once(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    files = {".github/workflows/x.yml": "on: push\n"}
    first, second, other = ready(github, files=files), ready(github, "More", files=files), ready(github, "Other")
    github.world.close_pull(second, "ana")
    quirk.on("policy.no_workflows", times=None)
    with capture_logs() as log:
        work(github, mergeq, 4)

    what = "Resource not accessible by integration It changes .github/workflows/x.yml, for which mergeq's credentials"
    assert (first.is_open, other.merged) == (True, True)
    assert warned(log) == [f"not staged: {what} may lack workflows: write."]
    assert status_of(github, first).startswith(
        "Not mergeable. GitHub refused: Resource not accessible by integration It ch"
    )


@pytest.mark.quirk("Q87")
@pytest.mark.parametrize("label", ["tide/none", "tide/squash", "tide/rebase"])
def test_no_word_of_an_author_keeps_ci_from_what_is_staged(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, label: str
) -> None:
    github.world.push("acme/rocket", "smuggler", {"fins.txt": "x\n"}, message="Fins [skip ci]\n\nskip-checks: true")
    github.world.push("acme/rocket", "smuggler", {"wings.txt": "x\n"}, message="Wings")
    body = "[no ci]\n\nskip-checks: true"
    pull = ready(github, "Fins [skip ci]", files=None, head="smuggler", body=body, labels=(*READY, label))
    quirk.shown_by("POST /repos/{owner}/{repo}/git/commits")

    git = github.world.repo("acme/rocket").git
    base = str(git.tip("main"))
    pulled = {sha for sha, _ in git.new_commits(base, pull.head_sha)}
    work(github, mergeq)
    (tip,) = staged(github).values()
    written = [git.commit(sha).message for sha, _ in git.new_commits(base, tip) if sha not in pulled]
    work(github, mergeq, 2)

    assert written
    assert not [text for text in written if any(marker in text for marker in ("[skip ci]", "[no ci]", "checks:"))]
    assert (pull.merged, outcomes(mergeq)) == (True, ["TRIGGERED", "LANDED"])


@pytest.mark.quirk("Q53")
def test_a_ref_that_is_refused_after_an_answer_that_said_nothing_is_made_anew(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    quirk.on("http.5xx", route="POST /repos/{owner}/{repo}/git/refs", after=1)
    quirk.on("refs.opaque422", after=2)

    with capture_logs() as log:
        work(github, mergeq, 5)

    assert pull.merged
    assert [one["event"] for one in log if one["log_level"] == "error"] == []
    assert any("Reference update failed" in one for one in warned(log))


@pytest.mark.quirk("Q80")
def test_one_whose_commits_cannot_be_read_stands_back_and_the_others_are_tested(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    odd = ready(github, "Odd", labels=(*READY, "tide/rebase"))
    fine = [ready(github, f"Part {number}") for number in range(2)]
    quirk.on("graphql.untyped", route="graphql:Commits", times=None)

    work(github, mergeq, 5)

    assert (odd.is_open, [one.merged for one in fine]) == (True, [True, True])
    assert "the commits of acme/rocket#1" in reasons(mergeq, odd)[0]
