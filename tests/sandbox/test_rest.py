from __future__ import annotations

from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import BASE, Rest


def custom_error(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["message"]


def test_what_is_not_simulated_says_so_by_name(rest: Rest) -> None:
    route = rest("GET", "/topics")
    method = rest("PUT", "/branches")
    parameter = rest("GET", "/pulls?since=1")
    field = rest("POST", "/issues", title="x", milestone=1)

    assert (route.status_code, route.json()["message"]) == (501, "not simulated: GET /repos/acme/rocket/topics")
    assert (method.status_code, method.json()["message"]) == (501, "not simulated: PUT /repos/acme/rocket/branches")
    assert parameter.json()["message"] == "not simulated: parameter since of GET /repos/acme/rocket/pulls"
    assert field.json()["message"] == "not simulated: field milestone of POST /repos/acme/rocket/issues"


def test_a_wrong_token_is_refused_and_no_token_may_only_read(sandbox: Sandbox, session: requests.Session) -> None:
    url = f"{BASE}/repos/acme/rocket"
    wrong = session.get(url, headers={"Authorization": "token ghp_wrong"})
    del session.headers["Authorization"]
    read, write = session.get(url), session.post(f"{url}/issues", json={"title": "x"})

    assert (wrong.status_code, wrong.json()["message"]) == (401, "Bad credentials")
    assert (read.status_code, read.headers["x-ratelimit-limit"]) == (200, "60")
    assert (write.status_code, write.json()["message"]) == (401, "Requires authentication")
    assert sandbox.token.startswith("ghp_")
    assert len(sandbox.token) == 40


def test_points_of_an_hour_are_counted_and_run_out(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.rates.limit = 2
    left = [rest("GET", "").headers["x-ratelimit-remaining"] for _ in range(2)]
    refused = rest("GET", "")

    assert left == ["1", "0"]
    assert refused.status_code == 403
    assert refused.json()["message"].startswith("API rate limit exceeded for user ID ")
    assert rest("GET", "//rate_limit").json()["resources"]["core"]["remaining"] == 0


def test_lists_are_paged_by_link_headers(sandbox: Sandbox, rest: Rest) -> None:
    for number in range(3):
        sandbox.world.open_pull("acme/rocket", title="Add", files={f"{number}.txt": "x\n"})

    first = rest("GET", "/pulls?per_page=2")
    second = rest("GET", f"/{first.links['next']['url'].removeprefix(BASE)}")

    assert [pull["number"] for pull in first.json() + second.json()] == [3, 2, 1]
    assert first.links["last"]["url"].endswith("page=2")
    assert "next" not in second.links


def test_pull_requests_are_listed_by_state_base_and_head(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.create_ref("acme/rocket", "refs/heads/release", str(world.repo("acme/rocket").git.tip("main")))
    world.open_pull("acme/rocket", title="A", files={"a": "a\n"}, base="release")
    world.open_pull("acme/rocket", title="B", files={"b": "b\n"}, fork="zoe", author="zoe", head="fix/it")
    world.close_pull(world.open_pull("acme/rocket", title="C", files={"c": "c\n"}))

    def numbers(filters: str) -> list[int]:
        return [pull["number"] for pull in rest("GET", f"/pulls?{filters}").json()]

    assert numbers("") == [2, 1]
    assert numbers("state=closed") == [3]
    assert numbers("state=all&direction=asc") == [1, 2, 3]
    assert numbers("base=release") == [1]
    assert numbers("head=zoe:fix/it") == [2]


def test_a_pull_request_is_opened_edited_and_closed(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.create_ref("acme/rocket", "refs/heads/release", str(world.repo("acme/rocket").git.tip("main")))
    world.push("acme/rocket", "fix/it", {"a.txt": "a\n"})

    opened = rest("POST", "/pulls", title="Fix", head="fix/it", base="main", draft=True)
    again = rest("POST", "/pulls", title="Fix", head="acme:fix/it", base="main")
    empty = rest("POST", "/pulls", title="Fix", head="main", base="release")
    nowhere = rest("POST", "/pulls", title="Fix", head="nope", base="main")
    edited = rest("PATCH", "/pulls/1", title="Fixed", base="release", state="closed")
    reopened = rest("PATCH", "/pulls/1", state="open")

    assert (opened.status_code, opened.json()["number"], opened.json()["draft"]) == (201, 1, True)
    assert custom_error(again) == (422, "A pull request already exists for acme:fix/it.")
    assert custom_error(empty) == (422, "No commits between release and main")
    assert nowhere.json()["errors"][0] == {"resource": "PullRequest", "field": "head", "code": "invalid"}
    assert (edited.json()["title"], edited.json()["base"]["ref"], edited.json()["state"]) == (
        "Fixed",
        "release",
        "closed",
    )
    assert reopened.json()["state"] == "open"


def test_whether_it_is_merged_can_be_asked(sandbox: Sandbox, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="A", files={"a": "a\n"})
    before = rest("GET", "/pulls/1/merge").status_code
    sandbox.world.merge_pull(pull)

    assert (before, rest("GET", "/pulls/1/merge").status_code) == (404, 204)


def test_files_commits_and_reviews_of_a_pull_request(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull(
        "acme/rocket", title="A", commits=[{"engine.py": "one\n2\nthree\n"}, {"README.md": None, "new.txt": "x\ny\n"}]
    )
    answer = rest("POST", "/pulls/1/reviews", event="COMMENT", body="hm")
    own = rest("GET", "/pulls/1").json()

    files = {file["filename"]: (file["status"], file["changes"]) for file in rest("GET", "/pulls/1/files").json()}
    assert files == {"README.md": ("removed", 1), "engine.py": ("modified", 2), "new.txt": ("added", 2)}
    assert [commit["commit"]["message"] for commit in rest("GET", "/pulls/1/commits").json()] == [
        "A (1 of 2)",
        "A (2 of 2)",
    ]
    assert (own["commits"], own["changed_files"], own["additions"], own["deletions"]) == (2, 3, 3, 2)
    assert (answer.status_code, answer.json()["state"]) == (200, "COMMENTED")
    assert rest("GET", "/pulls/1/reviews").json()[0]["body"] == "hm"


def test_nobody_approves_their_own_work(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="A", files={"a": "a\n"}, author="mergeq-bot")

    answer = rest("POST", "/pulls/1/reviews", event="APPROVE")

    assert (answer.status_code, answer.json()["errors"]) == (422, ["Can not approve your own pull request"])


def test_refs_with_slashes_are_read_made_moved_and_deleted(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    first = str(git.tip("main"))
    second = sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})
    ref = "refs/heads/mergeq/main-1"

    made = rest("POST", "/git/refs", ref=ref, sha=first)
    moved = rest("PATCH", "/git/refs/heads/mergeq/main-1", sha=second, force=False)
    back = rest("PATCH", "/git/refs/heads/mergeq/main-1", sha=first)
    encoded = rest("GET", "/git/ref/heads%2Fmergeq%2Fmain-1")
    matching = rest("GET", "/git/matching-refs/heads/mergeq/")
    forced = rest("PATCH", "/git/refs/heads/mergeq/main-1", sha=first, force=True)
    deleted = rest("DELETE", "/git/refs/heads/mergeq/main-1")

    assert (made.status_code, made.json()["object"]["sha"]) == (201, first)
    assert (moved.status_code, moved.json()["object"]["sha"]) == (200, second)
    assert (back.status_code, back.json()["message"]) == (422, "Update is not a fast forward")
    assert encoded.json()["ref"] == ref
    assert [found["ref"] for found in matching.json()] == [ref]
    assert (forced.status_code, deleted.status_code) == (200, 204)
    assert rest("GET", "/git/ref/heads/mergeq/main-1").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "fields", "words"),
    [
        ("POST", "/git/refs", {"ref": "refs/heads/main"}, "Reference already exists"),
        ("POST", "/git/refs", {"ref": "refs/heads/main/x"}, "Reference update failed"),
        ("POST", "/git/refs", {"ref": "refs/heads/x", "sha": "0" * 39 + "1"}, "Object does not exist"),
        ("PATCH", "/git/refs/heads/nope", {}, "Reference does not exist"),
        ("DELETE", "/git/refs/heads/nope", {}, "Reference does not exist"),
    ],
)
def test_refs_are_refused_in_the_words_of_github(
    sandbox: Sandbox, rest: Rest, method: str, path: str, fields: dict[str, Any], words: str
) -> None:
    body = {"sha": sandbox.world.repo("acme/rocket").git.tip("main"), **fields} if method != "DELETE" else {}

    answer = rest(method, path, **body)

    assert (answer.status_code, answer.json()["message"]) == (422, words)


def test_commits_are_compared_by_what_each_lacks_of_the_other(sandbox: Sandbox, rest: Rest) -> None:
    before = str(sandbox.world.repo("acme/rocket").git.tip("main"))
    pull = sandbox.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"})
    tip = sandbox.world.push("acme/rocket", "main", {"moved.txt": "x\n"})

    found = rest("GET", f"/compare/{tip}...{pull.head_sha}").json()

    assert (found["status"], found["ahead_by"], found["behind_by"]) == ("diverged", 1, 1)
    assert found["merge_base_commit"]["sha"] == before
    assert [file["filename"] for file in found["files"]] == ["fins.txt"]
    assert rest("GET", f"/compare/{before}...{tip}").json()["status"] == "ahead"
    assert rest("GET", f"/compare/{tip}...{before}").json()["status"] == "behind"
    assert rest("GET", "/compare/main...main").json()["status"] == "identical"
    assert rest("GET", "/compare/main...nowhere").status_code == 404


def test_statuses_are_combined_by_the_newest_of_each_context(sandbox: Sandbox, rest: Rest) -> None:
    tip = sandbox.world.repo("acme/rocket").git.tip("main")

    def combined() -> tuple[str, int]:
        body = rest("GET", "/commits/main/status").json()
        return body["state"], body["total_count"]

    seen = [combined()]
    for context, state in (("ci", "success"), ("lint", "pending"), ("LINT", "error"), ("lint", "success")):
        assert rest("POST", f"/statuses/{tip}", context=context, state=state).status_code == 201
        seen.append(combined())

    assert seen == [("pending", 0), ("success", 1), ("pending", 2), ("failure", 2), ("success", 2)]
    assert [s["context"] for s in rest("GET", f"/commits/{tip}/statuses").json()] == ["lint", "LINT", "lint", "ci"]


def test_statuses_have_the_limits_of_github(sandbox: Sandbox, rest: Rest) -> None:
    tip = sandbox.world.repo("acme/rocket").git.tip("main")

    def refused(**fields: str) -> tuple[int, str]:
        return custom_error(rest("POST", f"/statuses/{tip}", **{"state": "success", **fields}))

    long = "description is too long (maximum is 140 characters)"
    assert refused(description="é" * 141) == (422, long)
    assert rest("POST", f"/statuses/{tip}", state="success", description="é" * 140).status_code == 201
    assert refused(description="\U0001f680") == (422, "description doesn't accept 4-byte Unicode")
    assert refused(state="green") == (422, "state is not included in the list")
    unknown = rest("POST", f"/statuses/{'1' * 40}", state="success")
    assert (unknown.status_code, unknown.json()["message"]) == (422, f"No commit found for SHA: {'1' * 40}")


def test_a_context_takes_a_thousand_statuses_on_one_commit(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    tip = str(world.repo("acme/rocket").git.tip("main"))
    for _ in range(1000):
        world.set_status("acme/rocket", tip, context="ci")

    answer = rest("POST", f"/statuses/{tip}", state="success", context="CI")

    assert custom_error(answer) == (422, "This SHA and context has reached the maximum number of statuses.")


def test_check_runs_supersede_those_of_their_suite_only(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    tip = str(world.repo("acme/rocket").git.tip("main"))
    world.set_check_run("acme/rocket", tip, name="build", conclusion="failure", app="one")
    world.set_check_run("acme/rocket", tip, name="build", conclusion="success", app="one")
    world.set_check_run("acme/rocket", tip, name="build", conclusion="failure", app="two")

    def seen(query: str = "") -> list[tuple[str, str]]:
        runs = rest("GET", f"/commits/main/check-runs{query}").json()["check_runs"]
        return [(run["app"]["slug"], run["conclusion"]) for run in runs]

    assert seen() == [("one", "success"), ("two", "failure")]
    assert len(seen("?filter=all")) == 3


def test_check_runs_are_reported_by_apps_alone(sandbox: Sandbox, rest: Rest) -> None:
    tip = str(sandbox.world.repo("acme/rocket").git.tip("main"))
    run = sandbox.world.set_check_run("acme/rocket", tip, name="e2e", status="in_progress")

    refused = [
        rest("POST", "/check-runs", name="e2e", head_sha=tip, status="in_progress"),
        rest("PATCH", f"/check-runs/{run.id}", conclusion="success"),
    ]

    words = "You must authenticate via a GitHub App."
    assert [(one.status_code, one.json()["message"]) for one in refused] == [(403, words)] * 2


def test_labels_with_odd_names_are_put_on_and_taken_off(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="A", files={"a": "a\n"}, labels=["LGTM"])
    names = ["kind/bug:1", 'a"b', "\U0001f680", "lgtm"]

    put = rest("POST", "/issues/1/labels", labels=names).json()
    for name in ("kind%2Fbug%3A1", "a%22b", "%F0%9F%9A%80"):
        assert rest("DELETE", f"/issues/1/labels/{name}").status_code == 200
    missing = rest("DELETE", "/issues/1/labels/hold")

    assert [label["name"] for label in put] == ["LGTM", *names[:3]]
    assert [label["name"] for label in rest("GET", "/issues/1/labels").json()] == ["LGTM"]
    assert (missing.status_code, missing.json()["message"]) == (404, "Label does not exist")


def test_issues_are_opened_commented_on_and_closed(rest: Rest) -> None:
    opened = rest("POST", "/issues", title="Freeze", body="now", labels=["blocker"])
    said = rest("POST", "/issues/1/comments", body="until Monday")
    closed = rest("PATCH", "/issues/1", state="closed")

    assert (opened.status_code, opened.json()["labels"][0]["name"]) == (201, "blocker")
    assert (said.status_code, rest("GET", "/issues/1/comments").json()[0]["body"]) == (201, "until Monday")
    assert (closed.json()["state"], closed.json()["comments"]) == ("closed", 1)


def test_a_branch_shows_its_protection_to_everybody(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.protect("acme/rocket", "main", required_contexts=["ci"])

    shown = rest("GET", "/branches/main").json()
    missing = rest("GET", "/branches/feature/none")

    assert shown["protected"]
    assert shown["protection"]["required_status_checks"]["contexts"] == ["ci"]
    assert [branch["name"] for branch in rest("GET", "/branches?protected=true").json()] == ["main"]
    assert (missing.status_code, missing.json()["message"]) == (404, "Branch not found")
    assert rest("GET", "/branches/main/protection/deployments").status_code == 501


def test_urls_are_those_of_the_host_that_was_asked(rest: Rest) -> None:
    plain = rest("GET", "").json()
    prefixed = rest("GET", "//api/v3/repos/acme/rocket").json()

    assert plain["url"] == f"{BASE}/repos/acme/rocket"
    assert prefixed["url"] == f"{BASE}/api/v3/repos/acme/rocket"
    assert plain["clone_url"] == f"{BASE}/acme/rocket.git"
