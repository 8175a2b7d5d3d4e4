"""The queue and the page of one pull request, on pools saved by hand."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import jsonschema
import pytest

from mergeq import shipped
from mergeq.core.batch import Member, Run, RunState
from mergeq.core.history import Outcome, Target
from mergeq.core.pull import Blocker, Branch, Method, Result
from mergeq.core.reason import Clause, Reason
from mergeq.store import Store
from tests.builders import context, green, run
from tests.conftest import CONFIG, Mergeq
from tests.web.builders import LABEL, MAIN, ODD, claim, record, save, save_many, standing

STAGING = CONFIG + "mergeq: {queue: {retest: staging, staging_contexts: [ci/test]}}\n"
BEGAN = 1_767_603_500.0

EVIL = '"><script>alert(1)</script>'
HOLD = Reason(Clause.FORBIDDEN_LABELS, "not to have hold", "it has", "whoever set it", "remove hold", items=("hold",))
RED = Reason(Clause.CONTEXTS, "ci/test to be green", "ci/test failed", "the author", "push a fix", items=("ci/test",))
CONFLICT = Reason(Clause.CONFLICT, "to merge cleanly", "GitHub finds a conflict", "the author", "rebase")


def text(page: str) -> str:
    """What a reader sees of a page, blanks folded."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def sums(page: str) -> list[int]:
    return [int(number) for number in re.findall(r"<dd>(\d+)", page)]


def test_members_come_as_they_are_served_then_the_others_with_all_their_reasons(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, standing(1, LABEL, RED), standing(2, entered=9.0), standing(3, entered=5.0))

    page = mergeq.web.get("/tide").text
    order = re.findall(r'id="pull-acme/rocket#(\d)"', page)
    seen = text(page)

    assert order == ["3", "2", "1"]
    assert "Not mergeable. Needs lgtm label." in seen
    assert "Needs the label lgtm , but its labels are none. Add lgtm (a reviewer)" in seen
    assert "Needs ci/test to be green , but ci/test failed. Push a fix (the author)" in seen
    assert "1 outside the pool 1 for labels" in seen


def test_the_action_its_reason_and_its_targets_are_shown(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, standing(2), action="TRIGGER_BATCH", targets=(2,), why="ready to be tested together")

    page = mergeq.web.get("/tide").text

    assert '<span class="chip now">TRIGGER BATCH</span>' in page
    assert "ready to be tested together" in page
    assert 'class="target"' in page
    assert "being staged" in page
    assert "landing now" not in page


def test_a_run_shows_its_members_its_commit_and_what_its_contexts_say(start_mergeq: Callable[..., Mergeq]) -> None:
    mergeq = start_mergeq(STAGING)
    targets = tuple(Target(number, "ana", f"{number:040x}", f"Change {number}", "x") for number in (1, 2))
    members = tuple(Member(target.number, target.sha, Method.MERGE) for target in targets)
    reports = (green("e2e", url="https://ci.test/e2e"), context("ci/test", Result.PENDING))
    run = Run("r1", "b" * 40, members, "mergeq/main-1", "5" * 40, (), 1_767_603_500.0, targets, reports)
    save(
        mergeq.store,
        MAIN,
        standing(1),
        standing(2),
        runs=(run, replace(run, id="r2", ended=RunState.RED), replace(run, id="r3")),
        run="r3",
    )

    page = mergeq.web.get("/tide").text
    shown = page.split('id="run-r1"')[1].split("</li>")[0]

    assert "TESTING #1 #2 together as 5555555 , since 2026-01-05 08:58:20" in text(shown)
    assert '<a href="https://ci.test/e2e" rel="noreferrer">e2e</a>' in shown
    assert "ci/test pending" in text(shown)
    assert '<span class="chip stop">RED</span>' in page
    assert '<span class="chip go">GREEN</span>' in page
    (pool,) = json.loads(mergeq.web.get("/api/pools").data)
    assert [one["Number"] for one in pool["BatchPending"]] == [1, 2]


