"""What GitHub's answers to a merge mean, and what follows from each."""

import pytest

from mergeq import execute
from mergeq.core.history import Outcome
from mergeq.github import MergeVerdict
from mergeq.github.merging import push_refusal, refusal
from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Restrictions
from tests.conftest import READY, Mergeq
from tests.shell.test_landing import MAIN, fault, hits, saved_and_claimed, status_of

RULES = "Repository rule violations found"
EXPECTED = 'Required status check "e2e" is expected.'
REVIEW = "At least 1 approving review is required by reviewers with write access."


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Base branch was modified. Review and try the merge again.", MergeVerdict.RACED),
        ("Pull Request is not mergeable", MergeVerdict.WAITS),
        ("Pull Request is still a draft", MergeVerdict.WAITS),
        ("Merge commits are not allowed on this repository.", MergeVerdict.STOPPED),
        ("Squash merges are not allowed on this repository.", MergeVerdict.STOPPED),
        ("Rebase merges are not allowed on this repository.", MergeVerdict.STOPPED),
        ("This branch must not contain merge commits.", MergeVerdict.REFUSED),
        ("This branch can't be rebased", MergeVerdict.REFUSED),
        (EXPECTED, MergeVerdict.WAITS),
        ('Required status check "e2e" is pending.', MergeVerdict.WAITS),
        ('Required status check "e2e" is in progress.', MergeVerdict.WAITS),
        ('Required status check "e2e" is failing.', MergeVerdict.REFUSED),
        ("2 of 3 required status checks are expected.", MergeVerdict.WAITS),
        ("2 of 3 required status checks have not succeeded: 1 pending and 1 expected.", MergeVerdict.WAITS),
        ('Required status check "e2e" was not set by the expected GitHub app.', MergeVerdict.REFUSED),
        (REVIEW, MergeVerdict.WAITS),
        ("At least 2 approving reviews are required by reviewers with write access.", MergeVerdict.WAITS),
        ("Waiting on code owner review from acme/core.", MergeVerdict.WAITS),
        ("New changes require approval from someone other than the last pusher.", MergeVerdict.WAITS),
        ("A conversation must be resolved before this pull request can be merged.", MergeVerdict.WAITS),
        ("Changes have been requested.", MergeVerdict.WAITS),
        ("You're not authorized to push to this branch. Visit https://x.test for more.", MergeVerdict.STOPPED),
        ("Commits must have valid signatures.", MergeVerdict.REFUSED),
        ("Commits must have verified signatures.", MergeVerdict.REFUSED),
        ("Base branch requires signed commits. Rebase merges cannot be automatically signed", MergeVerdict.REFUSED),
        ("Changes must be made through the merge queue", MergeVerdict.STOPPED),
        ("Head branch is out of date. Review and try the merge again.", MergeVerdict.WAITS),
        ("refusing to allow a GitHub App to create or update workflow `x`", MergeVerdict.REFUSED),
        ("Something that GitHub has never said before", MergeVerdict.REFUSED),
        ("BASE BRANCH WAS MODIFIED", MergeVerdict.RACED),
        (f"{EXPECTED} {REVIEW}", MergeVerdict.WAITS),
        (f"{EXPECTED} Commits must have verified signatures.", MergeVerdict.REFUSED),
        (f"{RULES}\n\n{EXPECTED}\n\n{REVIEW}\n\n", MergeVerdict.WAITS),
        (f"{RULES}\n\nChanges must be made through the merge queue\n\n", MergeVerdict.STOPPED),
        (f"{RULES}\n\nMust be said by moonlight\n\n", MergeVerdict.REFUSED),
    ],
)  # fmt: skip
def test_what_github_says_decides_what_a_refusal_means(text: str, verdict: MergeVerdict) -> None:
    """T5.7-T5.12; the catalogue of messages."""
    answer = refusal(405, text)

    assert (answer.verdict, answer.text) == (verdict, text)
    assert bool(answer.remedy) == (verdict is MergeVerdict.STOPPED)


