"""The history: its filters, its pages, its form for programs."""

import json
from typing import Any

import jsonschema
import pytest

from mergeq import shipped
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.store import Wanted, cursor_of
from tests.conftest import Mergeq
from tests.web.builders import MAIN, ODD, claim, record

OTHER = Branch("acme", "launchpad", "main")


@pytest.fixture
def told(mergeq: Mergeq) -> Mergeq:
    """Four records: #7 by ana landed on two branches, #8 by ben was refused, #9 by ana landed elsewhere."""
    store = mergeq.store
    main, odd, other = claim(store, MAIN), claim(store, ODD), claim(store, OTHER)
    record(store, main, 1000.0)
    record(store, odd, 2000.0)
    no = {"outcome": Outcome.REFUSED, "err": "GitHub said no", "landed_sha": None}
    record(store, main, 3000.0, 8, author="ben", title="Paint it", **no)
    record(store, other, 4000.0, 9)
    return mergeq


def listed(mergeq: Mergeq, query: str) -> list[int]:
    """The pull requests of a page of /api/history, newest first."""
    answer = mergeq.web.get(f"/api/history?{query}")
    assert answer.status_code == 200, answer.text
    document = json.loads(answer.data)
    schema = json.loads((shipped("schemas") / "history.schema.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(document)
    return [one["target"][0]["number"] for one in document["records"]]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [9, 8, 7, 7]),
        ("repo=acme/rocket", [8, 7, 7]),
        ("repo=acme/rocket&branch=main", [8, 7]),
        ("branch=fix/%237-100%25%26%C3%A9%3F", [7]),
        ("pull=7", [7, 7]),
        ("author=ana", [9, 7, 7]),
        ("pull=8&author=ana", []),
        ("state=success", [9, 7, 7]),
        ("state=failure", [8]),
        ("state=refused", [8]),
        ("action=MERGE", [9, 8, 7, 7]),
        ("action=TRIGGER", []),
        ("from=2000", [9, 8, 7]),
        ("to=2000", [7]),
        ("from=1970-01-01T00:33:20Z&to=1970-01-01T02:06:40%2B01:00", [8, 7]),
        ("repo=&branch=&pull=&author=&action=&state=&from=&to=", [9, 8, 7, 7]),
    ],
)
def test_every_filter_narrows_and_all_of_them_together(told: Mergeq, query: str, numbers: list[int]) -> None:
    assert listed(told, query) == numbers


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ("repo=acme", "repo"),
        ("pull=x", "pull"),
        ("pull=0", "pull"),
        ("pull=99999999999", "pull"),
        ("action=SING", "action"),
        ("state=happy", "state"),
        ("from=yesterday", "from"),
        ("from=2026-01-05T09:00:00", "from"),
        ("to=nan", "to"),
        ("limit=501", "limit"),
        ("limit=0", "limit"),
        ("cursor=%00", "cursor"),
        ("cursor=bm9uc2Vuc2U", "cursor"),
        ("cursor=bmFuIGE", "cursor"),
        ("cursor=%C3%A9", "cursor"),
    ],
)
def test_what_cannot_be_read_is_answered_with_one_sentence(told: Mergeq, query: str, about: str) -> None:
    answer = told.web.get(f"/api/history?{query}")

    assert answer.status_code == 400
    assert list(answer.get_json()) == ["error"]
    assert answer.get_json()["error"].startswith(f"{about} must be ")
    if about != "limit":
        assert told.web.get(f"/tide-history?{query}").status_code == 400


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_pages_join_to_the_whole_even_when_many_records_share_one_moment(mergeq: Mergeq, limit: int) -> None:
    lease = claim(mergeq.store, MAIN)
    for number in range(1, 12):
        record(mergeq.store, lease, 100.0 if number < 9 else 200.0, number)

    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = json.loads(mergeq.web.get(f"/api/history?limit={limit}&cursor={cursor}").data)
        seen += [one["target"][0]["number"] for one in page["records"]]
        cursor = page["next"]

    assert seen == list(range(11, 0, -1))


