from __future__ import annotations

from mergeq.sandbox import ManualClock, Sandbox
from tests.sandbox.conftest import Query

PULL = """query Pull { repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { %s } } }"""


def test_many_commits_are_read_in_one_document(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    one = world.open_pull("acme/rocket", title="One", files={"a.txt": "a\n"})
    two = world.open_pull("acme/rocket", title="Two", files={"b.txt": "b\n"}, fork="zoe")
    world.set_check_run("acme/rocket", one.head_sha, name="build", status="in_progress", app="builder")
    world.set_check_run("acme/rocket", one.head_sha, name="build", conclusion="failure", app="other")

    data = query(
        """query Tips($one: GitObjectID!, $two: GitObjectID!) { repository(owner: "acme", name: "rocket") {
             a: object(oid: $one) { ...Tip } b: object(oid: $two) { ...Tip }
             c: object(oid: "1111111111111111111111111111111111111111") { ...Tip } } }
           fragment Tip on Commit { oid tree { oid } parents(first: 2) { nodes { oid } }
             pushedDate committedDate
             statusCheckRollup { contexts(first: 5) { nodes { __typename ... on CheckRun { name } } } }
             checkSuites(first: 5) { totalCount nodes { createdAt app { slug } status conclusion } } }""",
        one=one.head_sha,
        two=two.head_sha,
    )["data"]["repository"]

    git = world.repo("acme/rocket").git
    assert [data[name]["oid"] for name in "ab"] == [one.head_sha, two.head_sha]
    assert data["a"]["tree"]["oid"] == git.commit(one.head_sha).tree
    assert data["b"]["parents"]["nodes"] == [{"oid": git.tip("main")}]
    assert [node["name"] for node in data["a"]["statusCheckRollup"]["contexts"]["nodes"]] == ["build", "build"]
    assert data["a"]["checkSuites"] == {
        "totalCount": 2,
        "nodes": [
            {
                "createdAt": "2026-01-05T09:00:00Z",
                "app": {"slug": "builder"},
                "status": "IN_PROGRESS",
                "conclusion": None,
            },
            {
                "createdAt": "2026-01-05T09:00:00Z",
                "app": {"slug": "other"},
                "status": "COMPLETED",
                "conclusion": "FAILURE",
            },
        ],
    }
    assert (data["b"]["statusCheckRollup"], data["b"]["checkSuites"]["totalCount"]) == (None, 0)
    assert (data["a"]["pushedDate"], data["a"]["committedDate"]) == (None, "2026-01-05T09:00:00Z")
    assert data["c"] is None


def test_history_is_paged_from_the_newest_commit_back(sandbox: Sandbox, query: Query) -> None:
    for name in "abc":
        sandbox.world.push("acme/rocket", "main", {name: "x\n"}, message=f"Add {name}")
    text = """query History($after: String) { repository(owner: "acme", name: "rocket") { object(expression: "main") {
      ... on Commit { history(first: 2, after: $after) {
        totalCount pageInfo { endCursor hasNextPage } nodes { messageHeadline } } } } } }"""

    def page(after: str | None) -> dict[str, object]:
        found: dict[str, object] = query(text, after=after)["data"]["repository"]["object"]["history"]
        return found

    first = page(None)
    info = first["pageInfo"]
    assert isinstance(info, dict)

    assert first["nodes"] == [{"messageHeadline": "Add c"}, {"messageHeadline": "Add b"}]
    assert (first["totalCount"], info["hasNextPage"]) == (4, True)
    assert page(info["endCursor"])["nodes"] == [{"messageHeadline": "Add a"}, {"messageHeadline": "Initial commit"}]


def test_the_commits_and_files_of_a_pull_request_are_shown_with_their_trees(sandbox: Sandbox, query: Query) -> None:
    pull = sandbox.world.open_pull(
        "acme/rocket", title="Add", commits=[{"a.txt": "a\n"}, {"engine.py": None, "README.md": "x\n"}]
    )

    shown = query(
        PULL
        % """commits(first: 5) { nodes { commit {
               oid parents(first: 2) { nodes { oid } } tree { oid } messageHeadline message author { name email } } } }
             files(first: 5) { totalCount nodes { path changeType additions deletions } }"""
    )["data"]["repository"]["pullRequest"]

    last = shown["commits"]["nodes"][1]["commit"]
    assert (last["oid"], last["messageHeadline"]) == (pull.head_sha, "Add (2 of 2)")
    assert last["author"] == {"name": "ana", "email": "ana@users.noreply.github.com"}
    assert last["parents"]["nodes"] == [{"oid": shown["commits"]["nodes"][0]["commit"]["oid"]}]
    assert shown["files"]["totalCount"] == 3
    assert [(file["path"], file["changeType"]) for file in shown["files"]["nodes"]] == [
        ("README.md", "MODIFIED"),
        ("a.txt", "ADDED"),
        ("engine.py", "DELETED"),
    ]


def test_what_people_are_to_the_repository_is_shown(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    world.users.set_role("zoe", "read")
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, author="zoe", fork="zoe")
    world.review(pull, "ben")
    text = PULL % "authorAssociation reviews(first: 5) { nodes { authorAssociation commit { oid } submittedAt } }"

    stranger = query(text)["data"]["repository"]["pullRequest"]
    world.merge_pull(pull)

    assert stranger["authorAssociation"] == "NONE"
    assert stranger["reviews"]["nodes"] == [
        {
            "authorAssociation": "MEMBER",
            "commit": {"oid": pull.head_sha},
            "submittedAt": "2026-01-05T09:00:00Z",
        }
    ]
    assert query(text)["data"]["repository"]["pullRequest"]["authorAssociation"] == "CONTRIBUTOR"


def test_the_timeline_tells_labels_and_forced_heads_in_their_order(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    assert isinstance(sandbox.clock, ManualClock)
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=["lgtm"])
    sandbox.clock.advance(60)
    world.push_to_pull(pull, {"a.txt": "b\n"}, force_onto=pull.base_sha)
    sandbox.clock.advance(60)
    world.add_label(pull, "approved", by="ben")

    nodes = query(
        PULL
        % """timelineItems(last: 9, itemTypes: [LABELED_EVENT, HEAD_REF_FORCE_PUSHED_EVENT]) { nodes {
               ... on LabeledEvent { createdAt label { name } actor { login } }
               ... on HeadRefForcePushedEvent { createdAt actor { login } afterCommit { oid } } } }"""
    )["data"]["repository"]["pullRequest"]["timelineItems"]["nodes"]

    assert nodes == [
        {"createdAt": "2026-01-05T09:00:00Z", "label": {"name": "lgtm"}, "actor": {"login": "ana"}},
        {"createdAt": "2026-01-05T09:01:00Z", "actor": {"login": "ana"}, "afterCommit": {"oid": pull.head_sha}},
        {"createdAt": "2026-01-05T09:02:00Z", "label": {"name": "approved"}, "actor": {"login": "ben"}},
    ]


def test_conversations_are_open_until_somebody_resolves_them(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    thread = world.open_thread(pull, "ben", path="a.txt", body="Why?")
    text = PULL % "reviewThreads(first: 5) { totalCount nodes { isResolved path resolvedBy { login } } }"

    def threads() -> object:
        return query(text)["data"]["repository"]["pullRequest"]["reviewThreads"]

    assert threads() == {"totalCount": 1, "nodes": [{"isResolved": False, "path": "a.txt", "resolvedBy": None}]}
    world.resolve_thread(pull, thread, by="ana")
    assert threads() == {
        "totalCount": 1,
        "nodes": [{"isResolved": True, "path": "a.txt", "resolvedBy": {"login": "ana"}}],
    }
    world.resolve_thread(pull, thread, by="ana", resolved=False)
    assert thread.resolved_by is None
