from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mergeq.sandbox import RefusedError, Sandbox
from mergeq.sandbox.git import clean_environment
from tests.sandbox.conftest import Query, Rest

READ_ONLY = (403, "Repository was archived so is read-only.")


def test_a_renamed_label_is_renamed_wherever_it_stands(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=["lgtm", "hold"])
    issue = world.open_issue("acme/rocket", "Freeze", labels=["lgtm"])
    world.add_hook("http://127.0.0.1:9/", "x", events=["label", "pull_request"])

    world.rename_label("acme/rocket", "LGTM", "approved: yes")
    sandbox.settle()

    shown = query(
        """{ repository(owner: "acme", name: "rocket") { labels(first: 5) { nodes { name } } pullRequest(number: 1) {
          labels(first: 5) { nodes { name } }
          timelineItems(last: 5, itemTypes: [LABELED_EVENT]) { nodes { ... on LabeledEvent { label { name } } } }
        } } }"""
    )["data"]["repository"]
    assert (pull.labels, issue.labels) == (["approved: yes", "hold"], ["approved: yes"])
    assert shown["pullRequest"]["labels"]["nodes"] == [{"name": "approved: yes"}, {"name": "hold"}]
    assert shown["pullRequest"]["timelineItems"]["nodes"][0] == {"label": {"name": "approved: yes"}}
    assert sorted(node["name"] for node in shown["labels"]["nodes"]) == ["approved: yes", "hold"]
    assert [(d.event, d.payload["changes"]) for d in world.deliveries] == [("label", {"name": {"from": "lgtm"}})]


def test_a_label_may_change_its_case_but_not_take_anothers_name(sandbox: Sandbox) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=["lgtm", "hold"])

    world.rename_label("acme/rocket", "lgtm", "LGTM")
    with pytest.raises(RefusedError):
        world.rename_label("acme/rocket", "lgtm", "Hold")
    with pytest.raises(KeyError):
        world.rename_label("acme/rocket", "nope", "x")

    assert pull.labels == ["LGTM", "hold"]
    world.remove_label(pull, "lgtm")


