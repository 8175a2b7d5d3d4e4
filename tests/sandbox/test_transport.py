from __future__ import annotations

import http.client

import pytest
import requests
from werkzeug.test import Client

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import BASE, Query, Rest
from tests.sandbox.test_faults import hits, switch_on

URL = f"{BASE}/repos/acme/rocket"


def used(rest: Rest) -> int:
    return int(rest("GET", "//rate_limit").json()["rate"]["used"])


def test_links_lead_through_a_list_by_the_repositorys_id(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    for number in range(5):
        sandbox.world.create_ref("acme/rocket", f"refs/heads/b{number}", str(tip_of(sandbox)))

    first = rest("GET", "/branches?per_page=2&protected=false")
    pages, answer = [first.json()], first
    while "next" in answer.links:
        answer = session.get(answer.links["next"]["url"])
        pages.append(answer.json())

    number = sandbox.world.repo("acme/rocket").id
    assert first.links["next"]["url"] == f"{BASE}/repositories/{number}/branches?per_page=2&protected=false&page=2"
    assert [len(page) for page in pages] == [2, 2, 2]
    assert list(first.links) == ["next", "last"]
    assert (list(answer.links), answer.links["first"]["url"][-6:]) == (["prev", "first"], "page=1")


def tip_of(sandbox: Sandbox) -> str | None:
    return sandbox.world.repo("acme/rocket").git.tip("main")


@pytest.mark.parametrize(
    ("asked", "count", "links"),
    [
        ("", 30, ["next", "last"]),
        ("?per_page=1000", 100, ["next", "last"]),
        ("?per_page=0", 30, ["next", "last"]),
        ("?per_page=100&page=2", 21, ["prev", "first"]),
        ("?per_page=100&page=0", 100, ["next", "last"]),
        ("?per_page=100&page=9", 0, ["prev", "first"]),
    ],
)
def test_pages_have_bounds(sandbox: Sandbox, rest: Rest, asked: str, count: int, links: list[str]) -> None:
    for number in range(120):
        sandbox.world.repo("acme/rocket").git.move(f"refs/heads/b{number}", str(tip_of(sandbox)))

    answer = rest("GET", f"/branches{asked}")

    assert (len(answer.json()), list(answer.links)) == (count, links)


def test_what_is_known_already_comes_as_304_and_costs_nothing(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    first = session.get(f"{URL}/pulls")
    known = {"If-None-Match": first.headers["ETag"]}
    before = used(rest)
    again = session.get(f"{URL}/pulls", headers=known)
    after = used(rest)
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    changed = session.get(f"{URL}/pulls", headers=known)

    assert first.headers["ETag"].startswith('W/"')
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert "Content-Type" not in again.headers
    assert (after, used(rest)) == (before, before + 1)
    assert (changed.status_code, len(changed.json())) == (200, 1)
    assert first.headers["Cache-Control"] == "private, max-age=60, s-maxage=60"


def test_another_token_has_another_tag(sandbox: Sandbox, session: requests.Session) -> None:
    other = {"Authorization": f"token {sandbox.world.users.issue_token('zoe')}"}

    tags = {session.get(f"{URL}/pulls", headers=headers).headers["ETag"] for headers in ({}, other)}

    assert len(tags) == 2


def test_single_things_say_when_they_changed_and_lists_do_not(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.clock.advance(60)
    pull = rest("GET", "/issues/1")
    known = {"If-Modified-Since": pull.headers["Last-Modified"]}
    same = session.get(f"{URL}/issues/1", headers=known)
    rest("POST", "/issues/1/comments", body="hello")
    commented = session.get(f"{URL}/issues/1", headers=known)

    assert pull.headers["Last-Modified"] == "Mon, 05 Jan 2026 09:00:00 GMT"
    assert [same.status_code, commented.status_code] == [304, 200]
    assert "Last-Modified" in rest("GET", "/commits/main").headers
    assert "Last-Modified" not in rest("GET", "/pulls").headers
    assert session.get(f"{URL}/issues/1", headers={"If-Modified-Since": "soon"}).status_code == 200


def test_the_tag_of_a_repository_may_miss_its_merge_settings(session: requests.Session, rest: Rest) -> None:
    def answers() -> tuple[int, int]:
        tag = rest("GET", "").headers["ETag"]
        rest("PATCH", "", allow_rebase_merge=rest("GET", "").json()["allow_rebase_merge"] is False)
        return session.get(URL, headers={"If-None-Match": tag}).status_code, len(hits(session))

    sane = answers()
    switch_on(session, "etag.stale_repo_settings", times=None)

    assert (sane, answers(), hits(session)) == ((200, 0), (304, 1), [1])


def test_answers_bear_what_githubs_do(rest: Rest, query: Query) -> None:
    one, two = rest("GET", "").headers, rest("GET", "/nowhere").headers

    assert one["X-GitHub-Request-Id"] != two["X-GitHub-Request-Id"]
    assert one["X-GitHub-Media-Type"] == "github.v3; format=json"
    assert (one["X-RateLimit-Resource"], one["X-RateLimit-Used"]) == ("core", "1")
    assert one["X-GitHub-Api-Version-Selected"] == "2022-11-28"
    assert "Authorization" in one["Vary"]
    assert query("{viewer{login}}")["data"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/vnd.github+json", "github.v3; format=json"),
        ("application/vnd.github.v3+json", "github.v3; format=json"),
        ("application/vnd.github.v3.raw+json", "github.v3; param=raw; format=json"),
        ("application/vnd.github.diff", "github.v3; param=diff"),
    ],
)
def test_the_media_type_asked_for_is_repeated(session: requests.Session, accept: str, media_type: str) -> None:
    assert session.get(URL, headers={"Accept": accept}).headers["X-GitHub-Media-Type"] == media_type


def test_requests_that_no_api_client_makes_are_turned_away(sandbox: Sandbox, session: requests.Session) -> None:
    picture = session.get(URL, headers={"Accept": "image/png"})
    nameless = Client(sandbox.app).get("/repos/acme/rocket", headers={"User-Agent": ""})
    whatever = session.get(URL, headers={"Accept": ""})

    assert whatever.status_code == 200
    assert (picture.status_code, picture.json()["message"]) == (
        415,
        "Unsupported 'Accept' header: 'image/png'. Must accept 'application/json'.",
    )
    assert (nameless.status_code, b"User-Agent" in nameless.data) == (403, True)


def test_an_error_page_may_stand_in_for_any_answer(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "http.5xx", match={"route": "GET /repos/{owner}/{repo}/pulls"}, args={"code": 504})
    switch_on(session, "http.5xx", match={"route": "GET /repos/{owner}/{repo}/pulls"}, args={"html": False})

    page, words, fine = rest("GET", "/pulls"), rest("GET", "/pulls"), rest("GET", "/pulls")

    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (504, "text/html")
    assert (words.status_code, words.json()) == (502, {"message": "Server Error"})
    assert fine.status_code == 200
    assert rest("GET", "").status_code == 200
    assert hits(session) == [1, 1]


def test_half_an_answer_is_not_json(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "http.truncated")
    switch_on(session, "http.truncated", args={"keep": 10})

    half, ten, whole = rest("GET", ""), rest("GET", ""), rest("GET", "")

    assert [half.status_code, len(half.content), len(ten.content)] == [200, len(whole.content) // 2, 10]
    with pytest.raises(requests.exceptions.JSONDecodeError):
        half.json()


@pytest.mark.parametrize("handled", [False, True])
def test_a_connection_may_end_before_or_after_the_work(
    sandbox: Sandbox, session: requests.Session, rest: Rest, handled: bool
) -> None:
    tip = tip_of(sandbox)
    switch_on(session, "http.reset", args={"handled": handled})

    with pytest.raises(requests.ConnectionError):
        rest("POST", f"/statuses/{tip}", state="success")

    posted = sandbox.world.repo("acme/rocket").statuses.get(str(tip), [])
    assert (len(posted), hits(session)) == (int(handled), [1])
    assert sandbox.settle()


def test_a_real_connection_is_cut_too(served: Sandbox) -> None:
    requests.post(f"{served.url}/_sim/faults", json={"id": "http.reset", "times": 1}, timeout=10)
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/repos/acme/rocket", headers={"User-Agent": "test"})

    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        connection.getresponse()

    connection.close()
    assert requests.get(f"{served.url}/repos/acme/rocket", timeout=10).status_code == 200


def test_a_slow_answer_takes_time_of_the_clock_and_patience(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    start = sandbox.clock.now()
    switch_on(session, "http.slow", times=2, args={"ms": 20_000})

    slow = rest("GET", "")
    with pytest.raises(requests.ReadTimeout):
        session.post(f"{URL}/issues", json={"title": "late"}, timeout=5)

    assert (slow.status_code, sandbox.clock.now() - start) == (200, 25)
    assert sandbox.world.repo("acme/rocket").issues[1].title == "late"


def test_a_slow_answer_comes_in_the_end_on_real_time(served: Sandbox) -> None:
    requests.post(f"{served.url}/_sim/faults", json={"id": "http.slow", "args": {"ms": 1}}, timeout=10)

    assert requests.get(f"{served.url}/repos/acme/rocket", timeout=10).status_code == 200
    assert requests.get(f"{served.url}/_sim/faults", timeout=10).json()[0]["hits"] == 1


def test_graphql_may_run_out_of_time_and_take_its_points(
    sandbox: Sandbox, session: requests.Session, query: Query
) -> None:
    switch_on(session, "graphql.timeout", args={"points": 7})

    answer = session.post(f"{BASE}/graphql", json={"query": "{viewer{login}}"})

    assert (answer.status_code, "504 Gateway Time-out" in answer.text) == (504, True)
    assert query("{rateLimit{used}}")["data"]["rateLimit"]["used"] == 8
    assert sandbox.settle()


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("repository.pullRequests.nodes.1", ["repository", "pullRequests", "nodes", 1]),
        (["repository", "pullRequests"], ["repository", "pullRequests"]),
        ("repository.pullRequests.nodes.7", ["repository", "pullRequests", "nodes"]),
        (None, ["repository"]),
    ],
)
def test_a_part_of_a_graphql_answer_may_be_missing(
    sandbox: Sandbox, session: requests.Session, query: Query, path: object, place: list[str | int]
) -> None:
    for number in range(2):
        sandbox.world.open_pull("acme/rocket", title="Add", files={f"{number}.txt": "x\n"})
    args = {"type": "FORBIDDEN"} if path is None else {"path": path}
    switch_on(session, "graphql.partial", args=args)
    text = '{repository(owner: "acme", name: "rocket") { pullRequests(first: 5) { nodes { number } } }}'

    spoilt, whole = query(text), query(text)

    (error,) = spoilt["errors"]
    assert (error["path"], error["type"]) == (place, "FORBIDDEN" if path is None else "SERVICE_UNAVAILABLE")
    assert ("errors" in whole, spoilt["data"] != whole["data"]) == (False, path != "repository.pullRequests.nodes.7")


@pytest.mark.parametrize("kind", ["RATE_LIMITED", "RATE_LIMIT"])
def test_graphql_may_say_that_a_limit_is_reached(session: requests.Session, kind: str) -> None:
    switch_on(session, "graphql.rate_limited", args={"type": kind})

    answer = session.post(f"{BASE}/graphql", json={"query": "{viewer{login}}"})
    limited = answer.json()

    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (200, "0")
    assert limited["errors"][0]["type"] == kind
    assert limited["errors"][0]["message"].startswith("API rate limit exceeded for user ID ")
    assert "data" not in limited


def test_something_may_go_wrong_in_graphql_although_it_was_done(
    sandbox: Sandbox, session: requests.Session, query: Query
) -> None:
    repo = query('{repository(owner: "acme", name: "rocket") { id }}')["data"]["repository"]["id"]
    switch_on(session, "graphql.untyped", match={"route": "graphql:Make"})
    text = """mutation Make($repo: ID!, $oid: GitObjectID!) { createRef(input: {repositoryId: $repo,
      name: "refs/heads/x", oid: $oid}) { ref { name } } }"""

    answer = query(text, repo=repo, oid=tip_of(sandbox))

    (error,) = answer["errors"]
    assert error["message"].startswith("Something went wrong while executing your query. Please include `")
    assert ("type" in error, answer["data"]) == (False, None)
    assert "x" in sandbox.world.repo("acme/rocket").git.branches()


@pytest.mark.parametrize("landed", [False, True])
def test_a_merge_may_end_without_any_answer(
    sandbox: Sandbox, session: requests.Session, rest: Rest, landed: bool
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "merge.reset", match={"pr": 1}, args={"landed": landed})

    with pytest.raises(requests.ConnectionError):
        rest("PUT", "/pulls/1/merge")

    assert pull.merged is landed


def state_of(rest: Rest, query: Query) -> list[str]:
    text = """{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { state id }
      pullRequests(first: 5, states: OPEN) { totalCount } }}"""
    shown = query(text)["data"]["repository"]
    node = query("query($id: ID!) { node(id: $id) { ... on PullRequest { state } } }", id=shown["pullRequest"]["id"])
    merged = "merged" if rest("GET", "/pulls/1/merge").status_code == 204 else "not merged"
    listed = f"{shown['pullRequests']['totalCount']} {len(rest('GET', '/pulls').json())}"
    return [
        rest("GET", "/pulls/1").json()["state"],
        shown["pullRequest"]["state"],
        node["data"]["node"]["state"],
        merged,
        listed,
    ]


def test_what_has_landed_may_still_be_shown_as_open(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "read.lag", args={"delay": 300_000})

    answer = rest("PUT", "/pulls/1/merge")
    soon = state_of(rest, query)
    again = rest("PUT", "/pulls/1/merge").json()["message"]
    sandbox.clock.advance(300)

    assert (answer.status_code, pull.merged) == (200, True)
    assert soon == ["open", "OPEN", "OPEN", "not merged", "1 1"]
    assert again == "Pull Request is not mergeable"
    assert tip_of(sandbox) == pull.merge_commit_sha
    assert state_of(rest, query) == ["closed", "MERGED", "MERGED", "merged", "0 0"]


def test_a_new_head_may_be_shown_late(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    before = pull.head_sha
    switch_on(session, "read.stale_head", args={"ms": 10_000})
    after = sandbox.world.push_to_pull(pull, {"a.txt": "b\n"})

    seen = [rest("GET", "/pulls/1").json()["head"]["sha"]]
    branch = rest("GET", "/git/ref/heads/ana-patch-1").json()["object"]["sha"]
    sandbox.clock.advance(10)
    seen.append(rest("GET", "/pulls/1").json()["head"]["sha"])

    assert (seen, branch) == ([before, after], after)


def test_a_result_may_be_told_before_it_can_be_read(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    world, tip = sandbox.world, str(tip_of(sandbox))
    world.set_check_run("acme/rocket", tip, name="build", status="in_progress")
    switch_on(session, "read.lag", times=2, args={"checks": True, "ms": 5000})
    world.set_check_run("acme/rocket", tip, name="build", conclusion="success")
    world.set_status("acme/rocket", tip, context="ci")

    def seen() -> tuple[str, str]:
        run = rest("GET", f"/commits/{tip}/check-runs").json()["check_runs"][0]
        return run["status"], rest("GET", f"/commits/{tip}/status").json()["state"]

    early = seen()
    sandbox.clock.advance(5)

    assert (early, seen()) == (("in_progress", "pending"), ("completed", "success"))
    assert hits(session) == [2]


def test_what_an_event_spoke_of_may_not_be_there_yet(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "read.not_yet", times=2, match={"pr": 1})

    assert [rest("GET", "/pulls/1").status_code for _ in range(3)] == [404, 404, 200]


def test_a_fault_may_happen_only_now_and_then(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "http.5xx", times=None, args={"p": 0.25})

    codes = [rest("GET", "").status_code for _ in range(40)]

    assert 3 <= codes.count(502) <= 17
    assert hits(session) == [codes.count(502)]


def hits_of_search(query: Query) -> list[tuple[int, str]]:
    text = """{search(type: ISSUE, first: 9, query: "is:pr is:open repo:acme/rocket") {
      nodes { ... on PullRequest { number state } } }}"""
    return [(node["number"], node["state"]) for node in query(text)["data"]["search"]["nodes"]]


def test_search_may_still_find_what_has_changed(sandbox: Sandbox, session: requests.Session, query: Query) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "search.lag", times=None, args={"ms": 60_000})
    fresh = hits_of_search(query)
    sandbox.world.close_pull(pull)
    stale = hits_of_search(query)
    sandbox.clock.advance(60)

    assert (fresh, stale, hits_of_search(query)) == ([(1, "OPEN")], [(1, "CLOSED")], [])
    assert hits(session) == [1]


def test_search_may_miss_some_or_all(sandbox: Sandbox, session: requests.Session, query: Query) -> None:
    for number in range(2):
        sandbox.world.open_pull("acme/rocket", title="Add", files={f"{number}.txt": "x\n"})
    switch_on(session, "search.drop", args={"prs": [2]}, match={"repo": "acme/rocket"})
    some = hits_of_search(query)
    switch_on(session, "search.drop")
    none = hits_of_search(query)

    assert (some, none, len(hits_of_search(query))) == ([(1, "OPEN")], [], 2)


def test_only_long_lists_may_take_too_long(session: requests.Session) -> None:
    switch_on(session, "graphql.timeout", times=None, args={"above": 5})
    text = 'query($n: Int!) {repository(owner: "acme", name: "rocket") {labels(first: $n) {totalCount}}}'

    codes = [
        session.post(f"{BASE}/graphql", json={"query": text, "variables": {"n": count}}).status_code for count in (6, 5)
    ]

    assert codes == [504, 200]
