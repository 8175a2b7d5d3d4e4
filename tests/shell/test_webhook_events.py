"""Deliveries: which are genuine, and what each event touches."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.marks import Announced, Hint, Mark
from mergeq.core.pool import Arrival
from mergeq.core.pull import Branch
from mergeq.github.webhooks import EVENTS, Touched, Watched, is_genuine, touched
from tests.core.trials import trials

EXAMPLES = Path(__file__).parents[2].parent / "shared" / "github-kit" / "webhooks"
HEAD, BEFORE = "a" * 40, "b" * 40
MAIN, NEXT = Branch("acme", "rocket", "main"), Branch("acme", "rocket", "release/1")
BODY = '{"zen": "ü"}'.encode()
WATCHED = Watched("tide", "Tide/Merge-Blocker")
AT, NOON = 1767323045.0, "2026-01-02T03:04:05Z"
UPDATED, LEFT = Hint(Announced.UPDATED, at=AT), Hint(Announced.LEFT, at=AT)
NOTHING = Touched("acme", "acme/rocket")
EVERYTHING_KNOWN = Touched("acme", "acme/rocket", scopes=("acme/rocket",))
WITH_PULLS = Touched("acme", "acme/rocket", scopes=("acme/rocket",), with_pulls=True)


def signed(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


# Is it from GitHub?


def test_a_delivery_signed_with_the_secret_is_genuine() -> None:
    assert is_genuine(BODY, signed(BODY, "s3cret"), ["s3cret"])


def test_the_signature_that_github_documents_is_genuine() -> None:
    """The worked example of GitHub's page on validating deliveries."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    assert is_genuine(b"Hello, World!", signature, ["It's a Secret to Everybody"])


def test_while_a_secret_is_exchanged_both_are_taken() -> None:
    assert is_genuine(BODY, signed(BODY, "old"), ["new", "old"])
    assert is_genuine(BODY, signed(BODY, "new"), ["new", "old"])


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="none"),
        pytest.param(signed(BODY, "other"), id="another secret"),
        pytest.param(signed(BODY + b" ", "s3cret"), id="another body"),
        pytest.param(signed(BODY, "s3cret").removeprefix("sha256="), id="no algorithm"),
        pytest.param(signed(BODY, "s3cret").replace("sha256=", "sha1="), id="another algorithm"),
        pytest.param(signed(BODY, "s3cret")[:-1], id="cut"),
        pytest.param("sha256=ünïcode", id="not ASCII"),
        pytest.param("sha256=\udcff", id="not even text"),
    ],
)
def test_any_other_signature_is_not_genuine(signature: str) -> None:
    assert not is_genuine(BODY, signature, ["s3cret"])


def test_without_a_secret_nothing_is_genuine() -> None:
    assert not is_genuine(BODY, signed(BODY, ""), [])


# What does it touch?


def payload(action: str | None = None, **parts: Any) -> dict[str, Any]:
    said = {} if action is None else {"action": action}
    return {**said, "repository": {"full_name": "acme/rocket", "id": 1}, **parts}


def pull(**changes: Any) -> dict[str, Any]:
    return {
        "number": 7,
        "node_id": "PR_7",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": NOON,
        "base": {"ref": "main"},
        "head": {"sha": HEAD},
        **changes,
    }


def touching(*marks: Mark, **more: Any) -> Touched:
    return Touched("acme", "acme/rocket", marks, **more)


PULL = Mark(MAIN, 7, "PR_7", UPDATED)
GONE = Mark(MAIN, 7, "PR_7", LEFT)


@pytest.mark.parametrize(
    "action",
    [
        *("labeled", "unlabeled", "edited", "reopened", "ready_for_review", "converted_to_draft", "milestoned"),
        *("demilestoned", "enqueued", "dequeued", "something_new"),
    ],
)
def test_what_may_decide_about_a_pull_request_touches_it_alone(action: str) -> None:
    assert touched("pull_request", payload(action, pull_request=pull()), WATCHED) == touching(PULL)


@pytest.mark.parametrize(
    "action",
    [
        *("assigned", "unassigned", "review_requested", "review_request_removed", "locked", "unlocked"),
        *("auto_merge_enabled", "auto_merge_disabled"),
    ],
)
def test_what_decides_nothing_about_a_pull_request_touches_nothing(action: str) -> None:
    assert touched("pull_request", payload(action, pull_request=pull()), WATCHED) == NOTHING