def test_an_archived_repository_is_read_only(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    tip = str(world.repo("acme/rocket").git.tip("main"))
    repo = query('{repository(owner: "acme", name: "rocket") { id }}')["data"]["repository"]["id"]
    world.archive("acme/rocket")

    writes = [
        rest("PUT", "/pulls/1/merge"),
        rest("PUT", "/pulls/1/update-branch"),
        rest("PATCH", "/pulls/1", title="x"),
        rest("POST", "/git/refs", ref="refs/heads/x", sha=tip),
        rest("POST", "/merges", base="main", head=pull.head_sha),
        rest("POST", f"/statuses/{tip}", state="success"),
        rest("POST", "/issues/1/comments", body="x"),
        rest("POST", "/issues/1/labels", labels=["x"]),
        rest("DELETE", "/branches/main/protection"),
    ]
    update = """mutation($repo: ID!, $oid: GitObjectID!) { updateRefs(input: {repositoryId: $repo,
      refUpdates: [{name: "refs/heads/x", afterOid: $oid}]}) { clientMutationId } }"""
    refused = query(update, repo=repo, oid=tip)["errors"][0]

    assert {(answer.status_code, answer.json()["message"]) for answer in writes} == {READ_ONLY}
    assert (refused["type"], refused["message"]) == ("FORBIDDEN", READ_ONLY[1])
    assert rest("GET", "").json()["archived"]
    world.archive("acme/rocket", archived=False)
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_nobody_pushes_to_an_archived_repository(served: Sandbox, tmp_path: Path) -> None:
    served.world.archive("acme/rocket")
    address = served.url.replace("http://", f"http://x:{served.token}@") + "/acme/rocket.git"
    commands = (("git", "clone", "-q", address, "here"), ("git", "-C", "here", "push", "origin", "HEAD:refs/heads/x"))

    clone, push = (
        subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
        for command in commands
    )

    assert (clone.returncode, push.returncode) == (0, 128)
    assert "remote: This repository was archived so it is read-only." in push.stderr


def test_settings_are_changed_by_administrators_and_shown_everywhere(
    sandbox: Sandbox, rest: Rest, query: Query
) -> None:
    changed = rest(
        "PATCH",
        "",
        allow_merge_commit=False,
        allow_auto_merge=True,
        squash_merge_commit_message="PR_BODY",
        description="!",
    )
    shown = query(
        """{ repository(owner: "acme", name: "rocket") { mergeCommitAllowed squashMergeAllowed autoMergeAllowed
             squashMergeCommitMessage description viewerDefaultMergeMethod } }"""
    )["data"]["repository"]
    none_left = rest("PATCH", "", allow_squash_merge=False, allow_rebase_merge=False)
    sandbox.world.users.set_role("mergeq-bot", "write")

    assert (changed.status_code, changed.json()["allow_merge_commit"], changed.json()["description"]) == (
        200,
        False,
        "!",
    )
    assert shown == {
        "mergeCommitAllowed": False,
        "squashMergeAllowed": True,
        "autoMergeAllowed": True,
        "squashMergeCommitMessage": "PR_BODY",
        "description": "!",
        "viewerDefaultMergeMethod": "SQUASH",
    }
    assert none_left.status_code == 422
    assert "at least one merge strategy" in none_left.json()["errors"][0]["message"]
    assert rest("PATCH", "", description="?").status_code == 403


def test_an_archived_repository_can_only_be_taken_back(sandbox: Sandbox, rest: Rest) -> None:
    archived = rest("PATCH", "", archived=True).json()["archived"]
    refused = rest("PATCH", "", description="?")
    back = rest("PATCH", "", archived=False).json()["archived"]

    assert (archived, back) == (True, False)
    assert (refused.status_code, refused.json()["message"]) == READ_ONLY
    assert not sandbox.world.repo("acme/rocket").archived


def test_labels_of_a_repository_are_made_changed_and_removed(sandbox: Sandbox, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=["lgtm"])

    made = rest("POST", "/labels", name="kind/bug: 1", color="ff0000", description="it breaks")
    twice = rest("POST", "/labels", name="KIND/bug: 1")
    renamed = rest("PATCH", "/labels/LGTM", new_name="approved", color="00ff00").json()
    set_to = rest("PUT", "/issues/1/labels", labels=["kind/bug: 1"]).json()
    gone = rest("DELETE", "/labels/kind%2Fbug:%201")

    assert (made.status_code, made.json()["description"]) == (201, "it breaks")
    assert (twice.status_code, twice.json()["errors"][0]["code"]) == (422, "already_exists")
    assert (renamed["name"], renamed["color"]) == ("approved", "00ff00")
    assert [label["name"] for label in set_to] == ["kind/bug: 1"]
    assert (gone.status_code, pull.labels) == (204, [])
    assert [label["name"] for label in rest("GET", "/labels").json()] == ["approved"]


def test_a_locked_conversation_is_closed_to_who_may_not_write(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    locked = rest("PUT", "/issues/1/lock", lock_reason="too heated")
    shown = rest("GET", "/pulls/1").json()
    member = rest("POST", "/issues/1/comments", body="hi")
    world.users.set_role("mergeq-bot", "read")
    stranger = rest("POST", "/issues/1/comments", body="hi")

    assert locked.status_code == 204
    assert (shown["locked"], shown["active_lock_reason"]) == (True, "too heated")
    assert (member.status_code, stranger.status_code) == (201, 403)
    assert stranger.json()["message"] == "Unable to create comment because issue is locked."


def test_comments_are_changed_and_taken_away(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    path = f"/issues/comments/{rest('POST', '/issues/1/comments', body='helo').json()['id']}"

    changed = rest("PATCH", path, body="hello").json()["body"]
    read = rest("GET", path).json()["body"]
    gone = rest("DELETE", path).status_code

    assert (changed, read, gone, rest("GET", path).status_code) == ("hello", "hello", 204, 404)


def test_issues_and_pull_requests_are_listed_and_searched_together(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=["x", "y"])
    world.close_issue(world.open_issue("acme/rocket", "Old", labels=["x"]))

    def numbers(asked: str) -> list[int]:
        return [ticket["number"] for ticket in rest("GET", f"/issues?{asked}").json()]

    found = rest("GET", "//search/issues?q=repo:acme/rocket+label:x&sort=created&order=asc").json()
    assert (numbers(""), numbers("state=all"), numbers("state=all&labels=x,y")) == ([1], [2, 1], [1])
    assert (found["total_count"], [item["number"] for item in found["items"]]) == (2, [1, 2])
    assert "pull_request" in found["items"][0]
    assert rest("GET", f"//search/issues?q=label:{'x' * 257}").status_code == 422
    assert rest("GET", "//search/issues").status_code == 422