def test_those_under_test_are_told_from_those_that_wait_for_their_turn(mergeq: Mergeq) -> None:
    member = (Member(1, f"{1:040x}", Method.MERGE),)
    run = Run("r1", "b" * 40, member, "mergeq/main-1", "5" * 40, (), 1_767_603_500.0, ())
    save(mergeq.store, MAIN, standing(1), standing(2), runs=(run, replace(run, id="r2", ended=RunState.RED)))

    page = mergeq.web.get("/tide").text

    assert re.findall(r'<li id="pull-acme/rocket#(\d)" class="(\w+)">', page) == [("1", "tested"), ("2", "member")]
    assert text(page).count("being tested") == 1
    assert steps(mergeq.web.get("/pr/acme/rocket/1").text)[3][0] == "now"


@pytest.mark.parametrize(
    ("reasons", "changes", "tone"),
    [
        ((), {}, "success"),
        ((LABEL,), {}, "pending"),
        ((RED,), {"contexts": (context("ci/test", Result.PENDING),)}, "pending"),
        ((RED,), {"contexts": (context("ci/test", Result.FAILURE),)}, "failure"),
        ((CONFLICT, LABEL), {}, "failure"),
        ((Reason(Clause.DRAFT, "to be ready", "it is a draft", "the author", "mark it"),), {}, "rest"),
    ],
    ids=["in the pool", "people are awaited", "CI is awaited", "CI failed", "a conflict", "a draft"],
)
def test_a_dot_tells_what_waits_from_what_nothing_but_a_change_will_help(
    mergeq: Mergeq, reasons: tuple[Reason, ...], changes: dict[str, Any], tone: str
) -> None:
    save(mergeq.store, MAIN, standing(1, *reasons, **changes))

    row = mergeq.web.get("/tide").text.split('id="pull-acme/rocket#1"')[1]

    assert re.findall(r'<span class="dot (\w+)"', row)[0] == tone


def test_a_halted_branch_says_why_and_counts_as_blocked(mergeq: Mergeq) -> None:
    lease = save(mergeq.store, MAIN, standing(1))
    saved = mergeq.store.pool(MAIN)
    assert saved is not None
    save(mergeq.store, MAIN, lease=lease, pool=replace(saved.pool, halted="another tree landed"))

    page = mergeq.web.get("/tide").text

    assert sums(page) == [1, 1, 0, 1]
    assert "Halted until a person resumes it: another tree landed" in text(page)
    assert steps(mergeq.web.get("/pr/acme/rocket/1").text)[3] == ("stop", "Landing the branch is halted")


def test_the_sums_count_what_is_shown(mergeq: Mergeq) -> None:
    blocked = Blocker(4, "Freeze", "https://github.com/acme/launchpad/issues/4")
    save(mergeq.store, MAIN, standing(1), standing(2), standing(3, LABEL))
    save(mergeq.store, Branch("acme", "launchpad", "main"), standing(5, LABEL))
    lease = claim(mergeq.store, ODD)
    save(mergeq.store, ODD, standing(6), lease=lease)
    saved = mergeq.store.pool(ODD)
    assert saved is not None
    save(
        mergeq.store,
        ODD,
        lease=lease,
        pool=replace(saved.pool, blockers=(blocked,)),
        action="BLOCKED",
        why="blocked by issue #4",
    )

    page = mergeq.web.get("/tide").text

    assert sums(page) == [3, 3, 2, 1]
    assert '<a href="https://github.com/acme/launchpad/issues/4" rel="noreferrer">#4 Freeze</a>' in page
    assert sums(mergeq.web.get("/tide?q=LAUNCHPAD").text) == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("acme/rocket", ["1", "2"]),
        ("ROCKET", ["1", "2"]),
        ("#2", ["2"]),
        ("fins", ["1"]),
        ("ben", ["2"]),
        ("nowhere", []),
        ("  ", ["1", "2"]),
    ],
)
def test_the_filter_looks_at_branches_and_at_pull_requests(mergeq: Mergeq, asked: str, found: list[str]) -> None:
    save(mergeq.store, MAIN, standing(1, title="Add fins"), standing(2, LABEL, author="ben"))

    page = mergeq.web.get("/tide", query_string={"q": asked}).text

    assert re.findall(r'id="pull-acme/rocket#(\d)"', page) == found
    assert ("Nothing here contains" in page) == (not found)


