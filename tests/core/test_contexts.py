"""Contexts: which of them count, which report is the latest, and what is not green."""

import re
from dataclasses import replace

import pytest

from mergeq.core.contexts import Broken, ContextOptions, ContextPolicy, Demands, latest, resolve, unsuccessful
from mergeq.core.pull import Context, Result
from tests.builders import context, green


def policy(
    *,
    required: str = "",
    if_present: str = "",
    optional: str = "",
    patterns: str = "",
    skip_unknown: bool | None = None,
) -> ContextPolicy:
    """A policy out of names split by blanks."""
    return ContextPolicy(
        required=frozenset(required.split()),
        required_if_present=frozenset(if_present.split()),
        optional=frozenset(optional.split()),
        optional_patterns=tuple(re.compile(text) for text in patterns.split()),
        skip_unknown=skip_unknown,
    )


def bad(*contexts: Context, by: ContextPolicy) -> list[str]:
    return [one.name for one in unsuccessful(contexts, Demands(by))]


# Levels


def test_lists_of_all_levels_are_united() -> None:
    """T1.59, T11.83."""
    levels = [policy(required=f"r{level}", optional=f"o{level}", if_present=f"p{level}") for level in range(1, 5)]

    assert resolve(levels) == policy(required="r1 r2 r3 r4", optional="o1 o2 o3 o4", if_present="p1 p2 p3 p4")


def test_patterns_of_all_levels_are_united() -> None:
    """T11.87."""
    united = policy(patterns="^or").narrowed_by(policy(patterns="^po"))

    assert not united.counts("ore")
    assert not united.counts("pore")
    assert united.counts("bore")


@pytest.mark.parametrize(
    ("broad", "narrow", "expected"),
    [
        pytest.param(None, None, None, id="unset stays unset"),
        pytest.param(False, True, True, id="T11.85 set by the narrower"),
        pytest.param(True, False, False, id="T11.86 an explicit no overrides a yes"),
        pytest.param(True, None, True, id="T1.59 unset inherits"),
    ],
)
def test_the_narrowest_set_flag_wins(broad: bool | None, narrow: bool | None, expected: bool | None) -> None:
    """T11.84 as well: all flags are alike."""
    broader = ContextPolicy(skip_unknown=broad, from_branch_protection=broad, overwrite_pending=broad)
    narrower = ContextPolicy(skip_unknown=narrow, from_branch_protection=narrow, overwrite_pending=narrow)

    found = resolve([broader, narrower])

    assert (found.skip_unknown, found.from_branch_protection, found.overwrite_pending) == (expected,) * 3


def test_without_levels_nothing_is_configured() -> None:
    assert resolve([]) == ContextPolicy()


def test_a_branch_takes_the_levels_that_lead_to_it_and_no_other() -> None:
    """T1.58, T1.59."""
    options = ContextOptions(
        policy(required="everyone", skip_unknown=True),
        {
            "acme": policy(required="org"),
            "acme/rocket": policy(required="repo", skip_unknown=False),
            "acme/rocket:main": policy(required="branch"),
            "acme/rocket:next": policy(required="other-branch"),
            "acme/launchpad": policy(required="other-repo"),
            "other": policy(required="other-org"),
        },
    )

    assert options.for_branch("acme", "rocket", "main") == policy(
        required="everyone org repo branch", skip_unknown=False
    )
    assert options.for_branch("umbrella", "x", "main") == policy(required="everyone", skip_unknown=True)


# What counts


