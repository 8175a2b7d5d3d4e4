from __future__ import annotations

from typing import Any

import pytest

from mergeq.sandbox import MergeRefused, Sandbox
from mergeq.sandbox.git_objects import GITHUB
from mergeq.sandbox.records import Pull, Settings
from tests.sandbox.conftest import Query, Rest


def open_two_commits(sandbox: Sandbox, **more: Any) -> Pull:
    return sandbox.world.open_pull(
        "acme/rocket", title="Add both", commits=[{"a.txt": "a\n"}, {"b.txt": "b\n"}], **more
    )


def test_a_merge_has_both_parents_the_merged_tree_and_the_defaults_of_github(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    pull = open_two_commits(sandbox)
    base = git.tip("main")
    expected = git.merge_tree(str(base), pull.head_sha)

    answer = rest("PUT", "/pulls/1/merge")

    assert answer.status_code == 200
    assert answer.json() == {
        "sha": git.tip("main"),
        "merged": True,
        "message": "Pull Request successfully merged",
    }
    landed = git.commit(answer.json()["sha"])
    assert (landed.parents, landed.tree) == ((base, pull.head_sha), expected)
    assert landed.message == "Merge pull request #1 from acme/ana-patch-1\n\nAdd both"
    assert (landed.author.name, landed.committer) == ("mergeq-bot", GITHUB)
    assert (pull.state, pull.merged, pull.merged_by, pull.merge_commit_sha) == (
        "closed",
        True,
        "mergeq-bot",
        landed.sha,
    )


def test_a_squash_is_one_commit_by_the_author_that_lists_the_messages(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    pull = open_two_commits(sandbox)
    base = git.tip("main")

    landed = git.commit(rest("PUT", "/pulls/1/merge", merge_method="squash", sha=pull.head_sha).json()["sha"])

    assert (landed.parents, landed.tree) == ((base,), git.commit(pull.head_sha).tree)
    assert landed.message == "Add both (#1)\n\n* Add both (1 of 2)\n\n* Add both (2 of 2)"
    assert (landed.author.name, landed.committer) == ("ana", GITHUB)


def test_a_rebase_writes_every_commit_anew_and_keeps_its_author(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    pull = open_two_commits(sandbox)
    sandbox.world.push("acme/rocket", "main", {"c.txt": "c\n"})
    base = str(git.tip("main"))

    landed = git.commit(rest("PUT", "/pulls/1/merge", merge_method="rebase").json()["sha"])

    (first, _), (second, parents) = git.new_commits(base, landed.sha)
    assert (second, parents) == (landed.sha, (first,))
    assert git.commit(first).parents == (base,)
    assert [git.commit(sha).headline for sha in (first, second)] == ["Add both (1 of 2)", "Add both (2 of 2)"]
    assert {(git.commit(sha).author.name, git.commit(sha).committer) for sha in (first, second)} == {("ana", GITHUB)}
    assert git.files_at(landed.sha, ["a.txt", "b.txt", "c.txt"]).keys() == {"a.txt", "b.txt", "c.txt"}
    assert pull.merge_commit_sha == landed.sha


def test_titles_and_messages_that_are_given_replace_the_defaults(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    for title in ("One", "Two", "Three"):
        sandbox.world.open_pull("acme/rocket", title=title, files={f"{title}.txt": "x\n"})

    asked: list[dict[str, str]] = [
        {"merge_method": "squash", "commit_title": "T", "commit_message": "M"},
        {"merge_method": "squash", "commit_title": "", "commit_message": ""},
        {"merge_method": "merge", "commit_message": " "},
    ]
    said = [rest("PUT", f"/pulls/{n}/merge", **fields).json()["sha"] for n, fields in enumerate(asked, start=1)]

    assert [git.commit(sha).message for sha in said] == [
        "T\n\nM",
        "Two (#2)",
        "Merge pull request #3 from acme/ana-patch-3",
    ]


def test_a_fork_merges_by_its_head_which_lives_in_the_base_repository(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    pull = open_two_commits(sandbox, fork="ana")

    shown = rest("GET", "/pulls/1").json()
    landed = rest("PUT", "/pulls/1/merge").json()["sha"]

    assert shown["head"]["repo"]["full_name"] == "ana/rocket"
    assert git.refs()["refs/pull/1/head"] == pull.head_sha
    assert git.tip(pull.head_ref) is None
    assert git.commit(landed).message.startswith("Merge pull request #1 from ana/ana-patch-1\n")


def refusal(rest: Rest, number: int = 1, **fields: str) -> tuple[int, str]:
    answer = rest("PUT", f"/pulls/{number}/merge", **fields)
    body = answer.json()
    assert body["status"] == str(answer.status_code)
    assert body["documentation_url"].startswith("https://docs.github.com/")
    return answer.status_code, body["message"]


def test_what_is_not_there_cannot_be_merged(rest: Rest) -> None:
    assert refusal(rest, 9) == (404, "Not Found")


def test_a_conflict_a_closed_and_a_merged_one_are_refused_in_the_same_words(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.open_pull("acme/rocket", title="Conflict", files={"engine.py": "ana\n"})
    closed = world.open_pull("acme/rocket", title="Closed", files={"a.txt": "a\n"})
    merged = world.open_pull("acme/rocket", title="Merged", files={"b.txt": "b\n"})
    world.push("acme/rocket", "main", {"engine.py": "ben\n"})
    world.close_pull(closed)
    world.merge_pull(merged)

    assert {refusal(rest, n) for n in (1, 2, 3)} == {(405, "Pull Request is not mergeable")}
    assert refusal(rest, 1, merge_method="squash") == (405, "Pull Request is not mergeable")


def test_a_draft_is_refused(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Draft", files={"a.txt": "a\n"}, draft=True)

    assert refusal(rest) == (405, "Pull Request is still a draft")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("merge", "Merge commits are not allowed on this repository."),
        ("squash", "Squash merges are not allowed on this repository."),
        ("rebase", "Rebase merges are not allowed on this repository."),
    ],
)
def test_a_method_the_repository_forbids_is_refused(sandbox: Sandbox, method: str, words: str) -> None:
    forbid: dict[str, Any] = {method: False}
    sandbox.world.create_repo("acme/strict", files={"a": "a\n"}, ci=None, **forbid)
    pull = sandbox.world.open_pull("acme/strict", title="Add", files={"b": "b\n"})

    with pytest.raises(MergeRefused) as refused:
        sandbox.world.merge_pull(pull, method=method)

    assert (refused.value.status, refused.value.message) == (405, words)


def test_an_empty_body_asks_for_a_merge_commit(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.create_repo("acme/squashed", files={"a": "a\n"}, ci=None, merge=False)
    sandbox.world.open_pull("acme/squashed", title="Add", files={"b": "b\n"})

    answer = rest("PUT", "//repos/acme/squashed/pulls/1/merge")

    assert answer.json()["message"] == "Merge commits are not allowed on this repository."


def test_what_cannot_be_rebased_is_refused(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Change", files={"engine.py": "ana\n"})
    sandbox.world.push("acme/rocket", "main", {"engine.py": "ben\n"})

    assert refusal(rest, merge_method="rebase") == (405, "This branch can't be rebased")


def test_a_head_that_has_moved_is_a_conflict(sandbox: Sandbox, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    seen = pull.head_sha
    sandbox.world.push_to_pull(pull, {"a.txt": "b\n"})

    words = "Head branch was modified. Review and try the merge again."
    assert refusal(rest, sha=seen) == (409, words)


def test_a_method_or_sha_that_is_none_is_invalid(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})

    assert refusal(rest, merge_method="fold") == (422, "Validation Failed")
    assert refusal(rest, sha="abc") == (422, "Validation Failed")


def test_required_contexts_are_named_with_what_they_lack(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.protect("acme/rocket", "main", required_contexts=["x"])

    assert refusal(rest) == (405, 'Required status check "x" is expected.')
    world.set_status("acme/rocket", pull.head_sha, context="X", state="pending")
    assert refusal(rest) == (405, 'Required status check "x" is pending.')
    world.set_status("acme/rocket", pull.head_sha, context="x", state="error")
    assert refusal(rest) == (405, 'Required status check "x" is failing.')
    world.set_status("acme/rocket", pull.head_sha, context="x")
    world.set_check_run("acme/rocket", pull.head_sha, name="x", status="in_progress")
    assert refusal(rest) == (405, 'Required status check "x" is in progress.')
    world.set_check_run("acme/rocket", pull.head_sha, name="x", conclusion="neutral")
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_several_required_contexts_are_counted(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.protect("acme/rocket", "main", required_contexts=["x", "y", "z"])

    assert refusal(rest)[1] == "3 of 3 required status checks are expected."
    world.set_status("acme/rocket", pull.head_sha, context="x")
    world.set_status("acme/rocket", pull.head_sha, context="y", state="failure")
    assert refusal(rest)[1].startswith("2 of 3 required status checks have not succeeded")


def test_reviews_are_asked_for_and_reasons_are_joined_by_a_blank(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.protect("acme/rocket", "main", required_contexts=["x"], required_reviews=1)

    needed = "At least 1 approving review is required by reviewers with write access."
    assert refusal(rest) == (405, f'Required status check "x" is expected. {needed}')
    world.set_status("acme/rocket", pull.head_sha, context="x")
    world.review(pull, "ben", "CHANGES_REQUESTED")
    assert refusal(rest) == (405, "Changes have been requested.")
    world.review(pull, "ben", "APPROVED")
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_administrators_pass_only_where_protection_lets_them(sandbox: Sandbox) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.protect("acme/rocket", "main", required_contexts=["x"], enforce_admins=False)

    with pytest.raises(MergeRefused, match="is expected"):
        world.merge_pull(pull, by="ben")
    assert world.merge_pull(pull, by="mergeq-bot")


def test_pushing_a_head_into_its_base_merges_it(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    git = world.repo("acme/rocket").git
    first = world.open_pull("acme/rocket", title="One", files={"a.txt": "a\n"})
    other = world.open_pull("acme/rocket", title="Two", files={"b.txt": "b\n"})
    tree = str(git.merge_tree(str(git.tip("main")), first.head_sha))
    staged = git.commit_tree(tree, (str(git.tip("main")), first.head_sha), "Staged", author=GITHUB, when=world.now())

    world.update_ref("acme/rocket", "refs/heads/main", staged)

    assert (first.merged, first.merge_commit_sha, first.merged_by) == (True, staged, "mergeq-bot")
    assert not other.merged
    shown = query('{repository(owner:"acme",name:"rocket"){pullRequest(number:1){state mergeCommit{oid}}}}')
    assert shown["data"]["repository"]["pullRequest"] == {"state": "MERGED", "mergeCommit": {"oid": staged}}


def test_a_squashed_landing_by_push_leaves_the_pull_request_open(sandbox: Sandbox) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="One", files={"a.txt": "a\n"})

    world.push("acme/rocket", "main", {"a.txt": "a\n"})

    assert pull.is_open


def test_deleting_a_branch_closes_what_hangs_on_it(sandbox: Sandbox) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="One", files={"a.txt": "a\n"})

    world.delete_branch("acme/rocket", pull.head_ref)

    assert (pull.state, pull.merged) == ("closed", False)


def test_a_merged_head_is_deleted_where_that_is_the_setting_and_what_stands_on_it_moves_on(
    sandbox: Sandbox, rest: Rest
) -> None:
    world = sandbox.world
    repo = world.repo("acme/rocket")
    repo.settings = Settings(delete_branch_on_merge=True)
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, head="feature")
    stacked = world.open_pull("acme/rocket", title="On top", files={"b.txt": "b\n"}, base="feature")
    kept = world.open_pull("acme/rocket", title="Kept", files={"c.txt": "c\n"}, head="keep")
    world.protect("acme/rocket", "keep")

    answers = [rest("PUT", f"/pulls/{number}/merge").status_code for number in (1, 3)]

    assert answers == [200, 200]
    assert (pull.merged, repo.git.tip("feature"), stacked.state, stacked.base_ref) == (True, None, "open", "main")
    assert (kept.merged, repo.git.tip("keep")) == (True, kept.head_sha)
    assert rest("GET", "").json()["delete_branch_on_merge"] is True


def test_refs_of_pull_requests_are_there_to_be_read(sandbox: Sandbox, rest: Rest) -> None:
    pull = open_two_commits(sandbox)
    for _ in range(2):
        rest("GET", "/pulls/1")

    head, merge = (rest("GET", f"/git/ref/pull/1/{name}").json()["object"]["sha"] for name in ("head", "merge"))
    base = sandbox.world.repo("acme/rocket").git.tip("main")
    writes = [
        rest("PATCH", "/git/refs/pull/1/head", sha=base, force=True),
        rest("DELETE", "/git/refs/pull/1/merge"),
        rest("POST", "/git/refs", ref="refs/pull/2/head", sha=base),
    ]

    assert (head, sandbox.world.repo("acme/rocket").git.commit(merge).parents) == (pull.head_sha, (base, pull.head_sha))
    assert [(answer.status_code, answer.json()["message"]) for answer in writes] == [
        (422, "Reference update failed")
    ] * 3


@pytest.mark.parametrize(("method", "merged"), [("merge", True), ("squash", False), ("rebase", False)])
def test_a_push_marks_as_merged_only_what_it_brings_in_itself(
    sandbox: Sandbox, rest: Rest, method: str, merged: bool
) -> None:
    world = sandbox.world
    pull = open_two_commits(sandbox)
    world.push("acme/rocket", "main", {"c.txt": "c\n"})
    before = str(world.repo("acme/rocket").git.tip("main"))
    landed = rest("PUT", "/pulls/1/merge", merge_method=method).json()["sha"]
    world.update_ref("acme/rocket", "refs/heads/main", before, force=True)
    again = world.open_pull("acme/rocket", title="Again", head=pull.head_ref)

    world.update_ref("acme/rocket", "refs/heads/main", landed)

    assert again.merged is merged


@pytest.mark.parametrize(
    ("settings", "method", "message"),
    [
        (Settings(), "squash", "Add both (#1)\n\n* Add both (1 of 2)\n\n* Add both (2 of 2)"),
        (Settings(squash_merge_commit_message="PR_BODY"), "squash", "Add both (#1)\n\nwhy"),
        (Settings(squash_merge_commit_message="BLANK"), "squash", "Add both (#1)"),
        (
            Settings(squash_merge_commit_title="COMMIT_OR_PR_TITLE", squash_merge_commit_message="BLANK"),
            "squash",
            "Add both (#1)",
        ),
        (Settings(merge_commit_title="PR_TITLE", merge_commit_message="PR_BODY"), "merge", "Add both (#1)\n\nwhy"),
        (Settings(merge_commit_message="BLANK"), "merge", "Merge pull request #1 from acme/ana-patch-1"),
    ],
)
def test_the_message_is_what_the_settings_say(sandbox: Sandbox, settings: Settings, method: str, message: str) -> None:
    repo = sandbox.world.repo("acme/rocket")
    repo.settings = settings
    pull = open_two_commits(sandbox, body="why")

    landed = sandbox.world.merge_pull(pull, method=method)

    assert repo.git.commit(landed).message == message


def test_the_title_of_the_only_commit_may_be_the_headline(sandbox: Sandbox) -> None:
    repo = sandbox.world.repo("acme/rocket")
    repo.settings = Settings(squash_merge_commit_title="COMMIT_OR_PR_TITLE")
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.world.edit_title(pull, "Add more")

    assert repo.git.commit(sandbox.world.merge_pull(pull, method="squash")).message == "Add (#1)"