def test_of_many_branches_only_those_with_members_are_open_and_they_come_first(mergeq: Mergeq) -> None:
    for number in range(20):
        outside = () if number >= 17 else (LABEL,)
        save(mergeq.store, Branch("acme", f"repo-{number:02}", "main"), standing(number + 1, *outside))

    page = mergeq.web.get("/tide").text

    assert len(re.findall(r'<details class="branch" [^>]* open>', page)) == 3
    names = re.findall(r'id="branch-acme/(repo-\d+)', page)
    assert names == [f"repo-{number:02}" for number in (17, 18, 19, *range(17))]
    assert len(re.findall(r'<details class="branch"', page)) == 20


def whole(page: str) -> list[str]:
    """The repositories of the branches that a page shows whole."""
    return re.findall(r'<details class="branch" id="branch-acme/([\w-]+):', page)


def lines(page: str) -> list[str]:
    """The repositories of the branches that a page names in a line."""
    return re.findall(r'<li id="line-acme/([\w-]+):', page)


def test_of_very_many_branches_those_where_something_goes_on_are_whole_and_none_is_left_out(mergeq: Mergeq) -> None:
    branches = [lease.branch.repo for lease in save_many(mergeq.store, 400)]
    busy = branches[9::10]
    quiet = [name for name in branches if name not in busy]

    page = mergeq.web.get("/tide").text

    assert sums(page) == [400, 40, 360, 0]
    assert whole(page) == busy + quiet[:110]
    assert page.count('<li id="pull-') == 150
    assert lines(page) == quiet[110:310]
    assert "150 branches are shown whole, 250 more below in short" in text(page)
    assert "50 more branches with 0 in pool and 50 waiting are not listed. Type part of a repository" in text(page)


def test_a_line_leads_to_the_whole_branch_whatever_else_has_its_name(mergeq: Mergeq) -> None:
    save_many(mergeq.store, 200)
    alike = Branch("acme", "part-191", "main-2")
    save(mergeq.store, alike, *(standing(number) for number in range(1001, 1301)))

    page = mergeq.web.get("/tide").text
    line = page.split('id="line-acme/part-191:main"')[1]
    found = mergeq.web.get(unescape(re.findall(r'href="([^"]+)"', line)[0])).text

    assert "0 in pool 1 waiting WAIT nothing is ready" in text(line.split("</li>")[0])
    assert re.findall(r'id="pull-([^"]+)"', found) == ["acme/part-191#191"]
    assert '<li id="line-acme/part-191:main-2">' in found


def test_what_waits_beside_a_pool_is_only_counted_where_there_is_too_much_of_it(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, standing(1), *(standing(number, LABEL) for number in range(2, 400)))
    save(mergeq.store, ODD, standing(400), standing(401, LABEL))

    page = mergeq.web.get("/tide").text
    counted = page.split('<p class="others counted">')[1].split("</p>")[0]

    assert re.findall(r'<li id="pull-acme/rocket#(\d+)', page) == ["400", "401", "1"]
    assert "1 in pool 398 waiting" in text(page)
    assert text(counted).split() == ["398", "outside", "the", "pool", "398", "for", "labels"]
    assert mergeq.web.get(unescape(re.findall(r'href="([^"]+)"', counted)[0])).text.count('<li id="pull-') == 399


def test_a_line_says_first_what_is_wrong_with_its_branch(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, *(standing(number) for number in range(1, 301)))
    save(mergeq.store, Branch("acme", "tower", "main"), standing(301, LABEL), error="GitHub answered 502")

    line = mergeq.web.get("/tide").text.split('<li id="line-')[1]

    assert "0 in pool 1 waiting WAIT Not all is well. GitHub answered 502" in text(line.split("</li>")[0])


