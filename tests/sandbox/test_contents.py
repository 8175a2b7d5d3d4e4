from __future__ import annotations

import base64

import requests

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import BASE, Query, Rest


def test_files_and_folders_are_read_at_any_ref(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    sandbox.world.push("acme/rocket", "config", {"lib/queue.yaml": "tide: {}\n"})

    file = rest("GET", "/contents/lib/queue.yaml?ref=config").json()
    folder = rest("GET", "/contents/lib?ref=config").json()
    root = rest("GET", "/contents/").json()
    url = f"{BASE}/repos/acme/rocket/contents/README.md"
    raw = session.get(url, headers={"Accept": "application/vnd.github.raw+json"})

    assert (file["type"], base64.b64decode(file["content"])) == ("file", b"tide: {}\n")
    assert [(entry["path"], entry["type"], entry["size"]) for entry in folder] == [("lib/queue.yaml", "file", 9)]
    assert [entry["name"] for entry in root] == ["README.md", "engine.py"]
    assert raw.text == "rocket\n"
    assert rest("GET", "/contents/lib/queue.yaml").status_code == 404
    assert rest("GET", "/contents/README.md?ref=nope").status_code == 404
    assert session.get(file["git_url"]).json()["size"] == 9


def test_files_are_written_and_deleted_by_who_knows_what_they_were(sandbox: Sandbox, rest: Rest) -> None:
    git, text = sandbox.world.repo("acme/rocket").git, base64.b64encode(b"new\n").decode()
    made = rest("PUT", "/contents/lib/a.txt", message="Add", content=text)
    blob = made.json()["content"]["sha"]
    bare = rest("PUT", "/contents/lib/a.txt", message="Change", content=text)
    stale = rest("PUT", "/contents/lib/a.txt", message="Change", content=text, sha="1" * 40)
    author = {"name": "Ana", "email": "ana@example.com"}
    changed = rest("PUT", "/contents/lib/a.txt", message="Change", content="", sha=blob, author=author)
    after = changed.json()["content"]["sha"]
    nameless = rest("DELETE", "/contents/lib/a.txt", message="Drop")
    elsewhere = rest("DELETE", "/contents/lib/a.txt", message="Drop", sha=after, branch="nope")
    gone = rest("DELETE", "/contents/lib/a.txt", message="Drop", sha=after)

    assert (made.status_code, made.json()["commit"]["message"]) == (201, "Add")
    assert made.json()["commit"]["verification"]["verified"]
    assert (bare.status_code, bare.json()["message"]) == (422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    assert (stale.status_code, stale.json()["message"]) == (409, f"lib/a.txt does not match {'1' * 40}")
    assert (changed.status_code, changed.json()["commit"]["author"]["name"]) == (200, "Ana")
    assert not changed.json()["commit"]["verification"]["verified"]
    assert (nameless.status_code, elsewhere.json()["message"]) == (422, "Branch nope not found")
    assert (gone.status_code, gone.json()["content"]) == (200, None)
    assert git.entry_at(str(git.tip("main")), "lib/a.txt") is None
    assert rest("PUT", "/contents/a", message="x", content="%").status_code == 422
    assert rest("DELETE", "/contents/nope", message="x", sha=after).status_code == 409


def test_files_are_not_written_against_the_rules_of_a_branch(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.protect("acme/rocket", "main", required_reviews=0)
    classic = rest("PUT", "/contents/a.txt", message="Add", content="")
    sandbox.world.add_ruleset("acme/rocket", rules=[{"type": "update"}])
    ruled = rest("PUT", "/contents/a.txt", message="Add", content="")

    pull = "Changes must be made through a pull request."
    assert (classic.status_code, classic.json()["message"]) == (409, f"Could not create file: {pull}")
    words = f"Repository rule violations found\n\n{pull}\n\nCannot update this protected ref.\n\n"
    assert (ruled.status_code, ruled.json()["message"]) == (409, words)


def test_a_file_of_a_commit_is_read_over_graphql(query: Query) -> None:
    found = query(
        """{ repository(owner: "acme", name: "rocket") {
          file: object(expression: "main:README.md") { ... on Blob { text byteSize isBinary } }
          folder: object(expression: "main:") { __typename }
          nothing: object(expression: "main:nope") { __typename } } }"""
    )["data"]["repository"]

    assert found["file"] == {"text": "rocket\n", "byteSize": 7, "isBinary": False}
    assert (found["folder"], found["nothing"]) == ({"__typename": "Tree"}, None)


def test_a_tree_is_made_from_another_and_from_new_texts(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    base = git.commit(str(git.tip("main"))).tree
    blob = rest("POST", "/git/blobs", content=base64.b64encode(b"\0\1").decode(), encoding="base64").json()["sha"]

    made = rest(
        "POST",
        "/git/trees",
        base_tree=base,
        tree=[
            {"path": "lib/a.txt", "mode": "100644", "type": "blob", "content": "a\n"},
            {"path": "bin", "mode": "100755", "type": "blob", "sha": blob},
            {"path": "engine.py", "mode": "100644", "type": "blob", "sha": None},
            {"path": "copy", "mode": "040000", "type": "tree", "sha": base},
        ],
    ).json()

    paths = {entry.path: entry.mode for entry in git.entries(made["sha"], recursive=True) if entry.kind == "blob"}
    assert paths == {
        "README.md": "100644",
        "bin": "100755",
        "copy/README.md": "100644",
        "copy/engine.py": "100644",
        "lib/a.txt": "100644",
    }
    assert git.blob(blob) == b"\0\1"


def test_a_tree_of_what_is_not_there_is_refused(rest: Rest) -> None:
    entry = {"path": "a", "mode": "100644", "type": "blob", "sha": "1" * 40}

    refused = [
        rest("POST", "/git/trees", tree=[entry]),
        rest("POST", "/git/trees", tree=[{**entry, "mode": "7"}]),
        rest("POST", "/git/trees", tree=[]),
        rest("POST", "/git/trees", base_tree="1" * 40, tree=[{**entry, "content": "a"}]),
        rest("POST", "/git/blobs", content="§", encoding="base64"),
    ]

    assert [answer.status_code for answer in refused] == [422] * 5


def test_history_is_listed_newest_first_and_by_path(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.push("acme/rocket", "main", {"a.txt": "a\n"}, message="Add a")
    world.push("acme/rocket", "main", {"b.txt": "b\n"}, message="Add b")

    def headlines(asked: str = "") -> list[str]:
        return [commit["commit"]["message"] for commit in rest("GET", f"/commits{asked}").json()]

    assert headlines() == ["Add b", "Add a", "Initial commit"]
    assert headlines("?path=a.txt") == ["Add a"]
    assert headlines("?sha=main~2") == ["Initial commit"]


def test_a_commit_knows_the_pull_requests_it_belongs_to(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Two", commits=[{"a.txt": "1\n"}, {"a.txt": "2\n"}])
    first = world.commits_of(pull)[0].sha
    landed = world.merge_pull(pull, method="squash")

    def numbers(sha: str) -> list[int]:
        return [found["number"] for found in rest("GET", f"/commits/{sha}/pulls").json()]

    found = query(
        """query($oid: GitObjectID!) { repository(owner: "acme", name: "rocket") { object(oid: $oid) { ... on Commit {
          associatedPullRequests(first: 9) { nodes { number } } signature { isValid wasSignedByGitHub } } } } }""",
        oid=landed,
    )["data"]["repository"]["object"]
    assert (numbers(first), numbers(landed), numbers("main~1")) == ([1], [1], [])
    assert found["associatedPullRequests"]["nodes"] == [{"number": 1}]
    assert found["signature"] == {"isValid": True, "wasSignedByGitHub": True}