def test_a_page_goes_on_where_the_one_before_ended_whatever_came_since(told: Mergeq) -> None:
    first = json.loads(told.web.get("/api/history?limit=2").data)
    record(told.store, claim(told.store, Branch("acme", "new", "main")), 5000.0, 10)

    assert listed(told, f"limit=2&cursor={first['next']}") == [7, 7]
    assert listed(told, f"cursor={first['next']}&to=1500") == [7]
    assert listed(told, f"cursor={first['next']}&to=9999&from=1500") == [7]


def test_the_store_reads_a_long_history_in_pages(mergeq: Mergeq) -> None:
    lease = claim(mergeq.store, MAIN)
    made = [record(mergeq.store, lease, float(number // 700), number, author="ana") for number in range(1, 1301)]

    assert mergeq.store.history(limit=5000) == made[::-1]
    assert mergeq.store.history(wanted=Wanted(pull=1)) == made[:1]
    assert mergeq.store.history(cursor=cursor_of(made[9])) == made[8::-1]


def test_the_page_mirrors_the_address_in_its_filters_and_offers_what_exists(told: Mergeq) -> None:
    page = told.web.get("/tide-history?repo=acme/rocket&author=ben&state=failure").text

    assert '<option value="acme/rocket" selected>' in page
    assert '<option value="ben" selected>' in page
    assert '<option value="failure" selected>' in page
    assert '<option value="acme/launchpad">' in page
    assert "Paint it" in page
    assert "Add fins" not in page
    assert "GitHub said no" in page


def test_the_repository_narrows_what_the_other_filters_offer(told: Mergeq) -> None:
    page = told.web.get("/tide-history?repo=acme/launchpad").text

    assert '<option value="ana">' in page
    assert '<option value="ben">' not in page


def test_a_filter_that_fits_nothing_says_so_and_offers_the_way_back(told: Mergeq) -> None:
    page = told.web.get("/tide-history?author=nobody").text

    assert "Nothing fits" in page
    assert '<option value="nobody" selected>' in page
    assert 'href="/tide-history"' in page


def test_the_page_shows_a_hundred_records_and_a_way_to_the_older_that_keeps_the_filters(mergeq: Mergeq) -> None:
    lease = claim(mergeq.store, ODD)
    for number in range(1, 103):
        record(mergeq.store, lease, float(number), number, title=f"Change {number}.")
    query = {"repo": "acme/rocket", "branch": ODD.name, "_external": "1", "endpoint": "x"}

    page = mergeq.web.get("/tide-history", query_string=query).text

    assert "Change 3." in page
    assert "Change 2." not in page
    older = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert older.startswith("/tide-history?repo=acme%2Frocket&branch=fix%2F%237-100%25%26%C3%A9%3F&cursor=")
    rest = mergeq.web.get(older).text
    assert "Change 2." in rest
    assert "Change 3." not in rest


def test_rows_of_one_branch_and_base_belong_together(mergeq: Mergeq) -> None:
    lease, other = claim(mergeq.store, MAIN), claim(mergeq.store, OTHER)
    record(mergeq.store, lease, 1.0)
    record(mergeq.store, lease, 2.0)
    record(mergeq.store, other, 3.0)
    record(mergeq.store, lease, 4.0, base_sha="d" * 40)

    rows = mergeq.web.get("/tide-history").text.split("<tbody")[1].split('<tr role="row" class="')[1:]

    assert [row.split('"')[0] for row in rows] == ["first", "first", "first", "more"]


def test_a_landed_commit_leads_to_github(told: Mergeq) -> None:
    page = told.web.get("/tide-history").text
    github = told.services.settings.github_api_url.removesuffix("/api/v3")

    assert f'href="{github}/acme/rocket/commit/{"c" * 40}"' in page


@pytest.mark.parametrize("path", ["/api/history", "/api/pools", "/tide-history.json"])
def test_programs_get_the_same_guards_as_browsers(told: Mergeq, path: str) -> None:
    answer = told.web.get(path)
    document: Any = json.loads(answer.data)

    assert document is not None
    assert answer.mimetype == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