def test_a_closed_pull_request_is_not_to_be_seen_any_more() -> None:
    assert touched("pull_request", payload("closed", pull_request=pull()), WATCHED) == touching(GONE)


def test_a_retargeted_pull_request_has_left_its_former_base() -> None:
    delivery = payload("edited", pull_request=pull(), changes={"base": {"ref": {"from": "release/1"}}})

    assert touched("pull_request", delivery, WATCHED) == touching(PULL, Mark(NEXT, 7, "PR_7", LEFT))


@pytest.mark.parametrize(
    ("action", "came"),
    [
        ("opened", Arrival(HEAD, 1767225600.0, original=True)),
        ("synchronize", Arrival(HEAD, AT)),
    ],
)
def test_a_new_head_arrives_when_github_says_it_did(action: str, came: Arrival) -> None:
    found = touched("pull_request", payload(action, pull_request=pull()), WATCHED)

    assert found == touching(PULL, arrival=(7, came))


def test_what_an_older_server_does_not_tell_of_a_pull_request_is_gone_without() -> None:
    bare = {"number": 7, "base": {"ref": "main"}}

    assert touched("pull_request", payload("labeled", pull_request=bare), WATCHED) == touching(Mark(MAIN, 7))


@pytest.mark.parametrize(
    ("event", "action"),
    [
        ("pull_request_review", "submitted"),
        ("pull_request_review", "dismissed"),
        ("pull_request_review_thread", "resolved"),
        ("pull_request_review_comment", "created"),
        ("pull_request_review_comment", "deleted"),
    ],
)
def test_reviews_and_conversations_touch_their_pull_request(event: str, action: str) -> None:
    assert touched(event, payload(action, pull_request=pull()), WATCHED) == touching(PULL)


def test_a_comment_of_a_review_that_is_reworded_touches_nothing() -> None:
    assert touched("pull_request_review_comment", payload("edited", pull_request=pull()), WATCHED) == NOTHING


def test_a_push_touches_the_branch_that_it_moved_away_from_a_commit() -> None:
    found = touched("push", payload(ref="refs/heads/release/1", before=BEFORE), WATCHED)

    assert found == touching(Mark(NEXT, hint=Hint(Announced.MOVED, name=BEFORE)))


def test_a_pushed_tag_touches_nothing() -> None:
    assert touched("push", payload(ref="refs/tags/v1", before=BEFORE), WATCHED) == NOTHING


def test_a_deleted_branch_is_touched_and_a_deleted_tag_is_not() -> None:
    assert touched("delete", payload(ref="release/1", ref_type="branch"), WATCHED) == touching(Mark(NEXT))
    assert touched("delete", payload(ref="v1", ref_type="tag"), WATCHED) == NOTHING


def test_githubs_own_queue_at_work_touches_its_base() -> None:
    group = {"base_ref": "refs/heads/main"}

    assert touched("merge_group", payload("checks_requested", merge_group=group), WATCHED) == touching(Mark(MAIN))


@pytest.mark.parametrize(("state", "ended"), [("pending", False), ("success", True), ("failure", True)])
def test_a_status_touches_whatever_has_that_head(state: str, ended: bool) -> None:
    found = touched("status", payload(sha=HEAD, context="ci/test", state=state, created_at=NOON), WATCHED)

    assert found == touching(head=HEAD, hint=Hint(Announced.REPORTED, at=AT, name="ci/test", ended=ended))


@pytest.mark.parametrize("context", ["tide", "Tide"])
def test_our_own_status_touches_nothing(context: str) -> None:
    """Otherwise every status that is posted would bring the next look."""
    assert touched("status", payload(sha=HEAD, context=context, state="pending"), WATCHED) == NOTHING


