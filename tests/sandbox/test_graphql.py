from __future__ import annotations

import requests

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import BASE, Query

REPO = 'repository(owner: "acme", name: "rocket")'


def test_a_pull_request_is_shown_whole(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull(
        "acme/rocket", title="Add", body="why", files={"a.txt": "a\n"}, labels=["LGTM"], milestone="v1", fork="ana"
    )
    world.set_status("acme/rocket", pull.head_sha, context="ci", state="pending", description="running")
    world.set_check_run("acme/rocket", pull.head_sha, name="lint", conclusion="skipped", app="github-actions")
    world.review(pull, "ben")

    answer = query(
        """query { repository(owner: "acme", name: "rocket") { pullRequest(number: 1) {
          fullDatabaseId state merged closed isDraft title body url author { __typename login }
          baseRefName baseRefOid baseRef { name prefix target { oid } } headRefName headRefOid
          headRef { name target { oid } }
          isCrossRepository headRepository { nameWithOwner owner { login } } headRepositoryOwner { login }
          reviewDecision isInMergeQueue isMergeQueueEnabled milestone { title number } changedFiles
          labels(first: 10) { totalCount nodes { name } }
          commits(last: 1) { totalCount nodes { commit { oid author { name user { login } } } } }
          statusCheckRollup { state commit { oid } contexts(first: 10) { totalCount nodes { __typename
            ... on CheckRun { name status conclusion detailsUrl checkSuite { app { slug databaseId } } }
            ... on StatusContext { context state description creator { login } } } } }
          reviews(last: 5, states: [APPROVED]) { totalCount nodes { state author { login } commit { oid } } }
          timelineItems(last: 5, itemTypes: [LABELED_EVENT]) { nodes { __typename
            ... on LabeledEvent { label { name } actor { login } createdAt } } }
        } } }"""
    )

    assert "errors" not in answer
    shown = answer["data"]["repository"]["pullRequest"]
    assert shown["url"] == f"{BASE}/acme/rocket/pull/1"
    assert shown["headRepository"] == {"nameWithOwner": "ana/rocket", "owner": {"login": "ana"}}
    assert shown["isCrossRepository"]
    assert shown["baseRef"] == {"name": "main", "prefix": "refs/heads/", "target": {"oid": shown["baseRefOid"]}}
    assert shown["headRef"]["target"]["oid"] == shown["headRefOid"] == pull.head_sha
    assert shown["commits"]["nodes"][0]["commit"]["author"] == {"name": "ana", "user": {"login": "ana"}}
    assert shown["statusCheckRollup"]["state"] == "PENDING"
    assert shown["statusCheckRollup"]["contexts"]["totalCount"] == 2
    check, status = shown["statusCheckRollup"]["contexts"]["nodes"]
    assert (check["name"], check["conclusion"], check["checkSuite"]["app"]["slug"]) == (
        "lint",
        "SKIPPED",
        "github-actions",
    )
    assert (status["context"], status["state"], status["creator"]) == ("ci", "PENDING", {"login": "mergeq-bot"})
    assert shown["reviewDecision"] is None
    assert shown["reviews"]["nodes"][0]["author"] == {"login": "ben"}
    assert shown["timelineItems"]["nodes"][0]["label"] == {"name": "LGTM"}
    assert shown["milestone"] == {"title": "v1", "number": 1}


def test_an_unknown_field_is_an_error_that_names_it(query: Query) -> None:
    answer = query("{ viewer { login frobs } }")

    assert answer["errors"][0]["message"] == "Cannot query field 'frobs' on type 'User'."
    assert "data" not in answer


def test_what_is_not_there_is_not_found_beside_a_null(query: Query) -> None:
    answer = query('{ repository(owner: "acme", name: "nope") { id } }')

    assert answer["data"] == {"repository": None}
    assert answer["errors"][0]["type"] == "NOT_FOUND"
    assert answer["errors"][0]["path"] == ["repository"]
    assert answer["errors"][0]["message"] == "Could not resolve to a Repository with the name 'acme/nope'."


def test_lists_must_be_bounded_by_one_to_a_hundred(query: Query) -> None:
    unbounded = query(f"{{ {REPO} {{ labels {{ nodes {{ name }} }} }} }}")
    too_many = query(f"query($n: Int = 101) {{ {REPO} {{ labels(first: $n) {{ totalCount }} }} }}")

    assert unbounded["errors"][0]["type"] == "MISSING_PAGINATION_BOUNDARIES"
    assert too_many["errors"][0] == {
        "type": "EXCESSIVE_PAGINATION",
        "message": "Requesting 101 records on the `labels` connection exceeds the `first` limit of 100 records.",
    }


def test_a_query_costs_a_hundredth_of_the_lists_it_may_ask_for(query: Query) -> None:
    shape = f"""{{ rateLimit {{ cost nodeCount remaining used limit resetAt }} {REPO} {{ pullRequests(first: 100) {{
      nodes {{ commits(first: 50) {{ nodes {{ commit {{ parents(first: 60) {{ totalCount }} }} }} }} }} }} }} }}"""

    limit = query(shape)["data"]["rateLimit"]

    assert limit["cost"] == 51
    assert limit["nodeCount"] == 100 + 5_000 + 300_000
    assert (limit["used"], limit["remaining"]) == (51, 4949)


def test_an_hour_s_points_run_out_and_come_back(sandbox: Sandbox, query: Query) -> None:
    sandbox.rates.limit = 2

    answers = [query("{ viewer { login } }") for _ in range(3)]
    sandbox.clock.advance(3600.0)

    assert "data" in answers[1]
    assert answers[2]["errors"][0]["type"] == "RATE_LIMITED"
    assert query("{ viewer { login } }")["data"] == {"viewer": {"login": "mergeq-bot"}}


def test_nodes_are_found_by_their_ids_and_a_wrong_one_fails_alone(sandbox: Sandbox, query: Query) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    known = query(f"{{ {REPO} {{ id pullRequest(number: 1) {{ id }} }} viewer {{ id }} }}")["data"]
    ids = [known["repository"]["id"], known["repository"]["pullRequest"]["id"], "PR_bogus", known["viewer"]["id"]]

    answer = query("query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=ids)

    names = [node and node["__typename"] for node in answer["data"]["nodes"]]
    assert names == ["Repository", "PullRequest", None, "User"]
    assert [(error["type"], error["path"]) for error in answer["errors"]] == [("NOT_FOUND", ["nodes", 2])]


def test_commits_and_refs_are_read_from_git(sandbox: Sandbox, query: Query) -> None:
    git = sandbox.world.repo("acme/rocket").git
    tip = git.commit(str(git.tip("main")))

    answer = query(
        f"""query($oid: GitObjectID!) {{ {REPO} {{
          ref(qualifiedName: "refs/heads/main") {{ name target {{ ... on Commit {{ messageHeadline }} }} }}
          missing: ref(qualifiedName: "refs/heads/nope") {{ name }}
          object(oid: $oid) {{ ... on Commit {{ oid message tree {{ oid }} committedDate
            parents(first: 1) {{ totalCount nodes {{ oid }} }} status {{ state }} statusCheckRollup {{ state }} }} }}
          named: object(expression: "main") {{ oid }}
          refs(refPrefix: "refs/heads/", first: 10) {{ nodes {{ name prefix }} }}
        }} }}""",
        oid=tip.sha,
    )["data"]["repository"]

    assert answer["ref"] == {"name": "main", "target": {"messageHeadline": "Initial commit"}}
    assert answer["missing"] is None
    assert answer["object"]["tree"] == {"oid": tip.tree}
    assert answer["object"]["parents"] == {"totalCount": 0, "nodes": []}
    assert answer["object"]["status"] is None
    assert answer["object"]["statusCheckRollup"] is None
    assert answer["named"] == {"oid": tip.sha}
    assert answer["refs"]["nodes"] == [{"name": "main", "prefix": "refs/heads/"}]


def test_lists_of_a_repository_are_filtered_and_ordered(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    world.open_pull("acme/rocket", title="A", files={"a": "a\n"}, labels=["x"])
    world.open_pull("acme/rocket", title="B", files={"b": "b\n"})
    world.close_pull(world.open_pull("acme/rocket", title="C", files={"c": "c\n"}))
    world.open_issue("acme/rocket", "Freeze branch:main", labels=["Blocker"])

    answer = query(
        f"""{{ {REPO} {{
          open: pullRequests(states: [OPEN], baseRefName: "main", first: 9,
            orderBy: {{field: CREATED_AT, direction: DESC}}) {{ totalCount nodes {{ number }} }}
          labelled: pullRequests(labels: ["X", "y"], first: 9) {{ nodes {{ number }} }}
          issues(states: [OPEN], labels: ["blocker"], first: 9) {{ nodes {{
            number title url labels(first: 5) {{ nodes {{ name }} }} repository {{ nameWithOwner }} }} }}
        }} }}"""
    )["data"]["repository"]

    assert [node["number"] for node in answer["open"]["nodes"]] == [2, 1]
    assert [node["number"] for node in answer["labelled"]["nodes"]] == [1]
    assert answer["issues"]["nodes"][0]["title"] == "Freeze branch:main"


def test_review_decision_is_by_the_newest_word_of_each_reviewer(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="A", files={"a": "a\n"})
    world.protect("acme/rocket", "main", required_reviews=1)

    def decision() -> str:
        text = f"{{ {REPO} {{ pullRequest(number: 1) {{ reviewDecision }} }} }}"
        return str(query(text)["data"]["repository"]["pullRequest"]["reviewDecision"])

    said = [decision()]
    for by, state in (("ben", "APPROVED"), ("cy", "CHANGES_REQUESTED"), ("cy", "COMMENTED"), ("cy", "APPROVED")):
        world.review(pull, by, state)
        said.append(decision())
    world.review(pull, "ben", "DISMISSED")
    world.review(pull, "cy", "DISMISSED")

    assert said == ["REVIEW_REQUIRED", "APPROVED", "CHANGES_REQUESTED", "CHANGES_REQUESTED", "APPROVED"]
    assert decision() == "REVIEW_REQUIRED"


def test_a_bad_token_is_refused_with_headers_as_on_every_answer(session: requests.Session) -> None:
    answer = session.post(f"{BASE}/graphql", json={"query": "{viewer{login}}"}, headers={"Authorization": "bearer x"})

    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
    assert answer.headers["x-github-request-id"]
    assert answer.headers["x-ratelimit-resource"] == "graphql"


def test_both_addresses_of_graphql_answer(session: requests.Session) -> None:
    answer = session.post(f"{BASE}/api/graphql", json={"query": "{viewer{login}}"})

    assert answer.json() == {"data": {"viewer": {"login": "mergeq-bot"}}}
