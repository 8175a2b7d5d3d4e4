from __future__ import annotations

from typing import Any

import pytest

from mergeq.sandbox import CiConfig, Sandbox
from mergeq.sandbox.git import ZERO
from mergeq.sandbox.git_objects import GITHUB
from tests.sandbox.conftest import GREEN, Query, Rest

UPDATE = """mutation Update($repo: ID!, $updates: [RefUpdate!]!) {
  updateRefs(input: {repositoryId: $repo, refUpdates: $updates, clientMutationId: "x"}) { clientMutationId } }"""


def tip(sandbox: Sandbox, branch: str = "main") -> str:
    return str(sandbox.world.repo("acme/rocket").git.tip(branch))


def cut(sandbox: Sandbox, branch: str) -> None:
    sandbox.world.create_ref("acme/rocket", f"refs/heads/{branch}", tip(sandbox))


def test_a_fork_is_merged_into_a_scratch_branch_by_its_sha(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, fork="zoe")
    cut(sandbox, "scratch/1")
    base = tip(sandbox, "scratch/1")

    answer = rest("POST", "/merges", base="scratch/1", head=pull.head_sha, commit_message="Try it [skip ci]")

    made = git.commit(answer.json()["sha"])
    assert (answer.status_code, made.sha) == (201, tip(sandbox, "scratch/1"))
    assert (made.parents, made.message) == ((base, pull.head_sha), "Try it [skip ci]")
    assert (made.author.name, made.committer, made.tree) == ("mergeq-bot", GITHUB, git.commit(pull.head_sha).tree)
    assert answer.json()["commit"]["verification"]["verified"]
    assert pull.is_open