@pytest.mark.parametrize(
    ("rules", "counting", "optional"),
    [
        pytest.param(policy(optional="o1 o2", skip_unknown=False), "c1", "o1 o2", id="T11.94"),
        pytest.param(policy(skip_unknown=False), "t2", "", id="T11.95"),
        pytest.param(policy(), "t2", "", id="nothing configured: everything counts"),
        pytest.param(policy(required="c1 c2 c3", skip_unknown=False), "t1", "", id="T11.96"),
        pytest.param(policy(required="c1 c2 c3", skip_unknown=True), "c1", "t1", id="T11.97"),
        pytest.param(policy(skip_unknown=True), "", "t2", id="T11.98"),
        pytest.param(policy(patterns="o.*", skip_unknown=False), "c1", "o1", id="T11.99"),
        pytest.param(policy(patterns="oc"), "o1", "docs", id="T1.3 patterns are searched, not anchored"),
        pytest.param(policy(if_present="p1", skip_unknown=True), "p1", "t1", id="T1.62 required if present"),
        pytest.param(policy(required="r", optional="r"), "r", "", id="T1.61 required and optional: it counts (D8)"),
        pytest.param(policy(required="r", patterns="r"), "r", "", id="T1.61 required and matching: it counts (D8)"),
        pytest.param(policy(if_present="r", optional="r"), "r", "", id="T1.61 if present and optional: it counts (D8)"),
        pytest.param(policy(optional="o1"), "O1", "o1", id="T1.4 names compare exactly"),
    ],
)
def test_the_first_rule_that_applies_decides_whether_a_context_counts(
    rules: ContextPolicy, counting: str, optional: str
) -> None:
    assert [name for name in counting.split() if not rules.counts(name)] == []
    assert [name for name in optional.split() if rules.counts(name)] == []


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param(
            policy(required="c1", optional="c1"), "contexts c1 are defined as required and optional", id="T11.88"
        ),
        pytest.param(
            policy(optional="c1 c2 c3 c4", required="c4 c1"),
            "contexts c1, c4 are defined as required and optional",
            id="T11.89",
        ),
        pytest.param(
            policy(required="c1", if_present="c1"),
            "contexts c1 are defined as required and required if present",
            id="T1.61 required and required if present",
        ),
        pytest.param(
            policy(optional="c1", if_present="c1"),
            "contexts c1 are defined as optional and required if present",
            id="T1.61 optional and required if present",
        ),
        pytest.param(
            policy(patterns="c.", required="c1 a4"),
            'optional context regex "c." matches required context c1',
            id="T11.90",
        ),
        pytest.param(
            policy(patterns="x c.", if_present="a4 c1"),
            'optional context regex "c." matches required if present context c1',
            id="T11.91",
        ),
        pytest.param(policy(required="r1", optional="o1", if_present="p1", patterns="orc*"), "", id="T11.93"),
        pytest.param(policy(), "", id="nothing configured"),
    ],
)
def test_a_policy_that_contradicts_itself_says_where(rules: ContextPolicy, said: str) -> None:
    assert rules.overlap() == rules.refusal() == said


def test_tide_does_not_act_where_an_expression_does_not_compile() -> None:
    """T11.92: after what lists contradict, before what expressions do."""
    broken = ContextPolicy(optional_patterns=(re.compile("c."), Broken('"\\', "it ends too early")))

    assert broken.counts('"\\')
    assert broken.overlap() == ""
    assert broken.refusal() == 'optional context regex "\\"\\\\" doesn\'t compile: it ends too early'
    assert replace(broken, required=frozenset({"c1"})).refusal() == broken.refusal()
    both = replace(broken, required=frozenset({"a"}), optional=frozenset({"a"}))
    assert both.refusal() == "contexts a are defined as required and optional"


# The latest report


def test_the_newest_report_of_a_context_replaces_the_older_ones_in_any_order() -> None:
    """D18, against T3.19: an old success does not outlive a newer failure (T12.21)."""
    old, new = green("ci", app="actions", at=1.0), context("ci", Result.FAILURE, app="actions", at=2.0)

    assert latest([old, new]) == latest([new, old]) == (new,)


def test_of_reports_that_started_together_the_later_id_is_the_newer() -> None:
    first = green("ci", app="actions", at=1.0, serial=1)
    second = context("ci", Result.FAILURE, app="actions", at=1.0, serial=2)

    assert latest([first, second]) == latest([second, first]) == (second,)


def test_a_repeated_run_that_has_not_started_replaces_the_run_that_passed() -> None:
    """D18, D8: a queued check run has no start time yet."""
    passed = green("ci", app="actions", at=1_750_000_000.0, serial=1)
    queued = context("ci", Result.PENDING, app="actions", at=0.0, serial=2)

    assert latest([passed, queued]) == latest([queued, passed]) == (queued,)


def test_reports_of_different_apps_all_stay() -> None:
    """D18, T3.18."""
    both = (green("ci", app="actions"), context("ci", Result.FAILURE, app="jenkins"), green("ci"))

    assert latest(both) == both


def test_a_status_posted_again_in_another_case_is_the_same_context() -> None:
    failed = context("CI/test", Result.FAILURE, at=2.0)

    assert latest([green("ci/test", at=1.0), failed]) == (failed,)


def test_check_runs_that_differ_in_case_are_different() -> None:
    both = (green("Build", app="actions"), context("build", Result.FAILURE, app="actions"))

    assert latest(both) == both


def test_no_reports_have_no_latest() -> None:
    assert latest([]) == ()


# What is not green


def test_when_all_that_counts_is_green_nothing_is_missing() -> None:
    """T11.112."""
    assert (
        bad(green("c1"), green("c2"), context("c3", Result.FAILURE), by=policy(required="c1 c2", optional="c3")) == []
    )


