"""Which branches patterns and rulesets are about, what binds a branch, and classic rules as rulesets (P6.62-P6.67)."""

import fnmatch
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.protection import (
    ANY_APP,
    NOBODY,
    OFF,
    Actors,
    Bypasser,
    Check,
    Field,
    Target,
)
from mergeq.core.rulesets import (
    Demand,
    Effective,
    as_rules,
    as_values,
    effective,
    in_force,
    matches,
    may_begin,
    may_meet,
    rewritten,
    standing,
    targets,
)
from tests.core.protected import BUILD, MAIN, REPO, as_kept, repo, rule, rule_values, ruleset, values
from tests.core.trials import trials

CORE = Actors(teams=frozenset({"core"}))
ADMINS = Bypasser("RepositoryRole", 5, "admin", "always")


# Patterns


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("main", ["main"], ["main2", "a/main", "Main"]),
        ("*", ["main", "a#b", "Straße"], ["release/1"]),
        ("release-*", ["release-", "release-1.x"], ["release-1/x", "old-release-1"]),
        ("**", ["main"], ["release/1"]),
        ("**/*", ["main", "release/1", "a/b/c"], []),
        ("qa/**/*", ["qa/a", "qa/a/b"], ["qa", "a/qa/b"]),
        ("**/**/x", ["x", "a/x", "a/b/x"], ["ax"]),
        ("a**/b", ["a/b", "ax/b"], ["ax/y/b"]),
        ("v?", ["v1", "vß"], ["v", "v12", "v/"]),
        ("v[0-9]", ["v1"], ["vx"]),
        ("v[!0-9]", ["vx"], ["v1", "v/"]),
        ("v[^0]", ["v^", "v0"], ["v1"]),
        ("{a,b}", ["{a,b}"], ["a"]),
        (r"a\*", [r"a\b"], ["a*"]),
        ("a[b", ["a[b"], ["ab"]),
        ("a.b+c|d", ["a.b+c|d"], ["axb+c|d", "a.b"]),
        ("a[.]b", ["a.b"], ["axb"]),
        (r"[\w]", [r"w", "\\"], ["x"]),
        ("a\nb*", ["a\nbc"], ["a"]),
        ("[z-a]", [], ["z", "a", "m", "-"]),
        ("[z-ab]", ["b"], ["z", "a"]),
        ("[!z-a]", ["z", "x"], ["/"]),
    ],
)
def test_a_pattern_is_githubs(pattern: str, names: list[str], others: list[str]) -> None:
    """P6.62."""
    assert [name for name in (*names, *others) if matches(pattern, name)] == names


@given(st.text("ab-.*?", max_size=6), st.text("ab-.", max_size=5))
@trials(100)
def test_within_one_segment_a_pattern_is_a_shells(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@given(
    st.lists(st.sampled_from(["**/", "*", "a", "b", "/"]), max_size=9).map("".join),
    st.lists(st.sampled_from("aab/"), max_size=9).map("".join),
)
@trials(1000)
def test_a_pattern_matches_what_is_found_by_trying_everything(pattern: str, name: str) -> None:
    def sign(found: re.Match[str]) -> str:
        return "(?:[^/]+/)*" if found[1] else "[^/]*"

    plain = re.sub(r"(?:(?<=/)|^)(\*\*/)+|\*+", sign, pattern)

    assert matches(pattern, name) is bool(re.fullmatch(plain, name))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("*a" * 100 + "b", "a" * 250), ("**/a/" * 50 + "b", "a/" * 125 + "a"), ("**/*a*a*a*a" * 20, "a/a" * 80)],
    ids=["stars", "segments", "both"],
)
def test_no_pattern_and_no_name_make_it_try_for_ever(pattern: str, name: str) -> None:
    assert not matches(pattern, name)


@given(st.text("ab/*?", max_size=6), st.text("ab/", min_size=1, max_size=3), st.text("ab/", max_size=4))
@trials(100)
def test_a_pattern_that_matches_a_name_may_begin_as_the_name_does(pattern: str, prefix: str, rest: str) -> None:
    assert may_begin(pattern, prefix) or not matches(pattern, prefix + rest)


@pytest.mark.parametrize(
    ("one", "other", "is_so"),
    [
        ("release-*", "rel*", True),
        ("release-*", "*-1", True),
        ("release-*", "main*", False),
        ("*", "feature/*", False),
        ("**/*", "feature/*", True),
        ("[ab]?", "b*", True),
        ("v1", "v1.0", False),
    ],
)
def test_two_patterns_meet_where_a_name_may_match_both(one: str, other: str, is_so: bool) -> None:
    assert may_meet(one, other) is may_meet(other, one) is is_so