@pytest.mark.parametrize(
    ("status", "text", "verdict"),
    [
        (422, "Cannot update this protected branch.", MergeVerdict.STOPPED),
        (422, f"{RULES}\n\nChanges must be made through a pull request.", MergeVerdict.STOPPED),
        (403, "Resource not accessible by integration", MergeVerdict.STOPPED),
        (422, "Reference update failed", MergeVerdict.REFUSED),
        (422, "Something that GitHub has never said before", MergeVerdict.REFUSED),
        (422, "Base branch was modified. Review and try the merge again.", MergeVerdict.RACED),
        (422, "Reference cannot be updated: cannot lock ref 'refs/heads/main'", MergeVerdict.RACED),
        (409, "It is not where it was", MergeVerdict.RACED),
        (0, "Something went wrong while executing your query", MergeVerdict.UNKNOWN),
        (502, "GitHub answered 502", MergeVerdict.UNKNOWN),
    ],
)
def test_what_github_says_of_a_push_decides_whether_it_may_pass(status: int, text: str, verdict: MergeVerdict) -> None:
    """D5, Q53, Q54."""
    assert push_refusal(status, text).verdict is verdict


@pytest.mark.parametrize(
    ("status", "text", "verdict"),
    [
        (0, "the connection to GitHub broke", MergeVerdict.UNKNOWN),
        (500, "Base branch was modified.", MergeVerdict.UNKNOWN),
        (504, "", MergeVerdict.UNKNOWN),
        (409, "Head branch was modified. Review and try the merge again.", MergeVerdict.MOVED),
        (403, "Repository was archived so is read-only.", MergeVerdict.STOPPED),
        (403, "Resource not accessible by integration", MergeVerdict.REFUSED),
        (404, "Not Found", MergeVerdict.REFUSED),
        (422, "Validation Failed", MergeVerdict.REFUSED),
    ],
)
def test_what_no_message_tells_the_status_does(status: int, text: str, verdict: MergeVerdict) -> None:
    """D6, T5.7, T5.12."""
    assert refusal(status, text).verdict is verdict


def test_a_branch_that_mergeq_may_not_push_to_is_stopped_and_says_what_to_do(github: Sandbox, mergeq: Mergeq) -> None:
    """T5.9."""
    other = github.world.open_pull("acme/rocket", title="Wings", files={"wings.txt": "1\n"}, labels=READY)
    github.settle()
    pull, lease, saved = saved_and_claimed(github, mergeq)
    github.world.users.set_role("mergeq-bot", "write")
    fault(github, "policy.restrict", match={"repo": "acme/rocket"}, after=2, args={"apps": ["queue"]})  # at the merge

    record = execute.land(mergeq.services, lease, saved)

    refused = mergeq.store.refusals(MAIN)
    assert record.outcome is Outcome.REFUSED
    assert "not authorized to push to this branch" in record.err
    assert refused.keys() == {pull.number, other.number}
    assert refused[other.number].text.endswith(
        "To mend it, let mergeq's account push to this branch, in its protection's restrictions"
    )
    assert hits(github, "/merge") == 1


def test_a_branch_that_was_stopped_goes_on_by_itself_once_it_is_mended(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.protect("acme/rocket", "main", restrictions=Restrictions(users=("ana",)))
    pulls = [
        github.world.open_pull("acme/rocket", title=name, files={f"{name}.txt": "1\n"}, labels=READY)
        for name in ("fins", "wings")
    ]
    github.settle()

    mergeq.sweep_and_work(4)
    asked = hits(github, "/merge")
    said = status_of(github, "acme/rocket", pulls[1].head_sha)[1]
    github.world.unprotect("acme/rocket", "main")
    mergeq.sweep_and_work(3)

    assert (asked, said) == (0, "Not mergeable. Only ana may push to the branch.")
    assert [pull.merged for pull in pulls] == [True, True]