def check_run(*pulls: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": 70, "name": "build", "status": "in_progress", "head_sha": HEAD, "pull_requests": [*pulls], **changes}


def named(number: int, repo: int = 1, head: str = HEAD) -> dict[str, Any]:
    return {"number": number, "base": {"ref": "main", "repo": {"id": repo}}, "head": {"sha": head}}


@pytest.mark.parametrize(("status", "ended"), [("queued", False), ("in_progress", False), ("completed", True)])
def test_a_check_run_touches_whatever_has_that_head(status: str, ended: bool) -> None:
    found = touched("check_run", payload("created", check_run=check_run(status=status)), WATCHED)

    assert found == touching(head=HEAD, hint=Hint(Announced.REPORTED, name="build", serial=70, ended=ended))


def test_a_check_run_touches_the_pull_requests_of_its_repository_whose_head_it_is_about() -> None:
    run = check_run(named(7), named(8, repo=2), named(9, head=BEFORE))

    found = touched("check_run", payload("created", check_run=run), WATCHED)

    assert found is not None
    assert [(mark.branch, mark.number, mark.hint) for mark in found.marks] == [(MAIN, 7, found.hint)]


def test_a_run_that_is_asked_for_again_is_not_told_as_it_will_be() -> None:
    again = touched("check_run", payload("rerequested", check_run=check_run(named(7), status="completed")), WATCHED)

    assert again == touching(Mark(MAIN, 7), head=HEAD)
    assert touched("check_run", payload("requested_action", check_run=check_run(named(7))), WATCHED) == NOTHING


def test_a_suite_touches_its_head_when_it_is_over() -> None:
    suite = {"head_sha": HEAD}

    assert touched("check_suite", payload("completed", check_suite=suite), WATCHED) == touching(head=HEAD)
    assert touched("check_suite", payload("requested", check_suite=suite), WATCHED) == NOTHING


BLOCKER, OTHER = {"name": "tide/merge-blocker"}, {"name": "bug"}


@pytest.mark.parametrize("action", ["opened", "edited", "closed", "reopened", "deleted", "transferred"])
def test_an_issue_touches_all_branches_when_it_is_a_blocker(action: str) -> None:
    blocker, other, untold = {"labels": [OTHER, BLOCKER]}, {"labels": [OTHER]}, dict[str, Any]()

    assert touched("issues", payload(action, issue=blocker), WATCHED) == EVERYTHING_KNOWN
    assert touched("issues", payload(action, issue=untold), WATCHED) == EVERYTHING_KNOWN
    assert touched("issues", payload(action, issue=other), WATCHED) == NOTHING
    assert touched("issues", payload(action, issue=blocker), Watched("tide")) == NOTHING


@pytest.mark.parametrize("action", ["labeled", "unlabeled"])
def test_an_issue_becomes_a_blocker_by_its_label_and_by_no_other(action: str) -> None:
    issue = {"labels": [BLOCKER]}

    assert touched("issues", payload(action, issue=issue, label=BLOCKER), WATCHED) == EVERYTHING_KNOWN
    assert touched("issues", payload(action, issue=issue, label=OTHER), WATCHED) == NOTHING


def test_of_a_blockers_text_only_the_title_counts() -> None:
    edited = payload("edited", issue={"labels": [BLOCKER]})

    assert touched("issues", {**edited, "changes": {"body": {"from": "x"}}}, WATCHED) == NOTHING
    assert touched("issues", {**edited, "changes": {"title": {"from": "x"}}}, WATCHED) == EVERYTHING_KNOWN
    assert touched("issues", payload("assigned", issue={"labels": [BLOCKER]}), WATCHED) == NOTHING


@pytest.mark.parametrize(("event", "name"), [("label", "name"), ("milestone", "title")])
def test_labels_and_milestones_by_another_name_or_none_touch_whatever_carries_them(event: str, name: str) -> None:
    assert touched(event, payload("edited", changes={name: {"from": "x"}}), WATCHED) == WITH_PULLS
    assert touched(event, payload("deleted"), WATCHED) == WITH_PULLS
    assert touched(event, payload("edited", changes={"description": {"from": "x"}}), WATCHED) == NOTHING
    assert touched(event, payload("created"), WATCHED) == NOTHING


@pytest.mark.parametrize("action", ["archived", "deleted", "privatized", "publicized", "edited"])
def test_a_repository_touches_its_branches(action: str) -> None:
    assert touched("repository", payload(action), WATCHED) == EVERYTHING_KNOWN


def test_what_describes_a_repository_touches_nothing() -> None:
    described = {"description": {"from": "x"}, "topics": {"from": []}}

    assert touched("repository", payload("edited", changes=described), WATCHED) == NOTHING
    assert touched("repository", payload("created"), WATCHED) == NOTHING


@pytest.mark.parametrize(
    ("action", "changes", "former"),
    [
        ("renamed", {"repository": {"name": {"from": "missile"}}}, "acme/missile"),
        ("transferred", {"owner": {"from": {"user": {"login": "ana"}}}}, "ana/rocket"),
        ("transferred", {"owner": {"from": {"organization": {"login": "hooli"}}}}, "hooli/rocket"),
    ],
)
def test_a_repository_with_another_name_is_looked_for_under_both(action: str, changes: Any, former: str) -> None:
    found = touched("repository", payload(action, changes=changes), WATCHED)

    assert found == Touched("acme", "acme/rocket", scopes=("acme/rocket", former), sweep=True)


@pytest.mark.parametrize(
    ("event", "delivery", "with_pulls"),
    [
        ("branch_protection_rule", payload("edited", changes={"admin_enforced": {"from": True}}), False),
        ("branch_protection_rule", payload("edited", changes={"require_code_owner_review": {"from": True}}), True),
        ("branch_protection_rule", payload("created", rule={"pull_request_reviews_enforcement_level": "off"}), False),
        ("branch_protection_rule", payload("deleted", rule={"pull_request_reviews_enforcement_level": "all"}), True),
        ("branch_protection_rule", payload("deleted", rule={}), True),
        ("branch_protection_configuration", payload("disabled"), True),
        ("repository_ruleset", payload("created", repository_ruleset={"rules": [{"type": "deletion"}]}), False),
        ("repository_ruleset", payload("created", repository_ruleset={"rules": [{"type": "pull_request"}]}), True),
        ("repository_ruleset", payload("deleted", repository_ruleset={}), True),
        (
            "repository_ruleset",
            payload(
                "edited",
                repository_ruleset={"rules": []},
                changes={"rules": {"updated": [{"rule": {"type": "pull_request"}}]}},
            ),
            True,
        ),
    ],
)
def test_rules_touch_all_branches_and_pull_requests_only_where_they_are_about_reviews(
    event: str, delivery: Any, with_pulls: bool
) -> None:
    assert touched(event, delivery, WATCHED) == (WITH_PULLS if with_pulls else EVERYTHING_KNOWN)


def test_a_ruleset_of_an_organization_touches_all_its_branches_and_one_of_tags_nothing() -> None:
    organization = {"action": "edited", "organization": {"login": "acme"}}
    rules = {"target": "branch", "rules": []}

    assert touched("repository_ruleset", {**organization, "repository_ruleset": rules}, WATCHED) == Touched(
        "acme", scopes=("acme",)
    )
    assert touched("repository_ruleset", payload(repository_ruleset={"target": "tag"}), WATCHED) == NOTHING
    assert touched("repository_ruleset", {"action": "edited", "repository_ruleset": rules}, WATCHED) is None


def installed(action: str, **parts: Any) -> dict[str, Any]:
    return {"action": action, "installation": {"account": {"login": "acme"}}, **parts}


@pytest.mark.parametrize("action", ["created", "unsuspend", "new_permissions_accepted"])
def test_where_the_app_comes_to_a_sweep_is_due(action: str) -> None:
    assert touched("installation", installed(action), WATCHED) == Touched("acme", sweep=True)


@pytest.mark.parametrize("action", ["deleted", "suspend"])
def test_where_the_app_goes_away_every_branch_is_touched(action: str) -> None:
    assert touched("installation", installed(action), WATCHED) == Touched("acme", scopes=("acme",))


def test_repositories_that_the_app_is_given_are_swept_for_and_those_it_loses_are_touched() -> None:
    given = installed("added", repositories_added=[{"full_name": "acme/rocket"}], repositories_removed=[])
    lost = installed("removed", repositories_added=[], repositories_removed=[{"full_name": "acme/rocket"}])

    assert touched("installation_repositories", given, WATCHED) == Touched("acme", sweep=True)
    assert touched("installation_repositories", lost, WATCHED) == Touched("acme", scopes=("acme/rocket",))


@pytest.mark.parametrize(
    ("event", "delivery"),
    [
        ("organization", {"organization": {"login": "acme"}}),
        ("installation_target", {"account": {"login": "acme"}}),
    ],
)
def test_an_owner_with_another_name_is_looked_for_under_both(event: str, delivery: dict[str, Any]) -> None:
    renamed = {**delivery, "action": "renamed", "changes": {"login": {"from": "hooli"}}}

    assert touched(event, renamed, WATCHED) == Touched("acme", scopes=("hooli",), sweep=True)
    assert touched(event, {**delivery, "action": "member_added"}, WATCHED) == Touched("acme")


@pytest.mark.parametrize("event", ["ping", "issue_comment", "star", "member", "team", "create", "workflow_run", "new"])
def test_other_events_touch_nothing_and_say_whose_they_are(event: str) -> None:
    assert touched(event, payload("created", pull_request=pull(), ref="refs/heads/main"), WATCHED) == NOTHING
    assert touched(event, {"organization": {"login": "acme"}}, WATCHED) == Touched("acme")
    assert touched(event, {}, WATCHED) == Touched()


READ = sorted(EVENTS - {"installation", "installation_repositories", "installation_target", "organization"})


@pytest.mark.parametrize("event", READ)
@pytest.mark.parametrize(
    "malformed",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="a list"),
        pytest.param("text", id="text"),
        pytest.param(7, id="a number"),
        pytest.param({"repository": "acme/rocket"}, id="a repository that is a text"),
        pytest.param({"repository": {"id": 1}}, id="a nameless repository"),
        pytest.param({"repository": {"full_name": None}}, id="a null name"),
        pytest.param({"repository": {"full_name": "rocket"}}, id="a name without org"),
        pytest.param({"repository": {"full_name": "a/b/c"}}, id="a name of three parts"),
        pytest.param({"repository": {"full_name": "a b/c"}}, id="a name with a blank"),
        pytest.param({"repository": {"full_name": "a/\ud800"}}, id="a name that is no text"),
    ],
)
def test_a_delivery_of_no_repository_that_can_be_read_is_not_read(event: str, malformed: object) -> None:
    assert touched(event, malformed, WATCHED) is None