@given(st.text("ab/*?", max_size=6), st.text("ab/*?[]!", max_size=6), st.text("ab/", max_size=5))
@trials(200)
def test_patterns_that_match_one_name_are_known_to_meet(one: str, other: str, name: str) -> None:
    assert may_meet(one, other) or not (matches(one, name) and matches(other, name))


@pytest.mark.parametrize(
    ("ref", "default", "is_named"),
    [
        ("~ALL", "x", True),
        ("~DEFAULT_BRANCH", "main", True),
        ("~DEFAULT_BRANCH", "x", False),
        ("refs/heads/ma*", "x", True),
        ("refs/heads/other", "x", False),
        ("main", "x", False),
    ],
)
def test_a_ruleset_is_about_what_it_includes_and_does_not_exclude(ref: str, default: str, is_named: bool) -> None:
    """P6.65."""
    assert targets(ruleset(include=[ref]), "main", default) is is_named
    assert targets(ruleset(include=["~ALL"], exclude=(ref,)), "main", default) is not is_named


def test_a_rule_of_its_own_binds_a_branch_and_else_the_oldest_that_matches() -> None:
    facts = repo(rule("ma*", 2), rule("m*", 1), rule("main", 9))

    assert [getattr(in_force(facts, name), "pattern", None) for name in ("main", "mast", "x")] == ["main", "m*", None]


def test_the_repositorys_own_ruleset_for_just_that_branch_is_the_one_to_change() -> None:
    own = ruleset("ours", owner=REPO)
    others = (
        ruleset(),
        replace(own, id=1, enforcement="evaluate"),
        replace(own, id=2, exclude=("refs/heads/x",)),
        replace(own, id=3, include=("refs/heads/main", "refs/heads/x")),
        replace(own, id=9),
    )

    assert standing(repo(rulesets=(*others, own)), "main") == own
    assert standing(repo(rulesets=None), "main") is None


# What binds a branch


def found(facts: Any, field: str) -> list[tuple[Any, tuple[str, ...]]]:
    return [(one.value, one.by) for one in effective("main", facts).demands if one.field == field]


def test_rules_and_rulesets_bind_together_and_the_strictest_wins() -> None:
    """P6.63, P6.67."""
    facts = repo(
        rule("ma*", REVIEWS=1, LINEAR=True, CONTEXTS=BUILD, FORCE_PUSHES=True),
        rulesets=(
            ruleset("org", rules={"pull_request": {"required_approving_review_count": 2}, "non_fast_forward": {}}),
            ruleset(
                "ci",
                id=8,
                rules={
                    "required_status_checks": {
                        "required_status_checks": [{"context": "build", "app": "actions"}, {"context": "lint"}]
                    },
                    "required_linear_history": {},
                },
            ),
            ruleset("off", id=9, enforcement="disabled", rules={"required_signatures": {}}),
            ruleset("elsewhere", id=10, include=["refs/heads/x"], rules={"required_signatures": {}}),
        ),
    )

    assert found(facts, Field.REVIEWS) == [(2, ("ruleset org of acme",))]
    assert found(facts, Field.LINEAR) == [(True, ("rule ma*", "ruleset ci of acme"))]
    assert found(facts, Field.FORCE_PUSHES) == [(False, ("ruleset org of acme",))]
    assert found(facts, Field.CONTEXTS) == [
        (Check("build", ANY_APP), ("rule ma*",)),
        (Check("build", "actions"), ("ruleset ci of acme",)),
        (Check("lint", ANY_APP), ("ruleset ci of acme",)),
    ]
    assert found(facts, Field.SIGNATURES) == []
    assert effective("main", facts).contexts == {
        Check("build", ANY_APP),
        Check("build", "actions"),
        Check("lint", ANY_APP),
    }


def test_rules_that_no_field_can_say_bind_too() -> None:
    """P6.49."""
    org = ruleset(rules={"merge_queue": {}, "workflows": {}}, include=["~DEFAULT_BRANCH"])
    facts = repo(rulesets=(org, replace(org, id=8, name="too", rules={"merge_queue": {}})))

    assert effective("main", facts).demands[-2:] == (
        Demand("merge_queue", "", ("ruleset org of acme", "ruleset too of acme")),
        Demand("workflows", "", ("ruleset org of acme",)),
    )


