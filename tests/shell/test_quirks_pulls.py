"""Pull requests as they also come: from forks that are gone, with hundreds of labels and results, by nobody."""

from collections.abc import Callable

import pytest

from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import CONFIG, READY, Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import STAGED, UPDATED, listen, read, ready, reasons, status_of, work

_WRONG = {Outcome.RACED, Outcome.WRONG_TREE, Outcome.REFUSED}


@pytest.mark.quirk("Q24")
def test_a_pull_request_whose_fork_is_gone_lands_by_its_sha(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull = ready(github, fork="zoe")
    quirk.on("pr.delete_head_repo", after=1, pr=pull.number)

    mergeq.sweep_and_work()

    assert (pull.merged, mergeq.history()[0].outcome) == (True, Outcome.LANDED)
    assert "Landed as" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q24", "Q25")
@pytest.mark.parametrize(
    ("switch", "why"),
    [
        ("pr.delete_head_repo", "the repository of its branch is gone"),
        ("pr.maintainer_can_modify", "it comes from a fork that maintainers may not push to"),
    ],
)
def test_a_fork_that_is_not_ours_to_update_is_not_pushed_to(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, switch: str, why: str
) -> None:
    mergeq = start_mergeq(UPDATED)
    pull = ready(github, fork="zoe")
    quirk.on(switch, after=1, pr=pull.number)
    github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})

    work(github, mergeq, 2)

    assert (pull.is_open, quirk.requests("update-branch")) == (True, 0)
    assert status_of(github, pull).startswith("Not mergeable. It is behind its base")
    assert [one.endswith(f", and {why}") for one in reasons(mergeq, pull)] == [True]


@pytest.mark.quirk("Q25")
def test_a_fork_that_nobody_may_push_to_is_staged(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED)
    pull = ready(github, fork="zoe")
    quirk.on("pr.maintainer_can_modify", after=1, pr=pull.number)
    github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})

    work(github, mergeq, 2)

    assert (pull.merged, quirk.requests("update-branch")) == (True, 0)
    assert "landed as tested" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q26")
def test_an_update_that_comes_late_is_waited_for(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(UPDATED)
    quirk.on("update_branch.async", ms=90_000)
    pull = ready(github)
    before = pull.head_sha
    github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})

    work(github, mergeq)
    waiting, said = (pull.head_sha, pull.is_open), status_of(github, pull)
    work(github, mergeq, 4)

    assert waiting == (before, True)
    assert said == "Not mergeable. Is brought up to date with main."
    assert (pull.merged, quirk.requests("update-branch")) == (True, 1)


@pytest.mark.quirk("Q26")
@pytest.mark.parametrize("kind", ["sha", "conflict", "up_to_date"])
def test_a_refused_update_lands_nothing_untested(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, kind: str
) -> None:
    mergeq = start_mergeq(UPDATED)
    quirk.on("update_branch.422", kind=kind)
    pull = ready(github)
    base = github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})

    work(github, mergeq, 4)

    git = github.world.repo("acme/rocket").git
    assert pull.merged == (kind != "conflict")
    assert not pull.merged or git.is_ancestor(base, pull.head_sha)
    if kind == "conflict":
        assert [one.rpartition(": ")[2] for one in reasons(mergeq, pull)] == ["merge conflict between base and head"]
    else:
        assert "landed as tested" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q31")
