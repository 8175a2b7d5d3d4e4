"""Whom issues and pull requests are assigned to, who is asked for a review, and who may change what others opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox, WsgiAdapter
from mergeq.sandbox.records import Pull
from tests.sandbox.conftest import BASE, Query, Rest
from tests.sandbox.test_mutations import act
from tests.sandbox.test_webhooks import Receiver, receiver

__all__ = ("receiver",)

As = Callable[..., requests.Response]
NOT_COLLABORATOR = (
    "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a "
    "collaborator of the acme/rocket repository."
)


@pytest.fixture
def pull(sandbox: Sandbox) -> Pull:
    for login in ("ben", "eve", "zoe"):
        sandbox.world.users.id_of(login)
    return sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, author="ana")


@pytest.fixture
def as_(sandbox: Sandbox) -> Iterator[As]:
    """``as_("eve", "PATCH", "/pulls/1", title="x")`` asks about acme/rocket with a token of hers."""
    with requests.Session() as session:
        session.mount(BASE, WsgiAdapter(sandbox.app))

        def ask(login: str, method: str, path: str, **json: Any) -> requests.Response:
            token = sandbox.world.users.issue_token(login)
            url, headers = f"{BASE}/repos/acme/rocket{path}", {"Authorization": f"token {token}"}
            return session.request(method, url, json=json or None, headers=headers)

        yield ask


def logins(people: list[dict[str, Any]]) -> list[str]:
    return [one["login"] for one in people]


@pytest.mark.usefixtures("pull")
def test_people_and_teams_are_asked_for_a_review_and_told(sandbox: Sandbox, receiver: Receiver, rest: Rest) -> None:
    sandbox.world.users.join_team("acme/owners", "zoe")
    sandbox.settle()
    receiver.got.clear()

    asked = rest("POST", "/pulls/1/requested_reviewers", reviewers=["ben", "eve"], team_reviewers=["owners"])
    rest("POST", "/pulls/1/requested_reviewers", reviewers=["ben"])
    fewer = rest("DELETE", "/pulls/1/requested_reviewers", reviewers=["eve", "nobody"], team_reviewers=["owners"])
    listed = rest("GET", "/pulls/1/requested_reviewers").json()
    sandbox.settle()

    assert (asked.status_code, logins(asked.json()["requested_reviewers"])) == (201, ["ben", "eve"])
    assert [team["slug"] for team in asked.json()["requested_teams"]] == ["owners"]
    assert (fewer.status_code, logins(fewer.json()["requested_reviewers"])) == (200, ["ben"])
    assert (logins(listed["users"]), listed["teams"]) == (["ben"], [])
    told = [
        (body["action"], body.get("requested_reviewer", {}).get("login") or body["requested_team"]["slug"])
        for _, body in receiver.got
    ]
    assert told == [
        ("review_requested", "ben"),
        ("review_requested", "eve"),
        ("review_requested", "owners"),
        ("review_request_removed", "eve"),
        ("review_request_removed", "owners"),
    ]


def test_who_has_reviewed_is_asked_no_longer_nor_is_their_team(sandbox: Sandbox, rest: Rest, pull: Pull) -> None:
    sandbox.world.users.join_team("acme/owners", "zoe")
    rest("POST", "/pulls/1/requested_reviewers", reviewers=["ben", "eve"], team_reviewers=["owners"])

    sandbox.world.review(pull, "ben", "COMMENTED", "hm")
    sandbox.world.review(pull, "zoe", "APPROVED")

    assert (pull.reviewers, pull.reviewing_teams) == (["eve"], [])


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"reviewers": ["ana"]}, "Review cannot be requested from pull request author."),
        ({"reviewers": ["ben", "stranger"]}, NOT_COLLABORATOR),
        ({"team_reviewers": ["strangers"]}, NOT_COLLABORATOR),
    ],
)
def test_not_everybody_can_be_asked(rest: Rest, pull: Pull, sent: dict[str, Any], words: str) -> None:
    answer = rest("POST", "/pulls/1/requested_reviewers", **sent)

    assert (answer.status_code, answer.json()["message"]) == (422, words)
    assert pull.reviewers == []


@pytest.mark.usefixtures("pull")
def test_requests_are_taken_back_by_name(rest: Rest) -> None:
    answer = rest("DELETE", "/pulls/1/requested_reviewers", team_reviewers=[])

    assert (answer.status_code, answer.json()["message"]) == (422, 'Invalid request.\n\n"reviewers" wasn\'t supplied.')


@pytest.mark.usefixtures("pull")
def test_only_who_sorts_may_ask_even_of_the_own_pull_request(sandbox: Sandbox, as_: As) -> None:
    sandbox.world.users.set_role("ana", "read")
    refused = as_("ana", "POST", "/pulls/1/requested_reviewers", reviewers=["ben"])
    sandbox.world.users.set_role("ana", "triage")

    assert refused.status_code == 403
    assert as_("ana", "POST", "/pulls/1/requested_reviewers", reviewers=["ben"]).status_code == 201


@pytest.mark.usefixtures("pull")
@pytest.mark.parametrize("what", ["issue", "pull request"])
def test_issues_and_pull_requests_are_assigned(sandbox: Sandbox, receiver: Receiver, rest: Rest, what: str) -> None:
    sandbox.world.open_issue("acme/rocket", "Freeze")
    number, event = (1, "pull_request") if what == "pull request" else (2, "issues")
    sandbox.settle()
    receiver.got.clear()

    more = rest("POST", f"/issues/{number}/assignees", assignees=["ben", "eve", "stranger", "ben"])
    fewer = rest("DELETE", f"/issues/{number}/assignees", assignees=["ben", "zoe"])
    sandbox.settle()

    assert (more.status_code, logins(more.json()["assignees"])) == (201, ["ben", "eve"])
    assert (fewer.status_code, fewer.json()["assignee"]["login"]) == (200, "eve")
    assert [(name, body["action"], body["assignee"]["login"]) for name, body in receiver.got] == [
        (event, "assigned", "ben"),
        (event, "assigned", "eve"),
        (event, "unassigned", "ben"),
    ]


@pytest.mark.usefixtures("pull")
def test_ten_people_are_enough(sandbox: Sandbox, rest: Rest) -> None:
    many = [f"dev{number}" for number in range(12)]
    for login in many:
        sandbox.world.users.id_of(login)

    assert logins(rest("POST", "/issues/1/assignees", assignees=many).json()["assignees"]) == many[:10]


def test_assignable_is_who_may_write_belongs_to_the_organization_or_spoke(
    sandbox: Sandbox, rest: Rest, pull: Pull
) -> None:
    for login in ("ben", "eve", "zoe"):
        sandbox.world.users.set_role(login, "read")
    sandbox.world.users.join_org("acme", "ben")
    sandbox.world.comment(pull, "mine", "eve")

    assert logins(rest("POST", "/issues/1/assignees", assignees=["ben", "eve", "zoe"]).json()["assignees"]) == [
        "ben",
        "eve",
    ]


@pytest.mark.usefixtures("pull")
def test_an_issue_is_opened_for_somebody_and_given_to_others(rest: Rest) -> None:
    made = rest("POST", "/issues", title="Freeze", assignees=["ben"])
    wrong = rest("POST", "/issues", title="Freeze", assignees=["stranger"])
    changed = rest("PATCH", "/issues/2", assignees=["eve", "zoe"])
    wrong_too = rest("PATCH", "/issues/2", assignees=["stranger"])
    found = [len(rest("GET", f"/issues?assignee={who}").json()) for who in ("eve", "ben", "*", "none")]

    assert logins(made.json()["assignees"]) == ["ben"]
    assert logins(changed.json()["assignees"]) == ["eve", "zoe"]
    error = {"value": "stranger", "resource": "Issue", "field": "assignees", "code": "invalid"}
    assert [(one.status_code, one.json()["errors"]) for one in (wrong, wrong_too)] == [(422, [error])] * 2
    assert found == [1, 0, 1, 1]


def test_a_pull_request_is_changed_as_the_issue_that_it_is(rest: Rest, pull: Pull) -> None:
    changed = rest("PATCH", "/issues/1", title="Other", body="why", labels=["lgtm"], assignees=["ben"], state="closed")

    assert (changed.status_code, changed.json()["html_url"].rpartition("/")[0][-4:]) == (200, "pull")
    assert (pull.title, pull.body, pull.labels, pull.assignees, pull.state) == (
        *("Other", "why"),
        ["lgtm"],
        ["ben"],
        "closed",
    )
    assert rest("PATCH", "/issues/1", state="ajar").status_code == 422


@pytest.mark.usefixtures("pull")
def test_who_has_no_right_is_passed_over_in_silence(sandbox: Sandbox, as_: As) -> None:
    sandbox.world.users.set_role("eve", "read")

    made = as_("eve", "POST", "/issues", title="Mine", labels=["kind/bug"], assignees=["ben"]).json()
    changed = as_("eve", "PATCH", "/issues/2", title="Still mine", labels=["kind/bug"], assignees=["ben"]).json()
    put = as_("eve", "POST", "/issues/2/assignees", assignees=["ben"])
    taken = as_("eve", "DELETE", "/issues/2/assignees", assignees=["ben"])

    assert (made["labels"], made["assignees"]) == ([], [])
    assert (changed["title"], changed["labels"], changed["assignees"]) == ("Still mine", [], [])
    assert (put.status_code, put.json()["assignees"], taken.status_code) == (201, [], 200)


@pytest.mark.usefixtures("pull")
@pytest.mark.parametrize("route", ["/pulls/1", "/issues/1", "/issues/2"])
def test_what_others_opened_is_closed_by_who_sorts_and_edited_by_who_writes(
    sandbox: Sandbox, as_: As, route: str
) -> None:
    sandbox.world.open_issue("acme/rocket", "Freeze", author="ana")
    roles = {"reader": "read", "sorter": "triage", "writer": "write", "ana": "read"}
    for login, role in roles.items():
        sandbox.world.users.set_role(login, role)

    title = {login: as_(login, "PATCH", route, title=f"by {login}") for login in roles}
    state = {login: as_(login, "PATCH", route, state="closed") for login in roles}

    assert {login: one.status_code for login, one in title.items()} == {
        "reader": 403,
        "sorter": 403,
        "writer": 200,
        "ana": 200,
    }
    assert {login: one.status_code for login, one in state.items()} == {
        "reader": 403,
        "sorter": 200,
        "writer": 200,
        "ana": 200,
    }
    assert state["reader"].json()["message"] == "Issue not editable by reader"


def test_a_base_is_changed_by_the_author_or_a_writer(sandbox: Sandbox, as_: As, pull: Pull) -> None:
    sandbox.world.push("acme/rocket", "next", {"b.txt": "b\n"})
    sandbox.world.users.set_role("eve", "triage")

    refused = as_("eve", "PATCH", "/pulls/1", base="next")

    assert (refused.status_code, pull.base_ref) == (403, "main")
    assert as_("ana", "PATCH", "/pulls/1", base="next").json()["base"]["ref"] == "next"


@pytest.mark.usefixtures("pull")
def test_graphql_asks_assigns_and_shows_it(sandbox: Sandbox, query: Query, rest: Rest) -> None:
    sandbox.world.users.join_team("acme/owners", "zoe")
    ids = {login: rest("GET", f"//users/{login}").json()["node_id"] for login in ("ben", "eve")}
    team = query(
        '{ organization(login: "acme") { teams(first: 9, orderBy: {field: NAME, direction: DESC}) { nodes { id } } } }'
    )
    (owners,) = team["data"]["organization"]["teams"]["nodes"]
    subject = rest("GET", "/pulls/1").json()["node_id"]
    asked = """pullRequest { reviewRequests(first: 9) { nodes { id
      requestedReviewer { __typename ... on User { login } ... on Team { slug } } } } }"""

    first = act(
        query,
        "requestReviews",
        f"requestedReviewersEdge {{ node {{ login }} }} {asked}",
        pullRequestId=subject,
        userIds=[ids["ben"]],
    )
    added = act(query, "requestReviews", asked, pullRequestId=subject, teamIds=[owners["id"]], union=True)
    instead = act(query, "requestReviews", asked, pullRequestId=subject, userIds=[ids["eve"]])
    given = act(
        query,
        "addAssigneesToAssignable",
        "assignable { assignees(first: 9) { nodes { login } } }",
        assignableId=subject,
        assigneeIds=list(ids.values()),
    )
    taken = act(
        query,
        "removeAssigneesFromAssignable",
        "assignable { ... on PullRequest { number } assignees(first: 9) { totalCount } }",
        assignableId=subject,
        assigneeIds=[ids["ben"]],
    )

    def names(answer: Any) -> list[str]:
        requests_ = answer["pullRequest"]["reviewRequests"]["nodes"]
        return [one["requestedReviewer"].get("login") or one["requestedReviewer"]["slug"] for one in requests_]

    assert first["requestedReviewersEdge"] == {"node": {"login": "ben"}}
    assert [names(answer) for answer in (first, added, instead)] == [["ben"], ["ben", "owners"], ["eve"]]
    assert [one["login"] for one in given["assignable"]["assignees"]["nodes"]] == ["ben", "eve"]
    assert taken["assignable"] == {"number": 1, "assignees": {"totalCount": 1}}


def test_graphql_sets_assignees_of_issues_and_pull_requests(query: Query, rest: Rest, pull: Pull) -> None:
    ben, subject = rest("GET", "//users/ben").json()["node_id"], rest("GET", "/pulls/1").json()["node_id"]
    repo = rest("GET", "").json()["node_id"]

    act(query, "updatePullRequest", "clientMutationId", pullRequestId=subject, assigneeIds=[ben])
    made = act(
        query,
        "createIssue",
        "issue { id assignees(first: 1) { nodes { login } } }",
        repositoryId=repo,
        title="Freeze",
        assigneeIds=[ben],
    )
    issue = made["issue"]["id"]
    changed = act(
        query,
        "updateIssue",
        "actor { login } issue { title state assignees(first: 1) { totalCount } labels(first: 1) { totalCount } }",
        id=issue,
        title="Thaw",
        state="CLOSED",
        assigneeIds=[],
        labelIds=[],
    )
    milestone = act(query, "updateIssue", "clientMutationId", id=issue, milestoneId="MI_1")

    assert pull.assignees == ["ben"]
    assert made["issue"]["assignees"]["nodes"] == [{"login": "ben"}]
    assert changed == {
        "actor": {"login": "mergeq-bot"},
        "issue": {"title": "Thaw", "state": "CLOSED", "assignees": {"totalCount": 0}, "labels": {"totalCount": 0}},
    }
    assert milestone["message"] == "not simulated: milestoneId of UpdateIssue"


def test_graphql_holds_people_to_the_same_rights(sandbox: Sandbox, query: Query, rest: Rest, pull: Pull) -> None:
    subject, ben = rest("GET", "/pulls/1").json()["node_id"], rest("GET", "//users/ben").json()["node_id"]
    own = sandbox.world.open_pull("acme/rocket", title="Own", files={"b.txt": "b\n"}, author="mergeq-bot")
    mine = rest("GET", "/pulls/2").json()["node_id"]
    sandbox.world.users.set_role("mergeq-bot", "read")

    refused = [
        act(query, "updatePullRequest", "clientMutationId", pullRequestId=subject, title="x"),
        act(query, "closePullRequest", "clientMutationId", pullRequestId=subject),
        act(query, "requestReviews", "clientMutationId", pullRequestId=mine, userIds=[ben]),
        act(query, "addAssigneesToAssignable", "clientMutationId", assignableId=mine, assigneeIds=[ben]),
        act(query, "updatePullRequest", "clientMutationId", pullRequestId=mine, assigneeIds=[ben]),
    ]
    act(query, "closePullRequest", "clientMutationId", pullRequestId=mine)

    assert [one["type"] for one in refused] == ["FORBIDDEN"] * 5
    assert (pull.is_open, own.is_open) == (True, False)


def test_who_sorts_may_sort_over_graphql_and_no_more(sandbox: Sandbox, query: Query, rest: Rest, pull: Pull) -> None:
    subject, ben = rest("GET", "/pulls/1").json()["node_id"], rest("GET", "//users/ben").json()["node_id"]
    sandbox.world.users.set_role("mergeq-bot", "triage")

    act(query, "updatePullRequest", "clientMutationId", pullRequestId=subject, assigneeIds=[ben], state="CLOSED")
    refused = act(query, "updatePullRequest", "clientMutationId", pullRequestId=subject, title="x")

    assert (pull.assignees, pull.is_open, refused["type"]) == (["ben"], False, "FORBIDDEN")


@pytest.mark.usefixtures("pull")
def test_search_and_lists_know_who_is_asked_and_assigned(sandbox: Sandbox, query: Query, rest: Rest) -> None:
    sandbox.world.users.join_team("acme/owners", "zoe")
    rest("POST", "/pulls/1/requested_reviewers", reviewers=["ben"], team_reviewers=["owners"])
    rest("POST", "/issues/1/assignees", assignees=["eve"])

    def found(text: str) -> int:
        return int(rest("GET", f"//search/issues?q=repo:acme/rocket {text}").json()["total_count"])

    asked = [found(f"review-requested:{login}") for login in ("ben", "zoe", "eve")]
    given = [found(f"{text}:eve") for text in ("assignee", "-assignee", "mentions")]
    issues = query(
        """{ repository(owner: "acme", name: "rocket") { assignableUsers(first: 9) { nodes { login } }
          issues(first: 1, filterBy: {assignee: "eve"}) { totalCount } } }"""
    )

    assert (asked, given) == ([1, 1, 0], [1, 0, 0])
    assert issues["data"]["repository"]["issues"] == {"totalCount": 0}
    assert "ben" in [one["login"] for one in issues["data"]["repository"]["assignableUsers"]["nodes"]]


def test_who_has_left_is_asked_nothing(sandbox: Sandbox, rest: Rest, pull: Pull) -> None:
    rest("POST", "/pulls/1/requested_reviewers", reviewers=["ben"])
    rest("POST", "/issues/1/assignees", assignees=["ben"])

    sandbox.world.faults.add("pr.ghost", repo="acme/rocket", pr=1, after=1, args={"login": "ben"})
    for _ in range(3):
        rest("GET", "/pulls/1")

    assert (pull.reviewers, pull.assignees) == ([], [])