@pytest.mark.parametrize("result", [Result.PENDING, Result.FAILURE, Result.ERROR, Result.EXPECTED])
def test_whatever_is_not_success_is_not_green(result: Result) -> None:
    """T3.12, T6.18."""
    assert bad(context("c1", result), green("c2"), by=policy()) == ["c1"]


@pytest.mark.parametrize(
    ("contexts", "rules", "expected"),
    [
        pytest.param((context("c3", Result.FAILURE),), policy(), ["c3"], id="T11.109"),
        pytest.param((green("c1"), green("c2")), policy(required="c1 c2 c3"), ["c3"], id="T11.110, T11.100"),
        pytest.param(
            (green("c1"), context("c2", Result.FAILURE)),
            policy(required="c1 c2 c3", optional="c4"),
            ["c2", "c3"],
            id="T11.111",
        ),
        pytest.param(
            (green("c1"), green("c3"), context("c4", Result.FAILURE), context("c5", Result.FAILURE)),
            policy(required="c1 c3", optional="c4", skip_unknown=True),
            [],
            id="T11.113",
        ),
        pytest.param((context("c2", Result.FAILURE),), policy(required="c2", skip_unknown=True), ["c2"], id="T11.114"),
        pytest.param((), policy(optional="c1"), [], id="T11.101"),
        pytest.param((), policy(if_present="c1"), [], id="T1.64 required if present is never missing"),
        pytest.param(
            (context("c1", Result.PENDING),),
            policy(if_present="c1", skip_unknown=True),
            ["c1"],
            id="T1.62 required if present must be green when present",
        ),
        pytest.param(
            (green("ci"), context("ci", Result.FAILURE, app="actions")),
            policy(),
            ["ci"],
            id="T11.129 a green status does not hide a red check run",
        ),
        pytest.param(
            (context("z", Result.ERROR), context("a", Result.ERROR)), policy(required="m"), ["a", "m", "z"], id="sorted"
        ),
    ],
)
def test_what_keeps_a_head_from_being_green_is_named(
    contexts: tuple[Context, ...], rules: ContextPolicy, expected: list[str]
) -> None:
    assert bad(*contexts, by=rules) == expected


def test_a_required_context_that_is_absent_is_expected() -> None:
    """T3.13."""
    assert unsuccessful([], Demands(policy(required="c1"))) == (Context("c1", Result.EXPECTED),)


@pytest.mark.parametrize(("ours", "posted"), [("tide", "tide"), ("Tide", "tide"), ("tide", "Tide")])
def test_our_own_context_is_never_judged(ours: str, posted: str) -> None:
    """T3.15, T11.108."""
    mine = context(posted, Result.FAILURE)

    assert unsuccessful([green("c1"), mine], Demands(policy(), ours)) == ()
    assert unsuccessful([green("c1")], Demands(policy(required="tide"), ours)) == ()


def test_a_superseded_failure_does_not_count() -> None:
    assert bad(context("ci", Result.FAILURE, at=1.0), green("ci", at=2.0), by=policy(required="ci")) == []


# Whose word counts


def believed(*contexts: Context, apps: dict[str, str], required: str = "ci") -> list[tuple[str, Result]]:
    return [(one.name, one.result) for one in unsuccessful(contexts, Demands(policy(required=required), apps=apps))]


@pytest.mark.parametrize("app", [None, "evil"])
def test_a_pinned_context_is_believed_from_its_app_alone(app: str | None) -> None:
    """D18, T12.41: green from anybody else it has not appeared."""
    assert believed(green("ci", app="actions"), apps={"ci": "actions"}) == []
    assert believed(green("ci", app=app), apps={"ci": "actions"}) == [("ci", Result.EXPECTED)]


def test_a_pinned_context_that_others_report_red_is_not_red() -> None:
    """D18: or any app could stop the queue with a name."""
    forged = context("ci", Result.FAILURE, app="evil")

    assert believed(green("ci", app="actions"), forged, apps={"ci": "actions"}) == []
    assert believed(forged, apps={"ci": "actions"}, required="") == []


def test_a_pinned_context_that_its_app_reports_red_is_red_whoever_says_green() -> None:
    contexts = (green("ci"), context("ci", Result.FAILURE, app="actions"))

    assert believed(*contexts, apps={"ci": "actions"}) == [("ci", Result.FAILURE)]


@pytest.mark.parametrize("apps", [{}, {"ci": "any"}, {"other": "actions"}])
def test_a_context_that_is_not_pinned_must_be_green_from_everybody(apps: dict[str, str]) -> None:
    """D18."""
    assert believed(green("ci", app="jenkins"), apps=apps) == []
    assert believed(green("ci", app="jenkins"), context("ci", Result.ERROR), apps=apps) == [("ci", Result.ERROR)]