def test_a_locked_conversation_is_no_obstacle(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull, other = ready(github), ready(github, "Other", labels=("lgtm",))
    quirk.on("pr.lock", after=1, pr=pull.number)
    quirk.on("pr.lock", after=1, pr=other.number)

    mergeq.sweep_and_work()

    assert (pull.merged, status_of(github, other)) == (True, "Not mergeable. Needs approved label.")
    assert quirk.requests("comments") == 0


@pytest.mark.quirk("Q32")
def test_a_pull_request_by_nobody_matches_no_author_and_stops_no_one(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(CONFIG.replace("      labels: [lgtm", "      author: ana\n      labels: [lgtm"))
    gone, other = ready(github, "Gone", author="zoe"), ready(github, "Other")
    quirk.on("pr.ghost", after=1, pr=gone.number)

    mergeq.sweep_and_work()

    assert (gone.is_open, other.merged) == (True, True)
    assert status_of(github, gone) == "Not mergeable. Must be by author ana."


@pytest.mark.quirk("Q32")
def test_what_nobody_wrote_lands_where_no_author_is_asked_for(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull = ready(github)
    quirk.on("pr.ghost", after=1, pr=pull.number)

    mergeq.sweep_and_work()

    assert (pull.merged, mergeq.history()[0].targets[0].author) == (True, "ghost")


@pytest.mark.quirk("Q33")
@pytest.mark.parametrize("last", ["area/130", "do-not-merge/hold"])
def test_all_labels_are_read_before_the_lack_of_one_counts(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, last: str
) -> None:
    many = (*READY, *(f"area/{n}" for n in range(128)), last)
    pull, other = ready(github, labels=many), ready(github, "Other")
    quirk.shown_by("graphql:Labels")

    mergeq.sweep_and_work()

    assert (pull.merged, other.merged) == (last != "do-not-merge/hold", True)
    assert pull.merged or status_of(github, pull) == "Not mergeable. Should not have do-not-merge/hold label."


@pytest.mark.quirk("Q34")
@pytest.mark.parametrize("last", ["success", "failure"])
def test_all_results_are_read_before_they_are_green(github: Sandbox, mergeq: Mergeq, quirk: Quirk, last: str) -> None:
    pull, other = ready(github), ready(github, "Other")
    for n in range(150):
        state = last if n == 149 else "success"
        github.world.set_status("acme/rocket", pull.head_sha, context=f"job/{n}", state=state)
    quirk.shown_by("graphql:Contexts")

    mergeq.sweep_and_work()

    assert (pull.merged, other.merged) == (last == "success", True)
    assert pull.merged or status_of(github, pull) == "Not mergeable. Job job/149 has not succeeded."


@pytest.mark.quirk("Q34")
def test_all_results_of_a_staged_commit_are_read_too(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED)
    pull = ready(github)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    mergeq.sweep_and_work()
    git = github.world.repo("acme/rocket").git
    staged = next(sha for name, sha in git.branches().items() if name.startswith("mergeq/"))
    for n in range(150):
        github.world.set_status("acme/rocket", staged, context=f"job/{n}")
    quirk.shown_by("graphql:Contexts")

    work(github, mergeq, 2)

    assert pull.merged


@pytest.mark.quirk("Q35")
def test_a_superseded_red_run_does_not_count(github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock) -> None:
    pull = ready(github)
    clock.advance(1)
    quirk.on("checks.superseded", after=1, pr=pull.number)

    mergeq.sweep_and_work()

    assert pull.merged
    assert "Landed as" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q36")
def test_one_name_used_by_two_apps_is_green_only_when_both_are(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull = ready(github)
    quirk.on("checks.same_name", after=1, pr=pull.number)

    mergeq.sweep_and_work()
    red = (pull.merged, status_of(github, pull))
    github.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion="success", app="other-ci")
    mergeq.sweep_and_work()

    assert red == (False, "Not mergeable. Job e2e has not succeeded.")
    assert pull.merged


@pytest.mark.quirk("Q37")
@pytest.mark.parametrize(("status", "run"), [("success", "failure"), ("failure", "success"), ("success", "success")])
def test_a_status_and_a_check_of_one_name_must_both_pass(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, status: str, run: str
) -> None:
    pull = ready(github)
    github.world.set_status("acme/rocket", pull.head_sha, context="e2e", state=status)
    github.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion=run)
    quirk.shown_by("graphql:Pulls")

    mergeq.sweep_and_work()

    assert pull.merged == (status == run == "success")
    assert pull.merged or status_of(github, pull) == "Not mergeable. Job e2e has not succeeded."


@pytest.mark.quirk("Q38")
@pytest.mark.parametrize(
    ("conclusion", "passes"),
    [
        ("success", True),
        ("neutral", True),
        ("skipped", True),
        ("failure", False),
        ("cancelled", False),
        ("timed_out", False),
        ("action_required", False),
        ("stale", False),
        ("startup_failure", False),
    ],
)
def test_a_check_passes_only_by_the_conclusions_that_pass(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, conclusion: str, passes: bool
) -> None:
    pull = ready(github)
    github.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion=conclusion)
    quirk.shown_by("graphql:Pulls")

    mergeq.sweep_and_work()

    assert pull.merged == passes
    assert pull.merged or status_of(github, pull).startswith("Not mergeable. Job e2e has not succeeded.")


@pytest.mark.quirk("Q38")
def test_nothing_reported_is_not_green(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    github.world.create_repo("acme/paper", files={"README.md": "no CI here\n"}, ci=None)
    pull = github.world.open_pull("acme/paper", title="Words", files={"a.md": "x\n"}, labels=READY)
    quirk.shown_by("graphql:Pulls")

    mergeq.sweep_and_work()

    assert (pull.is_open, status_of(github, pull)) == (True, "Not mergeable. No CI has reported on this commit.")


ODD = ("kind/bug:1", 'a"b', "🚀", "lgtm")


@pytest.mark.quirk("Q72")
@pytest.mark.parametrize("missing", ["", *ODD])
def test_labels_of_every_kind_are_asked_for_and_compared_without_case(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, missing: str
) -> None:
    named = ", ".join("'" + name.replace("'", "''") + "'" for name in ODD)
    config = f"tide: {{queries: [{{orgs: [acme], labels: [{named}], missingLabels: ['x,y', 'not:yet']}}]}}\n"
    mergeq = start_mergeq(config)
    pull = ready(github, labels=[name.upper() for name in ODD if name != missing])
    quirk.shown_by("graphql:Pulls")

    mergeq.sweep_and_work()

    assert pull.merged == (missing == "")
    assert pull.merged or status_of(github, pull) == f"Not mergeable. Needs {missing} label.".replace("🚀", "\ufffd")


@pytest.mark.quirk("Q72")
def test_a_label_with_a_comma_in_its_name_is_not_read_as_two(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq("tide: {queries: [{orgs: [acme], labels: [lgtm], missingLabels: [a, b]}]}\n")
    pull = ready(github, labels=("lgtm", "a,b"))
    quirk.shown_by("graphql:Pulls")

    mergeq.sweep_and_work()

    assert pull.merged


@pytest.mark.quirk("Q74")
def test_a_status_is_cut_to_what_github_takes(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    long = [f"🚀 {n} " + "x" * 40 for n in range(5)]
    mergeq = start_mergeq(f"tide: {{queries: [{{orgs: [acme], labels: {long}}}]}}\n".replace("'", '"'))
    pull = ready(github)
    quirk.shown_by("POST /repos/{owner}/{repo}/statuses")

    mergeq.sweep_and_work(3)

    said = status_of(github, pull)
    assert said.startswith("Not mergeable. Needs ")
    assert len(said) <= 140
    assert max(map(ord, said)) <= 0xFFFF
    assert quirk.requests("POST /repos/{owner}/{repo}/statuses") == 1


@pytest.mark.quirk("Q80")
def test_a_change_too_big_to_be_listed_counts_as_one_of_everything(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED)
    github.world.users.set_role("zoe", "read")
    files = {f"part{n}.txt": "x\n" for n in range(120)}
    big = ready(github, "Big", files=files, fork="zoe", author="zoe")
    small = ready(github, "Small", fork="zoe", author="zoe")
    for pull in (big, small):
        github.world.review(pull, "ben")
    quirk.shown_by("graphql:Pulls")

    work(github, mergeq, 3)

    assert (big.is_open, small.merged) == (True, True)
    assert "ok-to-stage" in status_of(github, big)


@pytest.mark.quirk("Q80")
def test_a_long_series_is_read_whole_and_in_order_before_and_after_it_has_landed(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    main = Branch("acme", "rocket", "main")
    steps = [{"count.txt": f"{n}\n"} for n in range(103)]
    pull = ready(github, files=None, commits=steps)
    base = github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})
    quirk.shown_by("graphql:Commits")

    before = mergeq.services.github.commits(main, pull.number, pull.head_sha)
    github.world.merge_pull(pull, method="rebase")
    after = mergeq.services.github.landing(main, pull.number, len(steps))

    assert [commit.message.partition("(")[2].split()[0] for commit in before] == [str(n) for n in range(1, 104)]
    assert (len(after.line), after.line[-1]) == (103, base)


@pytest.mark.quirk("Q81")
def test_two_pull_requests_with_one_head_both_land(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    github.world.create_ref("acme/rocket", "refs/heads/next", str(github.world.repo("acme/rocket").git.tip("main")))
    listen(github, mergeq)
    first = ready(github, "First", head="feature")
    second = github.world.open_pull("acme/rocket", title="Second", base="next", head="feature", labels=READY)
    github.settle()
    quirk.shown_by("graphql:LastLook")

    mergeq.sweep_and_work()

    assert first.head_sha == second.head_sha
    assert all("Landed as" in read(mergeq, f"/pr/acme/rocket/{number}") for number in (1, 2))
    assert (first.merged, second.merged) == (True, True)
    assert {str(record.targets[0].number) for record in (*mergeq.history(), *mergeq.history("acme/rocket:next"))} == {
        "1",
        "2",
    }


@pytest.mark.quirk("Q83")
def test_a_pull_request_that_adds_nothing_any_more_holds_up_nobody(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED)
    ready(github, files={"same.txt": "x\n"})
    other = ready(github, "Other")
    github.world.push("acme/rocket", "main", {"same.txt": "x\n"})
    quirk.shown_by("graphql:Pulls")

    work(github, mergeq, 4)

    git = github.world.repo("acme/rocket").git
    assert other.merged
    assert git.files_at("main", ["same.txt"]).keys() == {"same.txt"}
    assert [record.outcome for record in mergeq.history() if record.outcome in _WRONG] == []


@pytest.mark.quirk("Q86")
def test_a_check_that_waits_for_a_maintainers_consent_is_told_with_whom_to_ask(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(
        CONFIG.replace("  merge_method:", "  context_options: {required-contexts: [e2e]}\n  merge_method:")
    )
    github.world.users.set_role("eve", "read")
    pull = ready(github, author="eve", fork="eve")
    github.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion="action_required")
    quirk.shown_by("graphql:")
    work(github, mergeq)
    said, why, page = status_of(github, pull), reasons(mergeq, pull), read(mergeq)
    github.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion="success")
    work(github, mergeq)

    assert said == "Not mergeable. Job e2e has not succeeded. A maintainer has to let CI run."
    assert why == [f"needs e2e to be green on {pull.head_sha[:7]}, but e2e waits for a maintainer to let it run"]
    assert "press Approve and run on GitHub (a maintainer of the repository)" in page
    assert pull.merged


@pytest.mark.quirk("Q88")
def test_where_github_decides_nothing_about_reviews_they_are_counted(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(CONFIG.replace("labels: [lgtm", "reviewApprovedRequired: true\n      labels: [lgtm"))
    approved, contested, unseen = ready(github), ready(github, "Contested"), ready(github, "Unseen")
    github.world.review(approved, "zoe", "CHANGES_REQUESTED")
    github.world.review(approved, "zoe")
    github.world.review(contested, "ben")
    github.world.review(contested, "zoe", "CHANGES_REQUESTED")
    github.settle()
    quirk.shown_by("graphql:")

    work(github, mergeq)

    assert [pull.merged for pull in (approved, contested, unseen)] == [True, False, False]
    needed = "needs an approving review that satisfies GitHub, but"
    assert reasons(mergeq, contested) == [f"{needed} zoe requested changes"]
    assert reasons(mergeq, unseen) == [f"{needed} nobody who may write has approved {unseen.head_sha[:7]}"]
    assert status_of(github, unseen) == "Not mergeable. PullRequest is missing sufficient approving GitHub review(s)"


@pytest.mark.quirk("Q88")
def test_open_conversations_are_counted_where_they_must_be_resolved(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    github.world.protect("acme/rocket", "main", required_conversation_resolution=True)
    pull = ready(github)
    thread = github.world.open_thread(pull, "ben")
    quirk.shown_by("graphql:")
    work(github, mergeq)
    said = status_of(github, pull)
    github.world.resolve_thread(pull, thread)
    work(github, mergeq)

    assert said == "Not mergeable. Protection requires every conversation to be resolved."
    assert pull.merged
