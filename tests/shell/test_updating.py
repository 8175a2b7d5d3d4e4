"""`retest: update`: a pull request's own branch is brought up to date, and its own CI tests what then lands (D3)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from mergeq import sync
from mergeq.core.batch import Told
from mergeq.core.history import Outcome
from mergeq.core.marks import Mark
from mergeq.core.pull import Branch
from mergeq.sandbox import CiConfig, ManualClock, Sandbox
from mergeq.sandbox.git_objects import Person
from mergeq.sandbox.records import Pull
from mergeq.store import ALL, held
from mergeq.update import bring_up_to_date
from tests.conftest import CONFIG, READY, Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import listen

MAIN = Branch("acme", "rocket", "main")
UPDATED = (
    CONFIG.replace("  merge_method:", "  context_options: {required-contexts: [ci/test]}\n  merge_method:")
    + "mergeq: {queue: {retest: update}}\n"
)
REBASED = UPDATED.replace("{retest: update}", "{retest: update, update_method: rebase}")


@pytest.fixture
def mergeq(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    return start_mergeq(UPDATED)


def ready(github: Sandbox, title: str, files: dict[str, str], *labels: str, fork: str | None = None) -> Pull:
    return github.world.open_pull("acme/rocket", title=title, files=files, labels=(*READY, *labels), fork=fork)


def two_steps(github: Sandbox, *labels: str) -> Pull:
    """A pull request of two commits, approved."""
    steps = [{"fins.txt": "three\n"}, {"fins.txt": "four\n", "wings.txt": "two\n"}]
    return github.world.open_pull("acme/rocket", title="Add fins", commits=steps, labels=(*READY, *labels))


def put_on(github: Sandbox, pull: Pull, onto: str, steps: Sequence[tuple[str, str]], author: Person) -> str:
    """Have somebody rewrite a branch: trees and messages of its commits, on top of another."""
    git, tip = github.world.repo("acme/rocket").git, onto
    for tree, message in steps:
        tip = git.commit_tree(tree, (tip,), message, author=author, when=github.clock.now())
    github.world.update_ref("acme/rocket", f"refs/heads/{pull.head_ref}", tip, force=True)
    return tip


def let_the_base_move(github: Sandbox) -> str:
    return github.world.push("acme/rocket", "main", {"elsewhere.txt": f"{github.clock.now()}\n"})


def work(github: Sandbox, mergeq: Mergeq, minutes: int = 1) -> None:
    for _ in range(minutes):
        mergeq.sweep_and_work()
        github.settle()


def outcomes(mergeq: Mergeq) -> list[tuple[str, str, list[int]]]:
    """The history, oldest first: action, outcome, numbers."""
    return [(r.action, r.outcome.value, [t.number for t in r.targets]) for r in reversed(mergeq.history())]


def status_of(github: Sandbox, pull: Pull) -> str:
    found = {s.context: s.description or "" for s in github.world.repo(pull.repo).latest_statuses(pull.head_sha)}
    return found["tide"]


def reasons(mergeq: Mergeq, number: int) -> str:
    found = mergeq.web.get(f"/pr/acme/rocket/{number}.json").get_json()
    return "; ".join(reason["observed"] for reason in found["reasons"])


@pytest.mark.parametrize("label", ["tide/none", "tide/squash", "tide/rebase"])
def test_a_branch_that_is_behind_is_updated_tested_and_lands_as_tested(
    github: Sandbox, mergeq: Mergeq, label: str
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"}, label)
    approved = pull.head_sha
    base = let_the_base_move(github)
    github.settle()

    work(github, mergeq, 3)

    git, updated = github.world.repo("acme/rocket").git, pull.head_sha
    assert git.commit(updated).parents == (approved, base)
    assert pull.merged
    record = mergeq.history()[0]
    assert (record.outcome, record.targets[0].sha) == (Outcome.LANDED, updated)
    assert record.tested_tree == record.landed_tree == git.commit(str(pull.merge_commit_sha)).tree
    assert record.tested_tree == git.commit(updated).tree
    assert outcomes(mergeq) == [("TRIGGER", "TRIGGERED", [1]), ("MERGE", "LANDED", [1])]
    assert [name for name in git.branches() if name.startswith("mergeq")] == []


def test_a_branch_that_contains_the_base_lands_at_once(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    before = pull.head_sha
    github.settle()

    work(github, mergeq)

    assert (pull.merged, pull.head_sha) == (True, before)
    assert outcomes(mergeq) == [("MERGE", "LANDED", [1])]
    assert mergeq.history()[0].tested_tree == mergeq.history()[0].landed_tree


def test_one_at_a_time_is_updated_and_the_next_when_it_has_landed(github: Sandbox, mergeq: Mergeq) -> None:
    pulls = [ready(github, f"Part {n}", {f"part{n}.txt": "x\n"}) for n in range(3)]
    heads = [pull.head_sha for pull in pulls]
    let_the_base_move(github)
    github.settle()

    work(github, mergeq, 2)
    moved = [pull.head_sha != head for pull, head in zip(pulls, heads, strict=True)]
    waiting = status_of(github, pulls[2])
    work(github, mergeq, 8)

    assert moved == [True, False, False]
    assert waiting == "Not mergeable. Waits to be brought up to date with main."
    assert [pull.merged for pull in pulls] == [True, True, True]
    assert [numbers for action, _, numbers in outcomes(mergeq) if action == "MERGE"] == [[1], [2], [3]]
    assert all(r.tested_tree == r.landed_tree for r in mergeq.history() if r.outcome is Outcome.LANDED)


def test_what_is_green_alone_and_red_on_the_base_does_not_land(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Drop the engine", {"b": "2\n"})
    other = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.world.push("acme/rocket", "main", {"ci.sh": "! test -f b\n"})
    github.settle()

    work(github, mergeq, 6)

    assert (pull.merged, other.merged) == (False, True)
    assert ("TRIGGER", "RED", [1]) in outcomes(mergeq)
    assert status_of(github, pull) == "Not mergeable. Job ci/test has not succeeded."


def test_an_approval_by_label_is_good_for_the_plain_merge_with_the_base(github: Sandbox, mergeq: Mergeq) -> None:
    """D17: with webhooks the new head is known to be younger than the label; it is the approved content all the
    same.
    """
    listen(github, mergeq)
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    let_the_base_move(github)
    github.settle()

    work(github, mergeq, 3)

    assert pull.merged
    assert mergeq.store.arrivals("acme/rocket")[1].head_sha == pull.head_sha


def test_an_approval_is_void_when_the_author_pushes_instead_of_the_update(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    let_the_base_move(github)
    github.settle()
    github.world.update_delay = 30.0
    mergeq.sweep_and_work()
    clock.advance(5)
    github.world.push_to_pull(pull, {"fins.txt": "evil\n"})
    github.settle()

    work(github, mergeq, 3)

    assert not pull.merged
    assert ("TRIGGER", "ABANDONED", [1]) in outcomes(mergeq)
    assert "pushed to it by somebody else" in next(r.err for r in mergeq.history() if r.outcome is Outcome.ABANDONED)
    assert "lgtm was given to an earlier head" in reasons(mergeq, 1)


@pytest.mark.parametrize("label", ["tide/none", "tide/squash", "tide/rebase"])
def test_a_branch_that_is_behind_is_rebased_where_that_is_configured(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], label: str
) -> None:
    """With webhooks the new head is known to be younger than the label; its commits are the approved ones (D17)."""
    mergeq = start_mergeq(REBASED)
    listen(github, mergeq)
    pull = two_steps(github, label)
    approved = pull.head_sha
    base = let_the_base_move(github)
    github.settle()

    work(github, mergeq, 3)

    git = github.world.repo("acme/rocket").git
    old, new = (git.commits([sha for sha, _ in git.new_commits(base, head)]) for head in (approved, pull.head_sha))
    assert [one.parents for one in new] == [(base,), (new[0].sha,)]
    assert [(one.message, one.author) for one in new] == [(one.message, one.author) for one in old]
    assert pull.merged
    record = mergeq.history()[0]
    assert record.tested_tree == record.landed_tree == git.commit(pull.head_sha).tree
    assert outcomes(mergeq) == [("TRIGGER", "TRIGGERED", [1]), ("MERGE", "LANDED", [1])]
    assert mergeq.store.arrivals("acme/rocket")[1].head_sha == pull.head_sha
    assert [name for name in git.branches() if name.startswith("mergeq")] == []


@pytest.mark.parametrize("spoil", ["content", "message", "author", "a commit less", "another base", "not at all"])
def test_only_the_approved_commits_on_the_base_keep_their_approval(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock, spoil: str
) -> None:
    mergeq = start_mergeq(REBASED)
    pull = two_steps(github)
    git, approved = github.world.repo("acme/rocket").git, pull.head_sha
    first, second = git.commits([sha for sha, _ in git.new_commits(str(git.tip("main")), approved)])
    base = let_the_base_move(github)
    github.settle()
    github.world.update_delay = 300.0
    mergeq.sweep_and_work()
    clock.advance(5)
    author, trees = first.author, [git.merge_tree(one.sha, base) or "" for one in (first, second)]
    steps = [*zip(trees, (first.message, second.message), strict=True)]
    match spoil:
        case "content":
            steps[1] = (git.with_file(trees[1], "smuggled.txt", "evil\n"), second.message)
        case "message":
            steps[0] = (trees[0], "Add fins [skip ci]")
        case "author":
            author = replace(author, name="eve")
        case "a commit less":
            steps = steps[1:]
        case "another base":
            base = git.commit_tree(git.commit(base).tree, (base,), "Ours", author=first.author, when=0.0)
    head = put_on(github, pull, base, steps, author)
    github.settle()

    work(github, mergeq, 3)

    assert pull.head_sha == head
    assert pull.merged == (spoil == "not at all")
    assert pull.merged or "lgtm was given to an earlier head" in reasons(mergeq, 1)


@pytest.mark.parametrize("method", ["merge", "rebase"])
@pytest.mark.parametrize("was_done", [True, False])
@pytest.mark.quirk("Q5", "Q10")
def test_an_update_whose_answer_says_nothing_is_found_out_and_done_once(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, method: str, was_done: bool
) -> None:
    """D6."""
    mergeq = start_mergeq(REBASED if method == "rebase" else UPDATED)
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    base, route = let_the_base_move(github), "PUT /repos/{owner}/{repo}/pulls/{pull_number}/update-branch"
    if method == "rebase":
        quirk.on("graphql.untyped" if was_done else "graphql.5xx", route="graphql:Rebase")
    else:
        quirk.on("http.reset" if was_done else "http.5xx", route=route, handled=was_done)
    github.settle()

    work(github, mergeq, 5)

    git = github.world.repo("acme/rocket").git
    assert pull.merged
    assert len(git.new_commits(base, pull.head_sha)) == (1 if method == "rebase" else 2)
    assert outcomes(mergeq) == [("TRIGGER", "TRIGGERED", [1]), ("MERGE", "LANDED", [1])]
    assert quirk.requests("Rebase" if method == "rebase" else "update-branch") == (1 if was_done else 2)


@pytest.mark.quirk("Q26")
@pytest.mark.parametrize("kind", ["sha", "up_to_date"])
def test_a_refusal_that_the_facts_contradict_is_not_repeated_for_ever(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, kind: str
) -> None:
    quirk.on("update_branch.422", kind=kind, times=None, pr=1)
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    other = ready(github, "Add wings", {"wings.txt": "two\n"})
    let_the_base_move(github)
    github.settle()

    work(github, mergeq, 14)

    given_up = next(record for record in mergeq.history() if record.outcome is Outcome.ABANDONED)
    assert given_up.err.startswith("GitHub was asked to update it and did not: ")
    assert (pull.merged, other.merged) == (False, True)
    assert quirk.requests("update-branch") <= 22


@pytest.mark.parametrize(
    ("switch", "why"),
    [
        pytest.param("policy.dismiss_stale", "dismiss its reviews", marks=pytest.mark.quirk("Q89")),
        pytest.param("policy.last_push", "an approval of its own", marks=pytest.mark.quirk("Q90")),
        pytest.param("pr.maintainer_can_modify", "maintainers may not push to", marks=pytest.mark.quirk("Q25")),
        pytest.param("pr.delete_head_repo", "is gone", marks=pytest.mark.quirk("Q24")),
    ],
)
def test_what_is_tightened_after_the_decision_is_seen_before_the_update(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, switch: str, why: str
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"}, fork="zoe")
    let_the_base_move(github)
    github.settle()
    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease is not None
    saved = sync.sync(mergeq.services, lease)
    quirk.on(switch, pr=pull.number)

    record = bring_up_to_date(mergeq.services, lease, saved)

    assert (saved.action, record) == ("TRIGGER", None)
    assert why in mergeq.store.runs(MAIN)[0].why
    assert (quirk.requests("update-branch"), pull.is_open) == (0, True)


def test_a_worker_that_dies_before_it_asked_is_made_up_for(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    let_the_base_move(github)
    github.settle()
    github.world.update_delay = 1e6
    mergeq.sweep_and_work()
    (run,) = mergeq.store.runs(MAIN)
    mergeq.store.mark([Mark(MAIN)], mergeq.services.now())
    with held(mergeq.store, MAIN, mergeq.services.now()) as lease:
        assert lease is not None
        mergeq.store.save_run(lease, replace(run, told=Told()))
    github.world.update_delay = 1.0

    work(github, mergeq, 6)

    assert pull.merged


def test_what_github_demands_to_be_up_to_date_is_brought_there(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.protect("acme/rocket", "main", ["ci/test"], strict=True)
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    let_the_base_move(github)
    github.settle()

    work(github, mergeq, 4)

    assert pull.merged
    assert mergeq.history()[0].tested_tree == mergeq.history()[0].landed_tree


def test_a_merge_of_the_base_that_changes_more_than_that_needs_a_new_approval(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    """Its parents are those of a plain update; only its tree tells."""
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    base = let_the_base_move(github)
    github.settle()
    github.world.update_delay = 300.0
    mergeq.sweep_and_work()
    clock.advance(5)
    git = github.world.repo("acme/rocket").git
    tree = git.with_file(git.merge_tree(pull.head_sha, base) or "", "smuggled.txt", "evil\n")
    evil = git.commit_tree(tree, (pull.head_sha, base), "Merge branch 'main'", author=git.commit(base).author, when=0.0)
    github.world.update_ref("acme/rocket", f"refs/heads/{pull.head_ref}", evil, force=True)
    github.settle()

    work(github, mergeq, 3)

    assert pull.head_sha == evil
    assert not pull.merged
    assert "lgtm was given to an earlier head" in reasons(mergeq, 1)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("fork", "it comes from a fork that maintainers may not push to"),
        ("stale", "a push by mergeq would dismiss its reviews"),
        ("pusher", "a push by mergeq would need an approval of its own"),
    ],
)
def test_what_is_not_ours_to_update_is_left_to_its_author_and_others_go_ahead(
    github: Sandbox, mergeq: Mergeq, spoil: str, why: str
) -> None:
    """Q25, Q89, Q90."""
    pull = ready(github, "Add fins", {"fins.txt": "four\n"}, fork="zoe" if spoil == "fork" else None)
    other = ready(github, "Add wings", {"wings.txt": "two\n"})
    if spoil == "fork":
        pull.maintainer_can_modify = False
    else:
        github.world.protect(
            "acme/rocket",
            "main",
            [],
            required_reviews=1,
            dismiss_stale_reviews=spoil == "stale",
            require_last_push_approval=spoil == "pusher",
        )
        for one in (pull, other):
            github.world.review(one, "ben", "APPROVED")
    before = pull.head_sha
    let_the_base_move(github)
    github.settle()

    work(github, mergeq, 4)

    assert (pull.merged, pull.head_sha) == (False, before)
    assert why in reasons(mergeq, 1)
    assert status_of(github, pull) == (
        "Not mergeable. It is behind its base, and its author has to bring it up to date."
    )
    assert other.merged is (spoil == "fork")


def test_a_conflict_with_the_base_is_left_to_the_author(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Rename the engine", {"engine.txt": "their engine\n"})
    github.world.push("acme/rocket", "main", {"engine.txt": "our engine\n"})
    github.settle()

    work(github, mergeq, 3)

    assert not pull.merged
    assert "conflict" in reasons(mergeq, 1)


def test_an_update_that_never_comes_is_asked_for_again_and_given_up_after_start_timeout_for_the_next(
    github: Sandbox, mergeq: Mergeq
) -> None:
    """Q26."""
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    ready(github, "Add wings", {"wings.txt": "two\n"})
    let_the_base_move(github)
    github.settle()
    github.world.update_delay = 1e6

    mergeq.sweep_and_work(11)
    github.world.update_delay = 1.0
    work(github, mergeq, 10)

    given_up = next(record for record in mergeq.history() if record.outcome is Outcome.ABANDONED)
    assert given_up.err == "GitHub was asked to update it and did not"
    assert [numbers for action, _, numbers in outcomes(mergeq) if action == "MERGE"] == [[2], [1]]
    assert pull.merged


def test_an_update_that_github_took_and_forgot_is_asked_for_again(github: Sandbox, mergeq: Mergeq) -> None:
    """Q26."""
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    let_the_base_move(github)
    github.settle()
    github.world.update_delay = 1e6
    mergeq.sweep_and_work()
    github.world.update_delay = 1.0

    work(github, mergeq, 9)

    assert pull.merged
    assert outcomes(mergeq) == [("TRIGGER", "TRIGGERED", [1]), ("MERGE", "LANDED", [1])]


def test_a_base_that_moves_while_the_head_is_tested_starts_it_over(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    let_the_base_move(github)
    github.settle()
    github.world.repo("acme/rocket").ci = CiConfig(delay=90.0)
    mergeq.sweep_and_work(2)
    newest = github.world.push("acme/rocket", "main", {"human.txt": "pushed by hand\n"})

    work(github, mergeq, 4)

    git = github.world.repo("acme/rocket").git
    assert pull.merged
    assert git.is_ancestor(newest, pull.head_sha)
    record = mergeq.history()[0]
    assert record.tested_tree == record.landed_tree
    assert ("TRIGGER", "ABANDONED", [1]) in outcomes(mergeq)


def test_a_closed_pull_request_is_no_longer_waited_for(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    other = ready(github, "Add wings", {"wings.txt": "two\n"})
    let_the_base_move(github)
    github.settle()
    github.world.update_delay = 1e6
    mergeq.sweep_and_work()
    github.world.update_delay = 1.0
    github.world.close_pull(pull)

    work(github, mergeq, 4)

    assert other.merged
    assert ("TRIGGER", "ABANDONED", [1]) in outcomes(mergeq)
