from __future__ import annotations

from collections.abc import Iterator

import pytest
from github import Auth, Github, GithubException
from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.requests import RequestsHTTPTransport

from mergeq.sandbox import Sandbox, WsgiAdapter
from tests.sandbox.conftest import BASE


@pytest.fixture
def github(served: Sandbox) -> Iterator[Github]:
    with Github(
        auth=Auth.Token(served.token),
        base_url=f"{served.url}/api/v3",
        lazy=True,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
    ) as client:
        yield client


def test_pygithub_reads_and_merges_a_pull_request(served: Sandbox, github: Github) -> None:
    served.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=["lgtm"])
    pull = github.get_repo("acme/rocket").get_pull(1)

    assert (pull.title, pull.head.ref, [label.name for label in pull.labels]) == ("Add", "ana-patch-1", ["lgtm"])
    status = pull.merge(merge_method="squash", sha=pull.head.sha)

    assert (status.merged, status.sha) == (True, served.world.repo("acme/rocket").git.tip("main"))
    with pytest.raises(GithubException) as refused:
        pull.merge()
    assert (refused.value.status, refused.value.message) == (405, "Pull Request is not mergeable")


def test_pygithub_writes_statuses_refs_labels_and_comments(served: Sandbox, github: Github) -> None:
    tip = str(served.world.repo("acme/rocket").git.tip("main"))
    served.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    repo = github.get_repo("acme/rocket")

    status = repo.get_commit(tip).create_status("success", "https://example.com", "fine", "tide")
    repo.create_git_ref("refs/heads/mergeq/main-1", tip)
    repo.get_issue(1).add_to_labels("lgtm")
    repo.get_issue(1).create_comment("hello")

    assert (status.state, status.context, status.creator.login) == ("success", "tide", "mergeq-bot")
    assert repo.get_git_ref("heads/mergeq/main-1").object.sha == tip
    assert sorted(branch.name for branch in repo.get_branches()) == ["ana-patch-1", "main", "mergeq/main-1"]
    assert repo.get_commit(tip).get_combined_status().state == "success"
    assert [label.name for label in repo.get_pull(1).get_labels()] == ["lgtm"]
    assert github.get_user().login == "mergeq-bot"


def test_gql_talks_to_the_application_without_a_port(sandbox: Sandbox) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    headers = {"Authorization": f"bearer {sandbox.token}"}
    transport = RequestsHTTPTransport(url=f"{BASE}/graphql", headers=headers, timeout=180, retries=0)
    client = Client(transport=transport, fetch_schema_from_transport=False, execute_timeout=None)
    session = client.connect_sync()  # type: ignore[no-untyped-call]
    transport.session.mount(BASE, WsgiAdapter(sandbox.app))  # type: ignore[union-attr]
    text = 'query($n: Int!) { repository(owner: "acme", name: "rocket") { pullRequest(number: $n) { title } } }'

    found = session.execute(GraphQLRequest(gql(text).document, variable_values={"n": 1}))
    with pytest.raises(TransportQueryError) as refused:
        session.execute(GraphQLRequest(gql(text).document, variable_values={"n": 2}))
    client.close_sync()  # type: ignore[no-untyped-call]

    assert found == {"repository": {"pullRequest": {"title": "Add"}}}
    assert refused.value.errors[0]["type"] == "NOT_FOUND"  # type: ignore[index]
    assert refused.value.data == {"repository": {"pullRequest": None}}
    assert transport.response_headers is not None
    assert "x-ratelimit-remaining" in {name.lower() for name in transport.response_headers}