@pytest.mark.parametrize(
    ("event", "parts"),
    [
        pytest.param("pull_request", {}, id="no pull request"),
        pytest.param("pull_request", {"pull_request": None}, id="a null pull request"),
        pytest.param("pull_request", {"pull_request": pull(base={})}, id="no base"),
        pytest.param("pull_request", {"pull_request": pull(base={"ref": []})}, id="a base that is a list"),
        pytest.param("pull_request", {"pull_request": pull(base={"ref": "a\nb 1"})}, id="a base of two lines"),
        pytest.param("pull_request", {"pull_request": pull(number="7")}, id="a number that is a text"),
        pytest.param("pull_request", {"pull_request": pull(number=0)}, id="no number"),
        pytest.param("pull_request", {"pull_request": pull(number=10**14)}, id="a number beyond all counting"),
        pytest.param("pull_request", {"pull_request": pull(updated_at="0001-01-01")}, id="a time before all time"),
        pytest.param("pull_request", {"pull_request": pull(), "changes": {"base": {"x": 1}}}, id="no former base"),
        pytest.param("push", {}, id="no ref"),
        pytest.param("push", {"ref": None}, id="a null ref"),
        pytest.param("status", {"sha": HEAD}, id="no context"),
        pytest.param("status", {"context": "ci"}, id="no commit"),
        pytest.param("status", {"sha": HEAD, "context": 7}, id="a context that is a number"),
        pytest.param("check_run", {"check_run": {}}, id="no head"),
        pytest.param("check_run", {"check_run": check_run(id=10**17)}, id="an id beyond all counting"),
        pytest.param("check_suite", {}, id="no suite"),
    ],
)
def test_a_delivery_without_its_subject_is_not_read(event: str, parts: dict[str, Any]) -> None:
    assert touched(event, payload("created", **parts), WATCHED) is None