def test_nothing_binds_a_branch_without_rules() -> None:
    assert effective("main", repo()) == Effective()


def test_what_could_not_be_read_is_said_to_be_unknown() -> None:
    """P7.3."""
    assert effective("main", repo(rules=None, rulesets=None)).unknown == ("classic rules", "rulesets")
    half, whole = ruleset(is_whole=False), ruleset("whole", id=8, include=["~DEFAULT_BRANCH"])
    assert effective("main", repo(rules=None, rulesets=(half, whole))).unknown == ("classic rules", str(half))


# Each in the other's words


def test_a_classic_rule_in_the_words_of_a_ruleset() -> None:
    """P6.66."""
    said = values(
        CONTEXTS=frozenset({Check("build", "actions"), Check("lint", ANY_APP)}),
        STRICT=True,
        REVIEWS=2,
        DISMISS_STALE=True,
        CODE_OWNERS=True,
        LAST_PUSH=True,
        CONVERSATIONS=True,
        LINEAR=True,
        SIGNATURES=True,
        CREATIONS=True,
        LOCK=True,
        FORK_SYNC=True,
        DEPLOYMENTS=frozenset({"prod"}),
    )

    rules, bypassers, lost = as_rules(said)

    assert rules == {
        "required_linear_history": {},
        "required_signatures": {},
        "non_fast_forward": {},
        "deletion": {},
        "creation": {},
        "required_status_checks": {
            "strict_required_status_checks_policy": True,
            "required_status_checks": [{"context": "build", "app": "actions"}, {"context": "lint"}],
        },
        "pull_request": {
            "required_approving_review_count": 2,
            "dismiss_stale_reviews_on_push": True,
            "require_code_owner_review": True,
            "require_last_push_approval": True,
            "required_review_thread_resolution": True,
        },
        "required_deployments": {"required_deployment_environments": ["prod"]},
        "update": {"update_allows_fetch_and_merge": True},
    }
    assert (bypassers, lost) == ((ADMINS,), frozenset())
    assert as_values(rewritten(said, MAIN, None)) == {**OFF, **said}
    assert as_rules(values(ENFORCE_ADMINS=True))[1] == ()


def test_what_a_ruleset_cannot_say_is_named() -> None:
    named = values(PUSHERS=CORE, DISMISSERS=NOBODY, BYPASSERS=CORE, FORCERS=CORE, CONVERSATIONS=True)

    assert as_rules(named)[2] == named.keys()
    assert as_rules(values(FORCE_PUSHES=True, DELETIONS=True)) == ({}, (ADMINS,), frozenset())


def test_an_app_that_only_its_number_is_known_of_is_told_by_that() -> None:
    sent = {"required_status_checks": [{"context": "build", "integration_id": 15368}, {"context": "lint"}]}

    found = as_values(ruleset(rules={"required_status_checks": sent}))

    assert found[Field.CONTEXTS] == frozenset({Check("build", "15368"), Check("lint", ANY_APP)})


def test_a_ruleset_that_says_nothing_forbids_nothing() -> None:
    assert as_values(ruleset()) == {**OFF, **values(ENFORCE_ADMINS=True, FORCE_PUSHES=True, DELETIONS=True)}


def test_a_ruleset_keeps_what_fields_cannot_say() -> None:
    team = Bypasser("Team", 3, "core", "pull_request")
    old = ruleset(
        owner=REPO,
        rules={"merge_queue": {}, "deletion": {}, "pull_request": {"allowed_merge_methods": ["squash"]}},
        bypassers=(ADMINS, team),
    )

    new = rewritten(values(REVIEWS=0, DELETIONS=True, ENFORCE_ADMINS=True), MAIN, old)

    assert new.rules.keys() == {"merge_queue", "non_fast_forward", "pull_request"}
    assert new.rules["pull_request"]["allowed_merge_methods"] == ["squash"]
    assert (new.id, new.name, new.bypassers) == (7, "org", (team,))


@given(rule_values)
@trials(30)
def test_what_a_ruleset_can_say_comes_back(drawn: Any) -> None:
    said = as_kept(drawn)
    lost = as_rules(said)[2]

    back = as_values(rewritten(said, Target(REPO, "main"), None))

    assert {name for name in Field if back[name] != said[name]} <= lost
    assert as_values(rewritten(back, Target(REPO, "main"), None)) == back