def test_a_branch_that_is_alone_is_whole_however_much_is_on_it(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, *(standing(number) for number in range(1, 311)))

    page = mergeq.web.get("/tide").text

    assert page.count('<li id="pull-') == 310
    assert "in short" not in page


def test_a_branch_that_could_not_be_read_says_so_over_what_was_known(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, standing(1), error="GitHub answered 502", why="the branch could not be read")

    assert "Not all is well. GitHub answered 502" in text(mergeq.web.get("/tide").text)


def test_names_that_need_quoting_are_quoted_in_every_address(mergeq: Mergeq) -> None:
    lease = save(mergeq.store, ODD, standing(1))
    record(mergeq.store, lease, 1.0)
    address = "/tide-history?repo=acme/rocket&amp;branch=fix/%237-100%25%26%C3%A9?"

    for path in ("/tide", "/tide-history", "/pr/acme/rocket/1"):
        page = mergeq.web.get(path).text
        for href in set(re.findall(r'href="(/(?!static/)[^"]*)"', page)):
            assert mergeq.web.get(unescape(href)).status_code == 200, href
    assert address in mergeq.web.get("/tide").text


def test_an_evil_title_author_label_or_branch_is_never_markup(mergeq: Mergeq) -> None:
    reason = Reason(Clause.LABELS, f"the label {EVIL}", EVIL, EVIL, EVIL, items=(EVIL,))
    branch = Branch("acme", "rocket", EVIL.replace(" ", ""))
    bad = context("ci/" + EVIL, Result.FAILURE, description=EVIL, url="javascript:alert(1)")
    evil: dict[str, Any] = {
        "title": EVIL,
        "author": EVIL,
        "head_ref": EVIL,
        "url": "javascript:alert(2)",
        "contexts": (bad,),
    }
    lease = save(mergeq.store, branch, standing(1, reason, **evil), standing(2, **evil), error=EVIL, why=EVIL)
    record(mergeq.store, lease, 1.0, 1, author=EVIL, title=EVIL, err=EVIL)

    for path in ("/tide", f"/tide?q={EVIL}", "/tide-history", f"/tide-history?author={EVIL}", "/pr/acme/rocket/1"):
        page = mergeq.web.get(path).text
        assert re.findall(r"<script[^>]*>", page) == ['<script src="/static/live.js" defer>'], path
        assert "javascript:" not in page, path
        assert "&lt;script&gt;" in page, path


def steps(page: str) -> list[tuple[str, str]]:
    way = page.split('<ol class="way"')[1].split("</ol>", maxsplit=1)[0]
    return [
        (state, text(body).split("(")[0].strip()) for state, body in re.findall(r'<li class="(\w+)">(.*?)</li>', way)
    ]


def test_the_way_of_a_pull_request_names_each_thing_that_is_in_it(mergeq: Mergeq) -> None:
    failed = (context("ci/test", Result.FAILURE),)
    save(mergeq.store, MAIN, standing(1, CONFLICT, LABEL, HOLD, RED, contexts=failed))

    assert steps(mergeq.web.get("/pr/acme/rocket/1").text) == [
        ("now", "Labels Needs lgtm label. And 1 more."),
        ("stop", "CI Job ci/test has not succeeded."),
        ("stop", "Pool PR has a merge conflict."),
        ("ahead", "Landing onto main"),
    ]


def test_ci_that_still_runs_is_not_called_failed(mergeq: Mergeq) -> None:
    running = (context("ci/test", Result.PENDING), green("ci/lint"))
    save(mergeq.store, MAIN, standing(1, RED, contexts=running))

    assert steps(mergeq.web.get("/pr/acme/rocket/1").text)[:3] == [
        ("done", "Labels nothing is missing"),
        ("now", "CI Job ci/test has not succeeded."),
        ("ahead", "Pool when what is before is done"),
    ]


