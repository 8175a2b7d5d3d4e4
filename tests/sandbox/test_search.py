from __future__ import annotations

from typing import Any

import pytest

from mergeq.sandbox import Sandbox
from mergeq.sandbox.refusals import NotSimulatedError
from mergeq.sandbox.search import Candidate, matches, order, parse
from tests.sandbox.conftest import Query

NOON = 1_767_614_400  # 2026-01-05T12:00:00Z


def pull(**more: Any) -> Candidate:
    facts: dict[str, Any] = {
        "repo": "acme/rocket",
        "number": 1,
        "is_pull": True,
        "state": "open",
        "author": "ana",
        "created_at": NOON - 60,
        "updated_at": NOON,
        "labels": frozenset({"lgtm", "needs review", "kind/bug:1"}),
        "base": "main",
        "head": "fix",
        "milestone": "v1.0",
        "reviews": frozenset({"approved"}),
        "status": "success",
    }
    return Candidate(**(facts | more))


@pytest.mark.parametrize(
    "text",
    [
        'is:pr is:open archived:false repo:"acme/rocket"',
        "type:pr state:open repo:ACME/Rocket",
        "org:acme -repo:acme/other -org:zeta user:acme",
        'base:"main" -base:release head:fix',
        "label:LGTM",
        'label:"Needs Review" label:lgtm',
        'label:"nope","lgtm"',
        'label:"kind/bug:1"',
        '-label:"do not merge" -label:hold,wip',
        "author:Ana -author:ben",
        'milestone:"v1.0"',
        "review:approved status:success draft:false",
        "updated:>=2026-01-05T12:00:00Z",
        "updated:2026-01-05T11:59:59Z..2026-01-05T12:00:00Z",
        "updated:2026-01-05",
        "updated:2026-01-05..*",
        "updated:<=2026-01-05T13:00:00+01:00",
        "updated:<2026-01-06 created:>2026-01-04",
        "",
    ],
)
def test_finds(text: str) -> None:
    assert matches(parse(text), pull())


@pytest.mark.parametrize(
    "text",
    [
        "is:issue",
        "is:closed",
        "is:merged",
        "is:draft",
        "archived:true",
        "repo:acme/rocket repo:acme/other",
        "org:acme org:zeta",
        "base:Main",
        "label:lgtm label:approved",
        'label:"approved","hold"',
        "-label:lgtm",
        "author:app/ana",
        "milestone:v2",
        "review:none",
        "status:pending",
        "draft:true",
        "updated:>2026-01-05T12:00:00Z",
        "updated:>2026-01-05",
        "updated:<2026-01-05T12:00:00Z",
        "updated:>=yesterday",
        "updated:>=1969-12-31",
        "updated:2026-01-01..soon",
    ],
)
def test_does_not_find(text: str) -> None:
    assert not matches(parse(text), pull())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("is:pr rocket", "free text in a search: rocket"),
        ("repo:a/b OR repo:c/d", "free text in a search: OR"),
        ("(repo:a/b)", r"free text in a search"),
        ("involves:ana", "qualifier involves:"),
        ("-is:draft", "qualifier -is:"),
        ("is:locked", "value in a search: is:locked"),
        ("sort:comments", "value in a search: sort:comments"),
        ("label:", "value in a search: label:"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(text: str, what: str) -> None:
    with pytest.raises(NotSimulatedError, match=what):
        parse(text)


def test_a_bot_is_found_by_its_app() -> None:
    assert matches(parse("author:app/renovate"), pull(author="renovate[bot]"))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("is:pr", [3, 2, 1]),
        ("sort:created-asc", [1, 2, 3]),
        ("sort:updated-desc", [1, 3, 2]),
        ("sort:updated-asc", [2, 3, 1]),
        ("sort:updated", [1, 3, 2]),
    ],
)
def test_hits_are_ordered(text: str, numbers: list[int]) -> None:
    items = [
        pull(number=1, created_at=1, updated_at=9),
        pull(number=2, created_at=2, updated_at=3),
        pull(number=3, created_at=3, updated_at=5),
    ]

    assert [item.number for item in order(parse(text), items)] == numbers


FIND = """query Find($q: String!, $after: String) { search(type: ISSUE, query: $q, first: 2, after: $after) {
  issueCount pageInfo { hasNextPage endCursor } nodes { __typename ... on PullRequest { number } } } }"""


def test_hits_are_paged_by_opaque_cursors(sandbox: Sandbox, query: Query) -> None:
    for number in range(3):
        sandbox.world.open_pull("acme/rocket", title="Add", files={f"{number}.txt": "x\n"})
    sandbox.world.open_issue("acme/rocket", "Freeze")

    first = query(FIND, q="is:pr repo:acme/rocket")["data"]["search"]
    second = query(FIND, q="is:pr repo:acme/rocket", after=first["pageInfo"]["endCursor"])["data"]["search"]

    assert first["issueCount"] == 3
    assert first["pageInfo"]["hasNextPage"]
    assert [node["number"] for node in first["nodes"] + second["nodes"]] == [3, 2, 1]
    assert not second["pageInfo"]["hasNextPage"]


def test_search_knows_reviews_and_results_of_pull_requests(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    approved = world.open_pull("acme/rocket", title="A", files={"a": "a\n"})
    world.open_pull("acme/rocket", title="B", files={"b": "b\n"})
    world.review(approved, "ben")
    world.set_check_run("acme/rocket", approved.head_sha, name="ci", conclusion="failure")

    def found(text: str) -> list[int]:
        return [node["number"] for node in query(FIND, q=text)["data"]["search"]["nodes"]]

    assert found("is:pr review:approved") == [1]
    assert found("is:pr review:none") == [2]
    assert found("is:pr status:failure") == [1]
    world.protect("acme/rocket", "main", required_reviews=1)
    assert found("is:pr review:required") == [2]


def test_an_unknown_qualifier_is_an_error_of_the_query(query: Query) -> None:
    answer = query(FIND, q="is:pr involves:ana")

    assert answer["errors"][0]["message"] == "not simulated: qualifier involves:"
