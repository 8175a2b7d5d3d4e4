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