def test_a_branch_is_merged_by_name_under_a_default_message(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.push("acme/rocket", "feature/x", {"a.txt": "a\n"})

    answer = rest("POST", "/merges", base="main", head="feature/x")

    assert answer.json()["commit"]["message"] == "Merge feature/x into main"


def test_merging_what_is_there_already_does_nothing(sandbox: Sandbox, rest: Rest) -> None:
    before = tip(sandbox)
    cut(sandbox, "old")
    answer = rest("POST", "/merges", base="main", head="old")

    assert (answer.status_code, answer.content, tip(sandbox)) == (204, b"", before)


def test_a_merge_of_branches_is_refused_in_the_words_of_github(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Change", files={"engine.py": "ana\n"}, fork="ana")
    world.push("acme/rocket", "main", {"engine.py": "ben\n"})
    stray = world.repo("ana/rocket").git.tip(pull.head_ref)
    nowhere = world.push("ana/rocket", "elsewhere", {"c.txt": "c\n"})

    def refusal(base: str, head: str) -> tuple[int, str]:
        answer = rest("POST", "/merges", base=base, head=head)
        return answer.status_code, answer.json()["message"]

    assert refusal("nope", "main") == (404, "Base does not exist")
    assert refusal("main", "nope") == (404, "Head does not exist")
    assert refusal("main", nowhere) == (404, "Head does not exist")
    assert refusal("main", str(stray)) == (409, "Merge conflict")


def test_a_commit_no_branch_and_no_pull_request_holds_cannot_be_merged(sandbox: Sandbox, rest: Rest) -> None:
    tree = rest("GET", "/git/commits/" + tip(sandbox)).json()["tree"]["sha"]
    loose = rest("POST", "/git/commits", message="Loose", tree=tree, parents=[tip(sandbox)]).json()["sha"]

    assert rest("POST", "/merges", base="main", head=loose).json()["message"] == "Head does not exist"


def test_a_staged_ref_made_once_starts_ci_once_and_scratch_merges_start_none(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.create_repo("acme/green", files=GREEN, ci=CiConfig(pull_requests=False))
    pull = world.open_pull("acme/green", title="Add", files={"a.txt": "a\n"}, fork="ana")
    base = str(world.repo("acme/green").git.tip("main"))
    world.create_ref("acme/green", "refs/heads/scratch", base)
    root = "//repos/acme/green"

    scratch = rest("POST", f"{root}/merges", base="scratch", head=pull.head_sha, commit_message="x [skip ci]").json()
    tree = scratch["commit"]["tree"]["sha"]
    made = rest("POST", f"{root}/git/commits", message="Merge #1", tree=tree, parents=[base, pull.head_sha]).json()
    rest("POST", f"{root}/git/refs", ref="refs/heads/mergeq/main-1", sha=made["sha"])
    sandbox.settle()

    assert [s.state for s in world.repo("acme/green").statuses[made["sha"]]] == ["pending", "success"]
    assert scratch["sha"] not in world.repo("acme/green").statuses


def test_a_commit_made_without_a_name_is_the_askers_and_signed(sandbox: Sandbox, rest: Rest) -> None:
    base = rest("GET", "/git/commits/" + tip(sandbox)).json()

    answer = rest("POST", "/git/commits", message="M\n\nwhy", tree=base["tree"]["sha"], parents=[base["sha"]])
    made = answer.json()

    assert answer.status_code == 201
    assert (made["author"]["name"], made["committer"]["name"]) == ("mergeq-bot", "mergeq-bot")
    assert (made["message"], [parent["sha"] for parent in made["parents"]]) == ("M\n\nwhy", [base["sha"]])
    assert (made["verification"]["verified"], made["verification"]["reason"]) == (True, "valid")
    assert made["verification"]["signature"].startswith("-----BEGIN PGP SIGNATURE-----")
    assert rest("GET", f"/git/commits/{made['sha']}").json() == made
    assert base["verification"] == {
        "verified": False,
        "reason": "unsigned",
        "signature": None,
        "payload": None,
        "verified_at": None,
    }
    sandbox.world.repo("acme/rocket").git.git("fsck", "--strict")


def test_a_commit_made_with_a_name_is_not_signed(sandbox: Sandbox, rest: Rest) -> None:
    base = rest("GET", "/git/commits/" + tip(sandbox)).json()
    who = {"name": "Zoe", "email": "zoe@example.com", "date": "2020-01-02T03:04:05Z"}

    made = rest("POST", "/git/commits", message="M", tree=base["tree"]["sha"], author=who).json()

    assert (made["author"], made["committer"], made["parents"]) == (who, who, [])
    assert not made["verification"]["verified"]


def test_a_copied_signature_does_not_verify(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    tree = git.commit(tip(sandbox)).tree
    signed = rest("POST", "/git/commits", message="M", tree=tree).json()["sha"]
    forged = git.git("cat-file", "commit", signed).stdout.replace(b"\n\nM\n", b"\n\nN\n")
    sha = git.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=forged).stdout.decode().strip()

    shown = rest("GET", f"/git/commits/{sha}").json()["verification"]

    assert (shown["verified"], shown["reason"]) == (False, "unknown_key")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tree": "1" * 40}, "Tree SHA does not exist"),
        ({"parents": ["1" * 40]}, "Parent SHA does not exist or is not a commit object"),
        ({"message": ""}, "Validation Failed"),
        ({"parents": "x"}, "Validation Failed"),
        ({"author": {"name": "x", "email": "y", "date": "soon"}}, "Validation Failed"),
    ],
)
def test_a_commit_of_nothing_is_refused(sandbox: Sandbox, rest: Rest, fields: dict[str, Any], words: str) -> None:
    tree = sandbox.world.repo("acme/rocket").git.commit(tip(sandbox)).tree

    answer = rest("POST", "/git/commits", **{"message": "M", "tree": tree, "parents": [tip(sandbox)], **fields})

    assert (answer.status_code, answer.json()["message"]) == (422, words)


def test_trees_are_listed_by_their_sha_or_by_a_branch(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.push("acme/rocket", "main", {"lib/a.txt": "a\n"})
    tree = sandbox.world.repo("acme/rocket").git.commit(tip(sandbox)).tree

    shown = rest("GET", f"/git/trees/{tree}").json()

    assert [(entry["path"], entry["mode"], entry["type"]) for entry in shown["tree"]] == [
        ("README.md", "100644", "blob"),
        ("engine.py", "100644", "blob"),
        ("lib", "040000", "tree"),
    ]
    assert (shown["sha"], shown["tree"][0]["size"], shown["truncated"]) == (tree, 7, False)
    assert rest("GET", "/git/trees/main").json() == shown
    assert rest("GET", f"/git/trees/{'1' * 40}").status_code == 404
    assert rest("GET", f"/git/commits/{'1' * 40}").status_code == 404
    deep = rest("GET", f"/git/trees/{tree}?recursive=1").json()["tree"]
    assert [entry["path"] for entry in deep] == ["README.md", "engine.py", "lib", "lib/a.txt"]


def repository_id(query: Query) -> str:
    return str(query('{repository(owner: "acme", name: "rocket") { id }}')["data"]["repository"]["id"])


def test_a_base_moves_only_from_where_it_was_seen(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    other = world.open_pull("acme/rocket", title="Other", files={"b.txt": "b\n"})
    world.lazy_reads = 0
    look = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 2) { mergeable }}}'
    assert query(look)["data"]["repository"]["pullRequest"]["mergeable"] == "MERGEABLE"
    world.add_hook("http://127.0.0.1:9/", "x", events=["push"])
    seen, repo = tip(sandbox), repository_id(query)
    wish = {"name": "refs/heads/main", "beforeOid": seen, "afterOid": pull.head_sha}

    answer = query(UPDATE, repo=repo, updates=[wish])

    assert answer == {"data": {"updateRefs": {"clientMutationId": "x"}}}
    assert (tip(sandbox), pull.merged, pull.merged_by) == (pull.head_sha, True, "mergeq-bot")
    assert (other.merged, other.mergeable) == (False, None)
    sandbox.settle()
    assert [(d.event, d.payload["before"], d.payload["after"]) for d in world.deliveries] == [
        ("push", seen, pull.head_sha)
    ]

    again = query(UPDATE, repo=repo, updates=[{**wish, "afterOid": other.head_sha, "force": True}])

    assert again["errors"][0]["type"] == "UNPROCESSABLE"
    assert f"refs/heads/main is at {pull.head_sha} but expected {seen}" in again["errors"][0]["message"]
    assert (again["data"], tip(sandbox)) == ({"updateRefs": None}, pull.head_sha)


