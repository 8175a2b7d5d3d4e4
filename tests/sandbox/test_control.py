from __future__ import annotations

from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Method
from tests.sandbox.conftest import BASE, Query, Rest

SEED: dict[str, Any] = {
    "repos": {
        "acme/seeded": {
            "allow_rebase_merge": False,
            "default_branch": "trunk",
            "files": {"ci.sh": "true\n", "a.txt": "a\n"},
            "branches": {"release": {"a.txt": "old\n"}, "same": {}},
            "labels": ["lgtm"],
            "ci": {"context": "build", "branches": ["trunk"], "kind": "check_run", "delay": 1},
        },
        "acme/quiet": {"files": {"a.txt": "a\n"}, "ci": None},
    },
    "prs": [
        {
            "pr": {
                "number": 7,
                "title": "Seven",
                "body": "why",
                "author": {"login": "ben"},
                "baseRef": {"name": "trunk"},
                "headRefName": "feature/seven",
                "isDraft": True,
                "labels": {"nodes": [{"name": "LGTM"}]},
                "milestone": {"title": "v1"},
                "repository": {"nameWithOwner": "acme/seeded"},
            },
            "files": {"b.txt": "b\n", "a.txt": None},
            "statuses": [{"context": "ci", "state": "success"}],
            "checks": [{"name": "lint", "conclusion": "failure"}],
        },
        {
            "pr": {"title": "Eight", "baseRefName": "release", "repository": {"nameWithOwner": "acme/seeded"}},
            "commits": [{"c.txt": "1\n"}, {"c.txt": "2\n"}],
            "fork": "zoe",
        },
    ],
    "issues": [{"repository": "acme/quiet", "title": "Freeze", "labels": ["blocker"]}],
    "hooks": [{"url": "http://127.0.0.1:9/"}],
}


def test_a_seed_plants_a_world(sandbox: Sandbox) -> None:
    sandbox.load(SEED)

    world = sandbox.world
    repo, seven, eight = world.repo("acme/seeded"), world.pull("acme/seeded", 7), world.pull("acme/seeded", 8)
    assert (repo.default_branch, repo.allowed, repo.ci and repo.ci.context) == (
        "trunk",
        frozenset({Method.MERGE, Method.SQUASH}),
        "build",
    )
    assert set(repo.git.branches()) == {"trunk", "release", "same", "feature/seven"}
    assert (seven.author, seven.draft, seven.labels, seven.head_ref) == ("ben", True, ["lgtm"], "feature/seven")
    assert [change.status for change in world.changes_of(seven)] == ["removed", "added"]
    assert [status.context for status in repo.latest_statuses(seven.head_sha)] == ["ci"]
    assert [run.name for run in repo.latest_runs(seven.head_sha)] == ["lint"]
    assert (eight.head_repo, eight.base_ref, len(world.commits_of(eight))) == ("zoe/seeded", "release", 2)
    assert world.repo("acme/quiet").issues[1].labels == ["blocker"]


def test_the_seed_that_is_shipped_is_a_world_in_which_something_waits_for_everybody(
    sandbox: Sandbox, query: Query
) -> None:
    sandbox.load_example()
    sandbox.settle()

    queue = (
        'org:falcosecurity is:pr is:open label:lgtm label:approved label:"dco-signoff: yes" -label:do-not-merge/hold'
    )
    text = "query($q: String!) { search(query: $q, type: ISSUE, first: 9) { nodes { ... on PullRequest { title } } } }"
    found = {node["title"] for node in query(text, q=queue)["data"]["search"]["nodes"]}
    broken = sandbox.world.pull("falcosecurity/rules", 3)
    assert found == {"Count events in 64 bits", "Bring the fix to 0.40", "Notice cron jobs", "Release 4.1.0"}
    assert [s.state for s in sandbox.world.repo(broken.repo).latest_statuses(broken.head_sha)] == ["failure"]


@pytest.mark.parametrize(
    ("seed", "key"),
    [
        ({"repositories": {}}, "repositories"),
        ({"repos": {"a/b": {"file": {}}}}, "file"),
        ({"repos": {"a/b": {"ci": {"contxt": "x"}}}}, "contxt"),
        ({"prs": [{"pr": {"titel": "x"}}]}, "titel"),
        ({"issues": [{"repo": "a/b"}]}, "repo"),
    ],
)
def test_a_key_no_seed_knows_is_named(sandbox: Sandbox, seed: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"unknown key '{key}'"):
        sandbox.load(seed)


def test_seeds_come_in_over_http_too(sandbox: Sandbox, session: requests.Session) -> None:
    planted = session.post(f"{BASE}/_sim/seed", json=SEED)
    wrong = session.post(f"{BASE}/_sim/seed", json={"reposs": {}})

    assert planted.status_code == 201
    assert sandbox.world.pull("acme/seeded", 7).title == "Seven"
    assert (wrong.status_code, "reposs" in wrong.json()["message"]) == (422, True)


def test_requests_are_counted_by_route_and_operation(session: requests.Session, rest: Rest, query: Query) -> None:
    rest("GET", "/branches/main")
    rest("GET", "//api/v3/repos/acme/rocket/branches/main")
    query("query Who { viewer { login } }")

    counted = session.get(f"{BASE}/_sim/hits").json()
    session.post(f"{BASE}/_sim/reset")

    assert counted == {"GET /repos/{owner}/{repo}/branches/{branch}": 2, "graphql:Who": 1}
    assert session.get(f"{BASE}/_sim/hits").json() == {}


def test_a_manual_clock_can_be_moved_from_outside(sandbox: Sandbox, session: requests.Session) -> None:
    start = sandbox.clock.now()

    answers = [session.post(f"{BASE}/_sim/clock", json={"advance": step}).status_code for step in (30, "5m", "soon")]

    assert (answers, sandbox.clock.now()) == ([200, 200, 422], start + 330)


def test_real_time_goes_on_from_where_it_was_moved(served: Sandbox) -> None:
    later: list[str] = []
    served.clock.call_later(3000.0, served.world.activity.tracked(lambda: later.append("due")))
    before = served.clock.now()

    answer = requests.post(f"{served.url}/_sim/clock", json={"advance": "1h"}, timeout=180)

    assert (answer.status_code, served.settle(), later) == (200, True, ["due"])
    assert answer.json()["now"] >= before + 3600