# GitHub's own examples


def told(found: Touched | None) -> str:
    """What is touched, in a line."""
    assert found is not None
    bearers = [f"what has {found.head[:7]}"] if found.head else []
    pulls = " and their pull requests" if found.with_pulls else ""
    marks = [f"{mark.branch.name}{f'#{mark.number}' if mark.number else ''}{_said(mark.hint)}" for mark in found.marks]
    came = [f"{found.arrival[0]} arrived"] if found.arrival else []
    every = [f"all of {scope}{pulls}" for scope in found.scopes]
    return "; ".join(
        [*marks, *(f"{one}{_said(found.hint)}" for one in bearers), *came, *every, *["sweep"] * found.sweep]
    )


def _said(hint: Hint | None) -> str:
    return "" if hint is None else f" {hint.what}{' ended' * hint.ended}"


HELLO = "all of Codertocat/Hello-World"
OCTO = "all of octo-org/octo-repo"
TOUCHES: dict[str, tuple[tuple[int, str, str], ...]] = {
    "branch_protection_rule": (
        (1, "edited", OCTO),
        (1, "created", "all of wolfy1339/octoherd-script-replace-pika-with-esbuild and their pull requests"),
        (1, "created", OCTO),
        (1, "deleted", OCTO),
        (1, "edited", f"{OCTO} and their pull requests"),
    ),
    "check_run": (
        (1, "created", "master#2 reported; what has ec26c3e reported"),
        (3, "completed", "master#2 reported ended; what has ec26c3e reported ended"),
        (2, "created", "master#2 reported; what has ec26c3e reported"),
        (1, "requested_action", ""),
        (2, "rerequested", "what has d6fde92"),
    ),
    "check_suite": ((4, "completed", "what has ec26c3e"), (3, "requested", ""), (2, "rerequested", "")),
    "create": ((5, "", ""),),
    "delete": ((4, "", ""),),
    "installation": (
        (1, "deleted", "all of octocat"),
        (2, "created", "sweep"),
        (1, "deleted", "all of octocat"),
        (1, "new_permissions_accepted", "sweep"),
        (1, "suspend", "all of Codertocat"),
        (1, "unsuspend", "sweep"),
    ),
    "installation_repositories": ((2, "added", "sweep"), (1, "removed", "all of octocat/Hello-World")),
    "issue_comment": ((5, "created", ""), (2, "deleted", ""), (2, "edited", "")),
    "issues": (
        (1, "edited", HELLO),
        (3, "assigned", ""),
        (1, "deleted", HELLO),
        (2, "demilestoned", ""),
        (2, "edited", HELLO),
        (2, "labeled", HELLO),
        (2, "locked", ""),
        (2, "milestoned", ""),
        (4, "opened", HELLO),
        (1, "pinned", ""),
        (1, "reopened", HELLO),
        (1, "transferred", ""),
        (2, "unassigned", ""),
        (2, "unlabeled", HELLO),
        (2, "unlocked", ""),
        (1, "unpinned", ""),
    ),
    "label": (
        (1, "deleted", f"{HELLO} and their pull requests"),
        (3, "created", ""),
        (1, "deleted", f"{HELLO} and their pull requests"),
        (1, "edited", ""),
    ),
    "member": ((3, "added", ""), (1, "edited", "")),
    "membership": ((1, "removed", ""), (1, "added", ""), (3, "removed", "")),
    "merge_group": ((2, "checks_requested", "main"),),
    "organization": ((3, "member_added", ""), (1, "member_invited", ""), (1, "renamed", "all of Octocoders; sweep")),
    "ping": ((4, "", ""),),
    "pull_request": (
        (1, "opened", "master#2 updated; 2 arrived"),
        (2, "assigned", ""),
        (2, "closed", "master#2 left"),
        (3, "converted_to_draft", "master#2 updated"),
        (2, "labeled", "master#2 updated"),
        (2, "locked", ""),
        (3, "opened", "master#2 updated; 2 arrived"),
        (3, "ready_for_review", "master#2 updated"),
        (2, "reopened", "master#2 updated"),
        (1, "review_request_removed", ""),
        (1, "review_requested", ""),
        (1, "synchronize", "master#2 updated; 2 arrived"),
        (2, "unassigned", ""),
        (2, "unlabeled", "master#2 updated"),
        (2, "unlocked", ""),
    ),
    "pull_request_review": (
        (1, "submitted", "master#2 updated"),
        (1, "dismissed", "master#2 updated"),
        (2, "submitted", "master#2 updated"),
    ),
    "pull_request_review_comment": (
        (3, "created", "master#2 updated"),
        (1, "deleted", "master#2 updated"),
        (1, "edited", ""),
    ),
    "pull_request_review_thread": (
        (1, "resolved", "master#118 updated"),
        (1, "resolved", "master#2 updated"),
        (1, "unresolved", "master#2 updated"),
    ),
    "push": ((4, "", ""), (2, "", "master moved"), (1, "", "")),
    "repository": (
        (1, "publicized", HELLO),
        (2, "created", ""),
        (1, "edited", ""),
        (1, "edited", "all of Octocoders/Hello-World"),
        (2, "privatized", HELLO),
        (2, "publicized", HELLO),
        (1, "renamed", "all of Octocoders/Hello-World; sweep"),
        (3, "transferred", "all of Octocoders/Hello-World; all of octocat/Hello-World; sweep"),
    ),
    "repository_ruleset": ((1, "created", OCTO), (1, "edited", OCTO), (1, "deleted", OCTO)),
    "status": ((4, "", "what has 6113728 reported ended"),),
    "team": (
        (2, "added_to_repository", ""),
        (1, "created", ""),
        (1, "deleted", ""),
        (1, "edited", ""),
        (1, "removed_from_repository", ""),
    ),
    "workflow_run": ((3, "completed", ""), (2, "requested", "")),
}
"""What each of GitHub's examples touches, in their order: how many in a row, their action, and all that is touched."""