def test_several_refs_move_together_or_not_at_all(sandbox: Sandbox, query: Query) -> None:
    first = tip(sandbox)
    second = sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})
    cut(sandbox, "gone")
    updates = [
        {"name": "refs/heads/new", "beforeOid": ZERO, "afterOid": first},
        {"name": "refs/heads/gone", "beforeOid": second, "afterOid": ZERO},
        {"name": "refs/heads/main", "beforeOid": second, "afterOid": first},
    ]
    repo = repository_id(query)

    def branches() -> dict[str, str]:
        return sandbox.world.repo("acme/rocket").git.branches()

    refused = query(UPDATE, repo=repo, updates=updates)
    before = branches()
    query(UPDATE, repo=repo, updates=[*updates[:2], {**updates[2], "force": True}])

    assert (refused["errors"][0]["type"], refused["errors"][0]["message"]) == (
        "UNPROCESSABLE",
        "Update is not a fast forward",
    )
    assert before == {"gone": second, "main": second}
    assert branches() == {"main": first, "new": first}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"name": "refs/heads/nope", "afterOid": ZERO}, "Reference does not exist"),
        ({"name": "refs/heads/x", "afterOid": "1" * 40}, "Object does not exist"),
        ({"name": "refs/heads/main/x"}, "Reference update failed"),
        ({"name": "main"}, "main is not the full name of a branch or a tag"),
        ({"name": "refs/heads/also"}, "A reference may be updated only once"),
    ],
)
def test_what_cannot_be_moved_is_unprocessable(
    sandbox: Sandbox, query: Query, wish: dict[str, str], words: str
) -> None:
    updates = [{"afterOid": tip(sandbox), **wish}, {"name": "refs/heads/also", "afterOid": tip(sandbox)}]

    refused = query(UPDATE, repo=repository_id(query), updates=updates)

    assert (refused["errors"][0]["type"], refused["errors"][0]["message"]) == ("UNPROCESSABLE", words)
    assert tip(sandbox, "also") == "None"


def test_refs_are_made_and_deleted_over_graphql(sandbox: Sandbox, query: Query) -> None:
    create = """mutation($repo: ID!, $oid: GitObjectID!) {
      createRef(input: {repositoryId: $repo, name: "refs/heads/a/b", oid: $oid}) { ref { id name target { oid } } } }"""
    delete = "mutation($ref: ID!) { deleteRef(input: {refId: $ref}) { clientMutationId } }"
    names = {"repo": repository_id(query), "oid": tip(sandbox)}

    made = query(create, **names)["data"]["createRef"]["ref"]
    again = query(create, **names)
    gone = query(delete, ref=made["id"])
    missing = query(delete, ref=made["id"])

    assert (made["name"], made["target"]["oid"]) == ("a/b", tip(sandbox))
    assert again["errors"][0]["message"] == "Reference already exists"
    assert "errors" not in gone
    assert missing["errors"][0]["type"] == "NOT_FOUND"


def test_who_may_only_read_writes_nothing(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    repo = repository_id(query)
    sandbox.world.users.set_role("mergeq-bot", "read")
    words = "Resource not accessible by personal access token"

    asked = [
        rest("POST", "/git/refs", ref="refs/heads/x", sha=tip(sandbox)),
        rest("POST", "/merges", base="main", head="main"),
        rest("PUT", "/pulls/1/merge"),
        rest("POST", f"/statuses/{tip(sandbox)}", state="success"),
    ]
    refused = query(UPDATE, repo=repo, updates=[{"name": "refs/heads/x", "afterOid": tip(sandbox)}])

    assert {(answer.status_code, answer.json()["message"]) for answer in asked} == {(403, words)}
    assert refused["errors"][0]["type"] == "FORBIDDEN"
    assert "`UpdateRefs`" in refused["errors"][0]["message"]
    assert rest("POST", "/issues/1/comments", body="but may talk").status_code == 201
