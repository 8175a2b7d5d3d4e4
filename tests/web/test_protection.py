"""The pages about branch protection, and what programs get of them."""

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
import redis
from werkzeug.test import TestResponse

from mergeq.config.schemas import validator
from mergeq.core.audit import Held, Result
from mergeq.core.protection import (
    OFF,
    Actors,
    Backend,
    Cause,
    Change,
    Check,
    Effect,
    Field,
    Kind,
    Mode,
    Value,
)
from mergeq.sandbox import Sandbox
from mergeq.store import protection
from tests.conftest import CONFIG, Mergeq
from tests.web.builders import LABEL, MAIN, POLICY, RULE, drifted, item, line, look, row, save, seen, standing

NOW = 1_767_603_600.0
EVIL = '"><script>alert(1)</script>'
EXEMPT = """
    exemptions:
      - {id: rel-1, target: "acme/rocket:main", until: 2026-01-05T12:00:00Z, owner: jo, reason: hotfix, ticket: X-1}
"""


@pytest.fixture
def guarding(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    """acme is enforced, beta observed."""
    return start_mergeq(CONFIG + POLICY)


def told(page: str) -> str:
    """What a reader sees of a page, blanks folded."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def sums(page: str) -> list[int]:
    return [int(number) for number in re.findall(r"<dd>(\d+)", page)]


def valid(answer: TestResponse, schema: str) -> Any:
    assert answer.status_code == 200, answer.text
    document = json.loads(answer.data)
    validator(schema).validate(document)
    return document


def test_what_somebody_loosened_comes_first_with_who_did_it_and_what_it_is_to_be(guarding: Mergeq) -> None:
    change = Change(Field.LINEAR, True, False, Effect.WEAKEN)
    strict = {**RULE, Field.LINEAR: True}
    seen(guarding.store, item("acme/launchpad:main", Kind.UPDATE, strict, changes=(change,), cause=Cause.CONFIG))
    seen(guarding.store, drifted("acme/rocket:main"), item("acme/rocket:release-*"))
    row(guarding.store, NOW - 60)

    page = guarding.web.get("/protection").text
    words = told(page)

    assert sums(page) == [2, 1, 2, 0]
    assert re.findall(r'id="repo-([^"]+)"', page) == ["acme/rocket", "acme/launchpad"]
    assert "main DRIFT changed on GitHub by oscar 2026-01-05 08:59:00 . mergeq puts it right." in words
    assert "required approvals no pull request needed → to be 1 too weak policy.yaml:9" in words
    assert "force pushes allowed true → to be false too weak policy.yaml:12" in words
    assert "linear history true → to be false would be weaker" in words
    assert 'id="rule-acme/rocket:release-*"' not in page


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (Kind.CREATE, {"before": {}, "cause": Cause.FIRST_RUN}, "TO BE CHANGED there is no rule yet. mergeq puts"),
        (Kind.DELETE, {"cause": Cause.CONFIG}, "is protected, but is not to be: the configuration changed. mergeq"),
        (Kind.UPDATE, {"cause": Cause.FIRST_RUN}, "TO BE CHANGED differs from what is wished. mergeq puts it right."),
        (Kind.UPDATE, {"cause": Cause.EXPIRY}, "TO BE CHANGED an exemption has ended. mergeq puts it right."),
        (Kind.UPDATE, {"cause": Cause.BOTH}, "DRIFT changed on GitHub, and the configuration changed too. mergeq"),
        (Kind.UPDATE, {"cause": Cause.DRIFT, "mode": Mode.OBSERVE}, "Only looked at: mergeq writes nothing here."),
        (Kind.ORPHANED, {}, "ORPHANED is protected, though nothing asks for it any more; left alone."),
        (Kind.UNKNOWN, {"why": "its rules could not be read"}, "UNKNOWN its rules could not be read."),
        (Kind.UNSUPPORTED, {"why": "this plan has none"}, "UNSUPPORTED this plan has none."),
        (Kind.BLOCKED, {"why": "a ruleset of acme is stronger"}, "BLOCKED a ruleset of acme is stronger."),
        (Kind.INVALID, {"why": "it is below the floor"}, "INVALID it is below the floor."),
        (Kind.PARKED, {"why": "it had no effect twice"}, "PARKED it had no effect twice."),
        (Kind.PARKED, {"why": "no", "exemptions": ("rel-1",)}, "PARKED no · exempt by rel-1."),
        (Kind.PARKED, {"why": "no", "warnings": ("look at it",)}, "PARKED no. look at it"),
    ],
)
def test_everything_that_is_not_as_wished_says_so_and_what_comes_of_it(
    guarding: Mergeq, kind: Kind, changes: dict[str, Any], words: str
) -> None:
    seen(guarding.store, item("acme/rocket:main", kind, **changes))

    page = guarding.web.get("/protection").text

    assert words in told(page)
    assert sum(sums(page)[1:]) == (kind is not Kind.ORPHANED)


def test_a_repository_that_could_not_be_read_says_why_and_is_not_called_well(guarding: Mergeq) -> None:
    seen(
        guarding.store, item("acme/rocket:main"), items=(), repo="acme/rocket", error="mergeq is no administrator there"
    )
    seen(guarding.store, item("acme/tower:main"), warnings=("policy.yaml:3: no branch of that name",))

    page = guarding.web.get("/protection").text

    assert sums(page) == [2, 1, 0, 1]
    assert "mergeq is no administrator there" in told(page)
    assert "Not all is well. mergeq is no administrator there" in told(guarding.web.get("/protection/acme/rocket").text)
    assert "policy.yaml:3: no branch of that name" in told(guarding.web.get("/protection/acme/tower").text)


def test_an_organization_that_is_only_observed_says_what_would_change_that(guarding: Mergeq) -> None:
    words = told(guarding.web.get("/protection").text)

    assert "beta is only observed. Differences are shown and nothing is written" in words
    assert "mergeq.protection.orgs.beta.mode: enforce" in words
    assert "acme is only observed" not in words


def test_a_plan_that_waits_says_why_what_it_would_do_and_how_to_let_it_go(guarding: Mergeq) -> None:
    weaker = Change(Field.ENFORCE_ADMINS, True, False, Effect.WEAKEN)
    change = item("acme/rocket:main", Kind.UPDATE, changes=(weaker,), cause=Cause.CONFIG)
    more = [item(f"acme/part-{number:02}:main", Kind.CREATE, {}) for number in range(60)]
    seen(guarding.store, change)
    guarding.store.protection.hold(Held("ab12", NOW, ("weakens 11 branches",), 61, 1, 0, (*more, change)), ())

    page = guarding.web.get("/protection").text
    words = told(page)

    assert "weakens 11 branches. It changes 61 repositories, weakens 1 and removes 0." in words
    assert "mergeq protect ack ab12" in words
    assert "HELD the configuration changed. Waits until somebody agrees to the plan." in words
    assert re.findall(r"<b>(acme/[^<]+)</b>", page.split('id="plan-ab12"')[1])[:2] == ["acme/rocket", "acme/part-00"]
    assert "and 11 more" in words


def test_exemptions_are_listed_with_their_ends_and_who_answers_for_them(start_mergeq: Callable[..., Mergeq]) -> None:
    mergeq = start_mergeq(CONFIG + POLICY + EXEMPT)

    words = told(mergeq.web.get("/protection").text)
    (exemption,) = valid(mergeq.web.get("/protection.json"), "protection")["exemptions"]

    assert "2026-01-05 12:00 acme/rocket:main rel-1 hotfix X-1 jo" in words
    assert exemption == {
        "id": "rel-1",
        "target": "acme/rocket:main",
        "until": "2026-01-05T12:00:00.000000Z",
        "owner": "jo",
        "reason": "hotfix",
        "ticket": "X-1",
    }


def test_an_exemption_that_is_over_says_so(start_mergeq: Callable[..., Mergeq], clock: Any) -> None:
    mergeq = start_mergeq(CONFIG + POLICY + EXEMPT)
    clock.advance(10 * 365 * 86400)

    assert "2026-01-05 12:00 over" in told(mergeq.web.get("/protection").text)


def test_what_was_repaired_and_what_others_did_is_listed_newest_first(guarding: Mergeq) -> None:
    row(guarding.store, NOW - 60)
    by_us: dict[str, Any] = {
        "before": {str(Field.FORCE_PUSHES): True},
        "after": {str(Field.FORCE_PUSHES): False},
        "by": "mergeq",
    }
    row(guarding.store, NOW - 50, result=Result.APPLIED, place="policy.yaml:12", **by_us)
    row(guarding.store, NOW - 40, result=Result.APPLIED, cause="config-change", effect="strengthen", **by_us)
    row(guarding.store, NOW - 30, result=Result.FAILED, problem="GitHub said no", before=None, after=None, by="mergeq")
    ruleset: dict[str, Any] = {
        "before": {"enforcement": "active", "include": ["~ALL"]},
        "after": {"enforcement": "disabled"},
    }
    row(guarding.store, NOW - 20, "acme/rocket:release rules", **ruleset)
    row(guarding.store, NOW - 10, "acme", result=Result.HELD, before=None, after=None, by="mergeq", why="too much")

    shown = told(guarding.web.get("/protection").text.split("What was done, and what others did")[1])

    assert "08:59:00 CHANGED acme / rocket main force pushes allowed false → became true oscar" in shown
    assert "REPAIRED acme / rocket main force pushes allowed true → became false mergeq : changed on GitHub" in shown
    assert (
        "APPLIED acme / rocket main force pushes allowed true → became false mergeq : the configuration changed"
        in shown
    )
    assert "FAILED acme / rocket main mergeq : changed on GitHub GitHub said no" in shown
    assert 'enforcement active → became disabled include ["~ALL"] → became not set' in shown
    assert "HELD acme mergeq : too much" in shown
    assert shown.index("HELD") < shown.index("FAILED") < shown.index("REPAIRED")


def test_what_is_asked_for_narrows_the_page_and_shows_also_what_is_well(guarding: Mergeq) -> None:
    seen(guarding.store, item("acme/rocket:main"), item("acme/rocket:release-*"))
    seen(guarding.store, item("acme/tower:main"))

    page = guarding.web.get("/protection?q=RELEASE").text

    assert sums(page) == [1, 2, 0, 0]
    assert re.findall(r'id="rule-([^"]+)"', page) == ["acme/rocket:main", "acme/rocket:release-*"]
    assert "KEPT as wished" in told(page)
    assert "Nothing here contains “no such” Show all 2 repositories" in told(
        guarding.web.get("/protection?q=no such").text
    )


def test_a_thousand_repositories_are_counted_first_and_shown_on_demand(guarding: Mergeq) -> None:
    names = [f"acme/part-{number:03}:main" for number in range(1000)]
    guarding.store.protection.note_seen(look(item(name)) for name in names[:600])
    guarding.store.protection.note_seen(look(drifted(name)) for name in names[600:])

    page = guarding.web.get("/protection").text

    assert sums(page) == [1000, 600, 400, 0]
    assert page.count('class="branch"') == 100
    assert " open>" not in page
    assert page.count('<li id="line-') == 200
    assert "700 more are not listed." in told(page)
    assert len(page) < 400_000
    assert sums(guarding.web.get("/protection?q=part-999").text) == [1, 0, 1, 0]


def test_the_document_has_all_of_it_and_is_sent_a_repository_at_a_time(guarding: Mergeq) -> None:
    seen(guarding.store, drifted("acme/rocket:main", warnings=("odd",)), item("acme/rocket:next"), error="in part")
    seen(guarding.store, item("acme/tower:main", Kind.CREATE, {}, backend=Backend.RULESET))
    guarding.store.protection.hold(Held("ab12", NOW, ("too much",), 1, 1, 0, (drifted("acme/rocket:main"),)), ())

    document = valid(guarding.web.get("/protection.json"), "protection")
    pieces = [piece.decode() for piece in guarding.web.get("/protection.json", buffered=False).iter_encoded()]

    assert document["orgs"] == [{"org": "acme", "mode": "enforce"}, {"org": "beta", "mode": "observe"}]
    assert [one["repo"] for one in document["repos"]] == ["acme/rocket", "acme/tower"]
    rocket = document["repos"][0]
    assert (rocket["error"], [one["kind"] for one in rocket["items"]]) == ("in part", ["update", "no-op"])
    assert rocket["items"][0]["changes"][1] == {
        "field": "allow_force_pushes",
        "before": True,
        "after": False,
        "effect": "strengthen",
    }
    assert [one["target"] for one in document["held"][0]["items"]] == ["acme/rocket:main"]
    assert max(piece.count('"repo":') for piece in pieces) == 1
    assert valid(guarding.web.get("/protection/acme/rocket.json"), "protection-repo") == rocket


def test_a_setting_says_its_value_the_line_that_asks_for_it_since_when_and_by_whom(guarding: Mergeq) -> None:
    seen(guarding.store, drifted("acme/rocket:main"), item("acme/rocket:next", backend=Backend.RULESET))
    row(guarding.store, NOW - 90, result=Result.APPLIED, by="mergeq")
    row(guarding.store, NOW - 60)

    page = guarding.web.get("/protection/acme/rocket").text
    main = told(page.split('id="rule-main"')[1].split("</section>")[0])
    next_ = told(page.split('id="rule-next"')[1].split("</section>")[0])

    assert "Enforced: what differs is put right" in told(page)
    assert "administrators are bound too enforce_admins true policy.yaml:6 for acme" in main
    wanted = "force pushes allowed allow_force_pushes true → to be false too weak policy.yaml:12 for acme"
    assert f"{wanted} 2026-01-05 08:59:00 by oscar" in main
    assert "Left as GitHub has it: required contexts (ci/test)." in main
    assert "force pushes allowed allow_force_pushes false policy.yaml:12 for acme" in next_
    assert "Kept as a ruleset." in next_


def test_a_repository_with_very_many_branches_shows_what_matters_and_the_rest_on_demand(guarding: Mergeq) -> None:
    seen(guarding.store, *(item(f"acme/rocket:b-{number:03}") for number in range(300)), drifted("acme/rocket:zz"))

    page = guarding.web.get("/protection/acme/rocket").text
    narrowed = guarding.web.get("/protection/acme/rocket?q=B-299").text

    assert re.findall(r'<section id="rule-([^"]+)"', page)[:2] == ["zz", "b-000"]
    assert page.count('<section id="rule-') == 200
    assert "101 more are not shown." in told(page)
    assert re.findall(r'<section id="rule-([^"]+)"', narrowed) == ["b-299"]
    assert "No branch or pattern here contains “none such”." in told(
        guarding.web.get("/protection/acme/rocket?q=none such").text
    )


def test_a_repository_where_very_much_differs_is_cut_off_with_a_word(guarding: Mergeq) -> None:
    seen(guarding.store, *(drifted(f"acme/rocket:b-{number:03}") for number in range(201)))

    assert "and 1 more every setting" in told(guarding.web.get("/protection").text)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (Field.CONTEXTS, frozenset({Check("b", "any"), Check("a", "github-actions")}), "a (github-actions), b"),
        (Field.REVIEWS, 2, "2"),
        (Field.PUSHERS, None, "whoever may write"),
        (
            Field.BYPASSERS,
            Actors(frozenset({"jo"}), frozenset({"core"}), frozenset({"bot"})),
            "@jo, team core, app bot",
        ),
        (Field.LOCK, True, "true"),
    ],
)
def test_values_are_said_in_words(guarding: Mergeq, name: Field, value: Value, words: str) -> None:
    seen(guarding.store, item("acme/rocket:main", before={**OFF, name: value}, sources={name: line(1)}))

    page = guarding.web.get("/protection/acme/rocket").text

    assert f"{name} {words} policy.yaml:1" in told(page)


def test_a_repository_that_was_not_looked_at_is_not_found(guarding: Mergeq) -> None:
    page, document = guarding.web.get("/protection/acme/rocket"), guarding.web.get("/protection/acme/rocket.json")

    assert (page.status_code, document.status_code) == (404, 404)
    assert list(document.get_json()) == ["error"]


def test_an_observed_repository_and_one_without_targets_say_so(guarding: Mergeq) -> None:
    seen(guarding.store, item("beta/one:main"), items=(), repo="beta/one")

    words = told(guarding.web.get("/protection/beta/one").text)

    assert "Only observed: differences are shown and nothing is written." in words
    assert "Nothing is asked for here, and nothing of ours is in force." in words
    assert "nothing is asked for" in told(guarding.web.get("/protection").text)


def test_nothing_configured_and_nothing_seen_yet_are_told_apart(start_mergeq: Callable[..., Mergeq]) -> None:
    assert "No protection is configured" in told(start_mergeq().web.get("/protection").text)
    assert "Nothing has been looked at yet" in told(start_mergeq(CONFIG + POLICY).web.get("/protection").text)


def test_queue_and_protection_lead_to_each_other(guarding: Mergeq) -> None:
    save(guarding.store, MAIN, standing(1, LABEL))
    seen(guarding.store, drifted("acme/rocket:main"))

    assert 'href="/protection/acme/rocket"' in guarding.web.get("/tide").text
    assert 'href="/protection/acme/rocket"' in guarding.web.get("/pr/acme/rocket/1").text
    assert 'href="/tide?q=acme/rocket"' in guarding.web.get("/protection").text
    assert 'href="/tide?q=acme/rocket"' in guarding.web.get("/protection/acme/rocket").text


def test_where_nothing_is_protected_the_queue_leads_nowhere(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, standing(1, LABEL))

    assert 'href="/protection/acme/rocket"' not in mergeq.web.get("/tide").text


@pytest.mark.parametrize("path", ["/protection", "/protection/acme/rocket"])
def test_what_others_wrote_is_never_markup(guarding: Mergeq, path: str) -> None:
    seen(
        guarding.store,
        item(f"acme/rocket:{EVIL}", Kind.INVALID, why=EVIL, warnings=(EVIL,)),
        warnings=(EVIL,),
        error=EVIL,
    )
    row(guarding.store, NOW, f"acme/rocket:{EVIL}", by=EVIL, why=EVIL, problem=EVIL, after={EVIL: EVIL})

    page = guarding.web.get(path).text

    assert re.findall("<script[^>]*>", page) == ['<script src="/static/live.js" defer>']


def listed(mergeq: Mergeq, query: str) -> list[str]:
    """Who did what a page of the audit lists, newest first."""
    return [one["by"] for one in valid(mergeq.web.get(f"/api/protection/audit?{query}"), "protection-audit")["records"]]


@pytest.fixture
def audited(guarding: Mergeq) -> Mergeq:
    """oscar changed a rule of acme/rocket, mergeq repaired it, and changed one of beta/one."""
    row(guarding.store, 1000.0)
    row(guarding.store, 2000.0, by="mergeq", result=Result.APPLIED, kind="update", why="drift", calls=2)
    row(guarding.store, 3000.0, "beta/one:main", by="jo@host", result=Result.ROLLED_BACK, before=None, after=RULED)
    return guarding


RULED = {str(Field.CONTEXTS): [{"context": "ci/test", "app": ""}]}


@pytest.mark.parametrize(
    ("query", "who"),
    [
        ("", ["jo@host", "mergeq", "oscar"]),
        ("repo=acme", ["mergeq", "oscar"]),
        ("repo=acme/rocket", ["mergeq", "oscar"]),
        ("repo=acme/rocket:main&by=Oscar", ["oscar"]),
        ("repo=acme/tower", []),
        ("result=applied", ["mergeq"]),
        ("result=ROLLED-BACK", ["jo@host"]),
        ("from=2000", ["jo@host", "mergeq"]),
        ("to=1970-01-01T00:33:20Z", ["oscar"]),
        ("limit=1", ["jo@host"]),
    ],
)
def test_every_filter_of_the_audit_narrows(audited: Mergeq, query: str, who: list[str]) -> None:
    assert listed(audited, query) == who


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ("repo=a/b/c", "repo"),
        ("result=fine", "result"),
        ("from=yesterday", "from"),
        ("to=nan", "to"),
        ("limit=501", "limit"),
        ("cursor=bm9uc2Vuc2U", "cursor"),
    ],
)
def test_what_cannot_be_read_is_answered_with_one_sentence(audited: Mergeq, query: str, about: str) -> None:
    answer = audited.web.get(f"/api/protection/audit?{query}")

    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(f"{about} must be ")


def test_pages_of_the_audit_join_to_the_whole(audited: Mergeq) -> None:
    who = list[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = valid(audited.web.get(f"/api/protection/audit?limit=2&cursor={cursor}"), "protection-audit")
        who += [one["by"] for one in page["records"]]
        cursor = page["next"]

    assert who == ["jo@host", "mergeq", "oscar"]


@pytest.mark.parametrize(
    ("query", "accept"), [("format=jsonl", "*/*"), ("", "application/x-ndjson")], ids=["by address", "by header"]
)
def test_the_audit_comes_as_json_lines_for_whoever_asks(audited: Mergeq, query: str, accept: str) -> None:
    answer = audited.web.get(f"/api/protection/audit?limit=2&repo=&{query}", headers={"Accept": accept})

    lines = [json.loads(text) for text in answer.text.splitlines()]
    for one in lines:
        validator("protect-audit").validate(one)
    assert answer.mimetype == "application/x-ndjson"
    assert [one["by"] for one in lines] == ["jo@host", "mergeq"]
    (following,) = re.findall('<(.+)>; rel="next"', answer.headers["Link"])
    last = audited.web.get(following, headers={"Accept": accept})
    assert [json.loads(text)["by"] for text in last.text.splitlines()] == ["oscar"]
    assert "Link" not in last.headers


def test_figures_of_protection_are_gauges_and_counters_with_a_word_on_each(guarding: Mergeq) -> None:
    seen(guarding.store, *(item(f"acme/rocket:{name}") for name in ("main", "next", "lts")))
    guarding.store.count("mergeq_protection_drift_total", org="acme", reason="weaken")

    text = guarding.web.get("/metrics").text

    assert "# TYPE mergeq_protection_branches gauge" in text
    assert 'mergeq_protection_branches{org="acme",reason="no-op"} 3.0' in text
    assert 'mergeq_protection_branches{org="acme",reason="update"} 0.0' in text
    assert "# TYPE mergeq_protection_drift_total counter" in text
    assert "# HELP mergeq_protection_drift_total Changes of protection by others" in text


def test_what_is_forgotten_of_the_audit_is_so_for_its_repository_too(
    guarding: Mergeq, monkeypatch: pytest.MonkeyPatch, clean_redis: "redis.Redis"
) -> None:
    monkeypatch.setattr(protection, "_ROWS", 3)
    for number in range(4):
        row(guarding.store, float(number), "acme/rocket:main", by=f"rocket-{number}")
        row(guarding.store, float(number), "acme/tower:main", by=f"tower-{number}")

    assert len(listed(guarding, "")) == 3
    assert sorted(listed(guarding, "repo=acme/rocket") + listed(guarding, "repo=acme/tower:main")) == sorted(
        listed(guarding, "")
    )
    kept = [clean_redis.zcard(f"{protection.AUDIT_OF}acme/{name}") for name in ("rocket", "tower")]
    assert sum(kept) == 3


def test_a_look_at_github_is_on_the_pages_each_warning_with_its_own_repository(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    github.world.create_repo("acme/tower", files={"README.md": "# Tower\n"}, branches={"relaese-1": {}})
    named = "      repos: {tower: {branches: {release-1: {protect: true}}}}\n    beta"
    mergeq = start_mergeq(CONFIG + POLICY.replace("    beta", named))

    mergeq.sweep_and_work()

    tower, rocket = (mergeq.web.get(f"/protection/acme/{name}").text for name in ("tower", "rocket"))
    assert "release-1" in told(tower)
    assert "release-1" not in told(rocket)
    assert "enforce_admins true" in told(rocket)
    assert "by mergeq" in told(rocket)
    assert "mergeq protect rollback RUN" in told(rocket)
    assert sums(mergeq.web.get("/protection").text) == [2, 3, 0, 0]