needs_examples = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="GitHub's example deliveries do not lie beside this checkout"
)


def examples(event: str) -> list[dict[str, Any]]:
    (file,) = [one for one in EXAMPLES.glob("*.json") if one.name.split(".")[0] == event]
    return list(json.loads(file.read_text(encoding="utf-8")))


@needs_examples
@pytest.mark.parametrize("event", TOUCHES)
def test_every_example_that_github_publishes_touches_what_it_is_about(event: str) -> None:
    wanted = [(action, what) for count, action, what in TOUCHES[event] for _ in range(count)]
    watched = Watched("tide", "BUG")

    found = [(one.get("action", ""), told(touched(event, one, watched))) for one in examples(event)]

    assert found == wanted


@needs_examples
def test_no_example_is_left_out_and_every_event_is_known() -> None:
    assert {file.name.split(".")[0] for file in EXAMPLES.glob("*.json")} == set(TOUCHES)
    assert set(TOUCHES) <= EVENTS


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything that a payload is made of, four steps deep."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [here, *(path for key, one in inner if len(here) < 4 for path in paths(one, (*here, key)))]


def without(value: Any, path: tuple[Any, ...], *instead: Any) -> Any:
    """A payload in which one thing is gone, or another is in its place."""
    if not path:
        return instead[0] if instead else None
    key, *rest = path
    copy = value.copy()
    if rest or instead:
        copy[key] = without(value[key], tuple(rest), *instead)
    else:
        del copy[key]
    return copy