def test_the_place_in_the_pool_and_the_landing_are_true(mergeq: Mergeq) -> None:
    first, second = standing(1, entered=1.0), standing(2, entered=2.0)
    save(mergeq.store, MAIN, first, second, action="MERGE", targets=(1,))

    assert steps(mergeq.web.get("/pr/acme/rocket/1").text)[2:] == [
        ("done", "Pool place 1 of 2"),
        ("now", "Landing being landed onto main"),
    ]
    assert steps(mergeq.web.get("/pr/acme/rocket/2").text)[1:] == [
        ("done", "CI 1 of 1 green"),
        ("done", "Pool place 2 of 2"),
        ("ahead", "Landing after 1 before it"),
    ]
    assert json.loads(mergeq.web.get("/pr/acme/rocket/2.json").data)["position"] == 2


def test_a_pull_request_that_landed_says_so_whatever_was_recorded_after(mergeq: Mergeq) -> None:
    lease = claim(mergeq.store, MAIN)
    record(mergeq.store, lease, 1.0)
    record(mergeq.store, lease, 2.0, landed_sha=None, action="TRIGGER", outcome=Outcome.ABANDONED, err="it has landed")

    assert "Landed as ccccccc" in text(mergeq.web.get("/pr/acme/rocket/7").text)


def test_contexts_are_listed_with_their_link_and_whether_they_count(mergeq: Mergeq) -> None:
    reports = (
        green("ci/lint"),
        context("ci/test", Result.FAILURE, url="https://ci.test/log?a=1&b=2", app="actions", description="2 failed"),
        context("tide", Result.PENDING),
    )
    save(mergeq.store, MAIN, standing(1, RED, contexts=reports))

    page = mergeq.web.get("/pr/acme/rocket/1").text
    table = page.split('<table class="contexts"')[1].split("</table>")[0]

    assert '<a href="https://ci.test/log?a=1&amp;b=2" rel="noreferrer">ci/test</a>' in table
    assert re.findall(r"<b>(?:<a[^>]*>)?([\w/]+)", table) == ["ci/test", "ci/lint", "tide"]
    assert "no: it is ours" in table


def test_the_pools_for_programs_are_whole(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, standing(1, LABEL), standing(2), action="MERGE", targets=(2,))

    document = json.loads(mergeq.web.get("/api/pools").data)

    schema = json.loads((shipped("schemas") / "pools.schema.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert [one["Number"] for one in document[0]["SuccessPRs"]] == [2]
    assert document[0]["Target"] == document[0]["SuccessPRs"]
    assert document[0]["OtherPRs"][0]["Reasons"][0]["clause"] == "labels"
    assert document[0]["BatchPending"] is None


def test_where_members_are_tested_on_the_base_they_are_told_apart_by_that(start_mergeq: Callable[..., Mergeq]) -> None:
    """T8.9."""
    mergeq = start_mergeq(STAGING)
    ones = [standing(number, head_sha=f"{number:040x}") for number in (1, 2, 3)]
    passed = run(ones[0].pull, contexts=(green("ci/test"),))
    runs = (passed, *(run(*(one.pull for one in some), started_at=BEGAN) for some in (ones[1:2], ones[::2])))
    save(mergeq.store, MAIN, *ones, runs=runs)

    (pool,) = json.loads(mergeq.web.get("/tide.json").data)["Pools"]
    told = {
        key: [one["Number"] for one in pool[key] or ()]
        for key in ("SuccessPRs", "PendingPRs", "MissingPRs", "BatchPending")
    }

    assert told == {"SuccessPRs": [1], "PendingPRs": [2], "MissingPRs": [3], "BatchPending": [1, 3]}


def test_a_store_that_knows_nothing_has_version_zero(mergeq: Mergeq) -> None:
    store: Store = mergeq.store

    assert store.version() == 0
    assert json.loads(mergeq.web.get("/api/pools").data) == []