OWN = {
    "pull_request": [payload("edited", pull_request=pull(), changes={"base": {"ref": {"from": "old"}}})],
    "pull_request_review": [payload("submitted", pull_request=pull())],
    "push": [payload(ref="refs/heads/main", before=BEFORE)],
    "status": [payload(sha=HEAD, context="ci", state="success", created_at=NOON)],
    "check_run": [payload("created", check_run=check_run(named(7)))],
    "issues": [payload("labeled", issue={"labels": [BLOCKER]}, label=BLOCKER)],
    "repository": [payload("renamed", changes={"repository": {"name": {"from": "missile"}}})],
    "installation_repositories": [
        installed("added", repositories_added=[], repositories_removed=[{"full_name": "a/b"}])
    ],
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None, categories=None), max_size=8),
    st.sampled_from(["", "closed", "a/b", "2026-01-02", NOON, "\ud800", "refs/heads/ x", 2**64, -1]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)


@pytest.mark.parametrize("event", sorted({*TOUCHES, *OWN}))
@given(data=st.data())
@trials(25)
def test_whatever_a_payload_lacks_or_has_instead_nothing_raises_and_what_is_touched_can_be_written_down(
    event: str, data: st.DataObject
) -> None:
    real = examples(event) if EXAMPLES.is_dir() and event in TOUCHES else []
    delivery = data.draw(st.sampled_from([*OWN.get(event, ()), *real, payload("edited")]))
    for _ in range(data.draw(st.integers(1, 4))):
        if isinstance(delivery, dict):
            path = data.draw(st.sampled_from(paths(delivery)))
            delivery = without(delivery, path, *data.draw(st.lists(ODD, max_size=1)))

    found = touched(event, delivery, WATCHED)

    for mark in found.marks if found else ():
        assert Branch.parse(str(mark.branch)) == mark.branch
        assert len(str(mark.branch).encode().split()) == 1
    assert msgspec.json.encode(found)
