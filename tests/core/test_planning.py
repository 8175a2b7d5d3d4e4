"""What a plan says of each target, what holds it, and what holds for every plan (P7.5-P7.8, P7.48)."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.lattice import effect, is_as_strong
from mergeq.core.planning import applied, breaches, gate, in_order, plan, undone
from mergeq.core.protecting import GateValues
from mergeq.core.protection import (
    ANY_APP,
    NOBODY,
    OFF,
    Actors,
    Backend,
    Bypasser,
    Cause,
    Change,
    Check,
    Effect,
    Field,
    Kind,
    Mode,
    Plan,
    Problem,
    RepoFacts,
    Rule,
    Source,
    Target,
    Trouble,
    Value,
    Wish,
)
from mergeq.core.rulesets import as_values, in_force
from tests.core.protected import (
    BUILD,
    MAIN,
    PATTERNS,
    REPO,
    as_kept,
    one,
    repo,
    rule,
    rule_values,
    ruleset,
    values,
    values_of,
    wish,
    wished_values,
    written,
)
from tests.core.trials import trials

CORE = Actors(teams=frozenset({"core"}))
OPS = Actors(teams=frozenset({"ops"}))
RESERVED = ("mergeq/", "mergeq-scratch/")


def planned(*wishes: Wish, facts: RepoFacts | None = None, **known: Any) -> Plan:
    return plan(wishes, {REPO: facts or repo()}, **known)


def changes(found: Plan) -> dict[str, tuple[Value, Value]]:
    return {change.field.name: (change.before, change.after) for change in one(found).changes}


# What is done


def test_a_branch_without_a_rule_gets_one() -> None:
    item = one(planned(wish(REVIEWS=1)))

    assert (item.kind, item.before, item.rule) == (Kind.CREATE, {}, "")
    assert item.after == {**OFF, Field.REVIEWS: 1}
    assert item.effect is Effect.STRENGTHEN


def test_a_rule_that_demands_nothing_still_forbids_force_pushes_and_deletion() -> None:
    assert changes(planned(wish())) == {"FORCE_PUSHES": (True, False), "DELETIONS": (True, False)}


def test_what_is_not_wished_for_stays_as_github_has_it() -> None:
    """P4.27."""
    found = planned(wish(REVIEWS=2), facts=repo(rule(REVIEWS=1, CONVERSATIONS=True, LOCK=True)))

    assert one(found).kind is Kind.UPDATE
    assert changes(found) == {"REVIEWS": (1, 2)}
    assert one(found).after == {**OFF, **values(REVIEWS=2, CONVERSATIONS=True, LOCK=True)}


def test_nothing_is_written_where_github_has_it_as_wished() -> None:
    item = one(planned(wish(REVIEWS=1), facts=repo(rule(REVIEWS=1))))

    assert (item.kind, item.why) == (Kind.NOTHING, "GitHub has it as wished")


def test_a_wish_for_no_rule_removes_the_rule_and_weakens() -> None:
    item = one(planned(wish(protect=False), facts=repo(rule(REVIEWS=1))))

    assert (item.kind, item.rule, item.after, item.effect) == (Kind.DELETE, "BPR_1", {}, Effect.WEAKEN)
    assert {change.field for change in item.changes} == {Field.REVIEWS, Field.FORCE_PUSHES, Field.DELETIONS}


def test_there_is_nothing_to_remove_where_there_is_no_rule() -> None:
    assert one(planned(wish(protect=False))).why == "it is not protected"


def test_a_branch_under_a_wildcard_rule_with_the_same_values_needs_no_rule_of_its_own() -> None:
    """P4.24."""
    facts = repo(rule("release-*", REVIEWS=1))

    item = one(planned(wish("release-1", REVIEWS=1), facts=facts))

    assert (item.kind, item.why) == (Kind.NOTHING, "the rule release-* covers it with the same values")


def test_a_branch_under_a_wildcard_rule_that_differs_gets_its_own_with_the_rest_of_that() -> None:
    facts = repo(rule("release-*", REVIEWS=1, LINEAR=True))

    item = one(planned(wish("release-1", REVIEWS=2), facts=facts))

    assert (item.kind, item.why, item.rule) == (Kind.CREATE, "a rule of its own, in front of release-*", "")
    assert item.after == {**OFF, **values(REVIEWS=2, LINEAR=True)}
    assert item.changes == (
        Change(Field.REVIEWS, 1, 2, Effect.STRENGTHEN),
        Change(Field.LINEAR, True, True, Effect.NEUTRAL),
    )


def test_a_rule_of_its_own_weakens_where_it_asks_less_than_the_wildcard_in_front_of_which_it_is() -> None:
    facts = repo(rule("release-*", REVIEWS=2))

    assert one(planned(wish("release-1", REVIEWS=0), facts=facts)).effect is Effect.WEAKEN


def test_the_oldest_wildcard_rule_is_the_one_that_covers() -> None:
    facts = repo(rule("rel*", serial=2, REVIEWS=2), rule("release-*", serial=1, REVIEWS=1))

    assert one(planned(wish("release-1", REVIEWS=1), facts=facts)).kind is Kind.NOTHING


def test_a_branch_does_not_count_on_a_wildcard_rule_that_is_about_to_change() -> None:
    facts = repo(rule("release-*", REVIEWS=1))

    found = planned(wish("release-1", REVIEWS=1), wish("release-*", REVIEWS=2), facts=facts)

    assert written(found) == {"release-*": "update", "release-1": "create"}


def test_a_wildcard_rule_is_never_removed_for_one_branch() -> None:
    item = one(planned(wish("release-1", protect=False), facts=repo(rule("release-*"))))

    assert item.kind is Kind.BLOCKED
    assert item.why == "it is protected by the rule release-*, which is about other branches too"


def test_a_branch_whose_exemption_has_ended_is_left_to_its_wildcard_rule() -> None:
    """P7.11."""
    ended = wish("release-1", protect=False, about={"expired": dict.fromkeys(Field, "rel-1")})
    there, gone = repo(rule("release-*"), rule("release-1", 2)), repo(rule("release-*"))

    lifted = one(planned(ended, facts=there, past={ended.target: OFF}))

    assert (lifted.kind, lifted.cause) == (Kind.DELETE, Cause.EXPIRY)
    assert lifted.warnings == ("rule release-* will protect it still",)
    assert one(planned(ended, facts=gone)).kind is Kind.NOTHING


def test_to_come_back_from_an_exemption_to_a_stricter_wildcard_is_no_removal_to_agree_to() -> None:
    """P7.11, P7.6: or what ends with several others would wait for somebody."""
    facts = repo(rule("release-*", REVIEWS=2), rule("release-1", serial=2, REVIEWS=1, LINEAR=True))
    over = {"expired": dict.fromkeys(Field, "rel-1")}

    back = planned(wish("release-1", protect=False, about=over), facts=facts)
    looser = planned(wish("release-1", protect=False), facts=repo(rule("*-1"), *(facts.rules or ())[1:]))

    assert [(one.field, one.before, one.after) for one in one(back).changes] == [
        (Field.REVIEWS, 1, 2),
        (Field.LINEAR, True, False),
    ]
    facts = replace(facts, rules=((facts.rules or ())[0], rule("release-1", serial=2, REVIEWS=1)))
    back = planned(wish("release-1", protect=False, about=over), facts=facts)
    assert (one(back).kind, one(back).effect) == (Kind.DELETE, Effect.STRENGTHEN)
    assert gate(back, GateValues(max_removals=0, max_weakening=0)) == ()
    assert len(gate(looser, GateValues(max_removals=0, max_weakening=0))) == 2


def test_a_wildcard_rule_is_removed_for_a_wish_about_itself() -> None:
    assert one(planned(wish("release-*", protect=False), facts=repo(rule("release-*")))).kind is Kind.DELETE


def test_it_is_told_what_protects_a_branch_still_whose_rule_is_removed() -> None:
    facts = repo(rule("main"), rule("ma*", serial=2), rulesets=(ruleset(),))

    item = one(planned(wish(protect=False), facts=facts))

    assert item.warnings == ("rule ma* and ruleset org of acme will protect it still",)


def test_what_a_ruleset_protects_alone_is_left_and_told() -> None:
    """P6.46, E45, P4.22."""
    item = one(planned(wish(protect=False, SIGNATURES=True), facts=repo(rulesets=(ruleset(),))))

    assert item.kind is Kind.NOTHING
    assert item.why == "it has no rule of its own; ruleset org of acme protects it still"


@pytest.mark.parametrize("name", ["release/1.x", "a#b", "with space", "Straße", "100%", "it's"])
def test_a_branch_name_is_taken_as_it_is(name: str) -> None:
    """P4.26."""
    facts = repo(rule("main"), branches=frozenset({name}))

    assert written(planned(wish(name), facts=facts)) == {name: "create"}


# Contexts and their pins


def test_a_pin_that_github_has_is_kept_where_none_is_wished() -> None:
    """P4.28."""
    pinned = frozenset({Check("build", "actions")})

    assert one(planned(wish(CONTEXTS=frozenset({Check("build")})), facts=repo(rule(CONTEXTS=pinned)))).changes == ()


def test_a_new_context_is_asked_of_any_app() -> None:
    assert one(planned(wish(CONTEXTS=frozenset({Check("build")})))).after[Field.CONTEXTS] == BUILD


def test_any_app_said_outright_takes_a_pin_away() -> None:
    pinned = frozenset({Check("build", "actions")})

    found = planned(wish(CONTEXTS=BUILD), facts=repo(rule(CONTEXTS=pinned)))

    assert changes(found) == {"CONTEXTS": (pinned, BUILD)}
    assert one(found).effect is Effect.WEAKEN


def test_a_context_without_a_pin_is_any_apps_already() -> None:
    unpinned = frozenset({Check("build")})

    assert written(planned(wish(CONTEXTS=BUILD), facts=repo(rule(CONTEXTS=unpinned)))) == {}


def test_a_pin_wins_over_none_and_over_what_is_there() -> None:
    asked = frozenset({Check("build"), Check("build", "actions")})
    facts = repo(rule(CONTEXTS=frozenset({Check("build", "buildkite")})))

    after = one(planned(wish(CONTEXTS=asked), facts=facts)).after

    assert after[Field.CONTEXTS] == frozenset({Check("build", "actions")})


def test_a_context_of_two_apps_is_refused() -> None:
    """P6.55."""
    asked = frozenset({Check("build", "actions"), Check("build", "buildkite")})

    item = one(planned(wish(CONTEXTS=asked)))

    assert (item.kind, item.why) == (Kind.INVALID, "context build is asked of two apps: keep one")


def test_contexts_can_be_taken_off() -> None:
    found = planned(wish(CONTEXTS=None), facts=repo(rule(CONTEXTS=BUILD, STRICT=True)))

    assert changes(found) == {"CONTEXTS": (BUILD, None), "STRICT": (True, False)}


# What GitHub keeps only together


def test_strict_alone_turns_the_section_on() -> None:
    """E155."""
    after = one(planned(wish(STRICT=True))).after

    assert (after[Field.CONTEXTS], after[Field.STRICT]) == (frozenset(), True)


def test_review_settings_without_a_count_are_left_out_and_told() -> None:
    """P1.19."""
    item = one(planned(wish(CODE_OWNERS=True, DISMISSERS=CORE)))

    assert item.after == OFF
    assert item.warnings == (
        f"{Field.CODE_OWNERS} has no effect without {Field.REVIEWS}, so it is left out",
        f"{Field.DISMISSERS} has no effect without {Field.REVIEWS}, so it is left out",
    )


def test_review_settings_go_over_a_count_that_github_has() -> None:
    found = planned(wish(CODE_OWNERS=True), facts=repo(rule(REVIEWS=1)))

    assert changes(found) == {"CODE_OWNERS": (False, True)}


def test_with_the_reviews_goes_what_stood_in_them() -> None:
    facts = repo(rule(REVIEWS=1, LAST_PUSH=True, BYPASSERS=CORE))

    found = planned(wish(REVIEWS=None), facts=facts)

    assert changes(found) == {"REVIEWS": (1, None), "LAST_PUSH": (True, False), "BYPASSERS": (CORE, NOBODY)}


def test_what_github_has_beside_a_section_that_is_off_is_left_alone() -> None:
    assert written(planned(wish(LINEAR=False), facts=repo(rule(CREATIONS=True)))) == {}


# Why nothing is done


def test_nothing_is_done_for_a_wish_that_has_a_problem() -> None:
    item = one(planned(wish(about={"problem": "two pins"})))

    assert (item.kind, item.why) == (Kind.INVALID, "two pins")


@pytest.mark.parametrize(
    ("facts", "kind", "why"),
    [
        (repo(renamed_to="acme/ship"), Kind.INVALID, "acme/rocket is acme/ship now: write its new name"),
        (repo(is_archived=True), Kind.UNSUPPORTED, "acme/rocket is archived, so nothing of it can be changed"),
        (repo(problem=Problem(Trouble.PLAN_LIMIT, "needs a plan")), Kind.UNSUPPORTED, "needs a plan"),
        (repo(rules=None, problem=Problem(Trouble.NO_ADMIN, "no admin")), Kind.UNKNOWN, "no admin"),
        (repo(rules=None), Kind.UNKNOWN, "the rules of acme/rocket could not be read"),
    ],
)
def test_a_repository_that_cannot_be_seen_to_says_why(facts: RepoFacts, kind: Kind, why: str) -> None:
    item = one(planned(wish(), facts=facts))

    assert (item.kind, item.why, item.changes) == (kind, why, ())


def test_a_repository_that_answers_in_other_letters_is_the_same() -> None:
    assert written(planned(wish(), facts=repo(renamed_to="Acme/Rocket"))) == {"main": "create"}


def test_a_repository_that_was_not_read_is_unknown() -> None:
    assert one(plan([wish()], {})).why == "acme/rocket was not read"


def test_nobody_can_be_named_on_a_repository_of_a_user_and_the_rest_is_done() -> None:
    """P4.11."""
    item = one(planned(wish(REVIEWS=1, PUSHERS=CORE), facts=repo(is_user_owned=True)))

    assert item.after == {**OFF, Field.REVIEWS: 1}
    assert item.warnings == (
        "restrictions is left as it is: nobody can be named on a repository that no organization owns",
    )


def test_two_wishes_for_one_target_that_differ_are_refused_and_the_same_twice_is_one() -> None:
    other = wish(REVIEWS=2, about={"place": "policy.yaml:9"})

    assert one(planned(wish(), other)).why == "it is wished for in several ways: policy.yaml:1, policy.yaml:9"
    assert written(planned(wish(), wish())) == {"main": "create"}


@pytest.mark.parametrize("pattern", ["mergeq/x", "mergeq/*", "*/*", "**/*", "[mn]ergeq/main-*", "mergeq/**/x", "m*/?*"])
def test_what_covers_staging_refs_is_refused(pattern: str) -> None:
    item = one(planned(wish(pattern), reserved=RESERVED))

    assert (item.kind, item.why) == (
        Kind.INVALID,
        f"{pattern} covers mergeq/…, where mergeq stages: leave these branches out",
    )


@pytest.mark.parametrize("pattern", ["*", "main", "release/*", "mergeq*", "[a-l]*/*", "mergeq-2/*"])
def test_what_does_not_reach_staging_refs_is_fine(pattern: str) -> None:
    assert written(planned(wish(pattern), reserved=RESERVED)) == {pattern: "create"}


def test_what_is_parked_shows_what_it_would_change() -> None:
    item = one(planned(wish(REVIEWS=1), parked={MAIN: "GitHub ignores it"}))

    assert (item.kind, item.why, item.after[Field.REVIEWS]) == (Kind.PARKED, "GitHub ignores it", 1)
    assert one(planned(wish(), facts=repo(rule()), parked={MAIN: "GitHub ignores it"})).kind is Kind.NOTHING


# What else is told


def test_a_branch_that_is_not_there_is_told_and_protected_all_the_same() -> None:
    """P6.57, P4.37."""
    facts = repo(branches=frozenset({"master"}))

    assert one(planned(wish(), facts=facts)).warnings == ("there is no branch of this name",)
    assert one(planned(wish("release-*"), facts=facts)).warnings == ("it matches no branch",)


def test_an_older_rule_that_binds_branches_of_a_pattern_is_told() -> None:
    """P7.10: whichever branches there are, for those of a repository with patterns alone are not read."""
    older = rule("rel*", serial=1)
    facts = repo(older, rule("other-*", serial=2), rule("release-*", serial=3), rule("*-1", serial=4))
    told = ("the older rule rel* binds what both are about",)

    assert one(planned(wish("release-*"), facts=facts)).warnings == told
    assert one(planned(wish("release-*"), facts=repo(older))).warnings == told


def test_a_rule_for_one_branch_that_nobody_asks_for_is_told_where_it_asks_less_than_the_pattern() -> None:
    """P7.10, P6.62."""
    facts = repo(rule("release-*", REVIEWS=1), rule("release-1", serial=2, LINEAR=True), rule("main", serial=3))
    strict = replace(facts, rules=(*(facts.rules or ())[:1], rule("release-1", serial=2, REVIEWS=2)))
    told = f"the rule release-1 is in front of it there, and asks for less: {Field.REVIEWS}"

    assert one(planned(wish("release-*", REVIEWS=1), facts=facts)).warnings == (told,)
    assert one(planned(wish("release-*", REVIEWS=1), facts=strict)).warnings == ()
    asked = planned(wish("release-*", REVIEWS=1), wish("release-1", REVIEWS=None, LINEAR=True), facts=facts)
    assert [item.warnings for item in asked.items] == [(), ()]


def test_a_ruleset_that_asks_for_more_than_the_configuration_does_is_told() -> None:
    rules = {"pull_request": {"required_approving_review_count": 2}, "non_fast_forward": {}, "merge_queue": {}}
    facts = repo(rulesets=(ruleset(rules=rules), ruleset("off", id=8, enforcement="disabled", rules=rules)))
    line = {Field.REVIEWS: (Source("acme", "policy.yaml:3"),), Field.FORCE_PUSHES: (Source("acme", "policy.yaml:4"),)}

    item = one(planned(wish(REVIEWS=1, FORCE_PUSHES=True, about={"sources": line}), facts=facts))

    assert item.warnings == (
        f"ruleset org of acme asks for more: {Field.REVIEWS}, {Field.FORCE_PUSHES}",
        "ruleset org of acme has GitHub's own merge queue on, beside this one",
    )
    assert one(planned(wish(REVIEWS=1), facts=replace(facts, rulesets=()))).warnings == ()


def test_an_older_rule_that_the_configuration_has_first_is_as_it_should_be() -> None:
    facts = repo(rule("rel*", serial=1), rule("release-*", serial=2), branches=frozenset({"release-1"}))
    line = [{"place": f"policy.yaml:{number}"} for number in (9, 10)]

    meant = planned(wish("rel*", about=line[0]), wish("release-*", about=line[1]), facts=facts)
    turned = planned(wish("rel*", about=line[1]), wish("release-*", about=line[0]), facts=facts)

    assert [item.warnings for item in meant.items] == [(), ()]
    assert [len(item.warnings) for item in turned.items] == [0, 1]


def test_an_exemption_that_ends_within_a_day_is_told() -> None:
    exempt = wish(about={"exemptions": ("rel-1",), "expires_at": 100_000.0})

    assert one(planned(exempt, now=50_000.0)).warnings == ("an exemption ends within a day: rel-1",)
    assert one(planned(exempt, now=10_000.0)).warnings == ()


# Why it differs


@pytest.mark.parametrize(
    ("past", "found", "wished", "cause"),
    [
        (None, 1, 2, Cause.FIRST_RUN),
        (1, 1, 2, Cause.CONFIG),
        (2, 1, 2, Cause.DRIFT),
        (3, 1, 2, Cause.BOTH),
    ],
)
def test_the_cause_is_told_by_what_was_left_there(past: int | None, found: int, wished: int, cause: Cause) -> None:
    known = {} if past is None else {MAIN: {**OFF, Field.REVIEWS: past}}

    assert one(planned(wish(REVIEWS=wished), facts=repo(rule(REVIEWS=found)), past=known)).cause is cause


def test_a_field_that_was_not_ours_before_is_a_changed_configuration() -> None:
    found = planned(wish(REVIEWS=1), facts=repo(rule(REVIEWS=2)), past={MAIN: values(LINEAR=False)})

    assert one(found).cause is Cause.CONFIG


def test_a_rule_of_ours_that_is_gone_has_drifted_and_so_has_one_that_is_back() -> None:
    gone = planned(wish(REVIEWS=1), past={MAIN: {**OFF, Field.REVIEWS: 1}})
    back = planned(wish(protect=False), facts=repo(rule()), past={MAIN: {}})
    removed = planned(wish(protect=False), facts=repo(rule()), past={MAIN: OFF})

    assert (one(gone).cause, one(back).cause, one(removed).cause) == (Cause.DRIFT, Cause.DRIFT, Cause.CONFIG)


def test_what_an_exemption_had_set_and_nothing_else_expires() -> None:
    facts, past = repo(rule(REVIEWS=0)), {MAIN: {**OFF, Field.REVIEWS: 0}}
    about = {"expired": {Field.REVIEWS: "rel-1"}}

    assert one(planned(wish(REVIEWS=2, about=about), facts=facts, past=past)).cause is Cause.EXPIRY
    assert one(planned(wish(REVIEWS=2, LINEAR=True, about=about), facts=facts, past=past)).cause is Cause.CONFIG


def test_what_mergeq_made_and_nobody_wishes_for_is_orphaned() -> None:
    """P4.36, P6.12."""
    past = {MAIN: OFF, Target(REPO, "gone"): OFF, Target(REPO, "removed"): {}, Target("acme/other", "main"): OFF}
    facts = repo(rule(), rule("removed", serial=2), rule("not-ours", serial=3))

    item = one(planned(facts=facts, past=past))

    assert (item.target, item.kind, item.rule, item.before) == (MAIN, Kind.ORPHANED, "BPR_1", OFF)
    assert planned(facts=facts, past=past).writes == ()


def test_a_rule_on_a_staging_ref_is_nobodys_business() -> None:
    target = Target(REPO, "mergeq/x")

    assert planned(facts=repo(rule("mergeq/x")), past={target: OFF}, reserved=RESERVED).items == ()


# Rulesets as what is written


def test_a_wish_can_be_put_into_a_ruleset() -> None:
    """P6.61."""
    asked = wish(CONTEXTS=BUILD, LINEAR=True, about={"backend": Backend.RULESET})

    found = planned(asked, facts=repo(rule("ma*")))
    after = applied(planned(asked, wish("x", protect=False), facts=repo(rule("ma*"))).items, {REPO: repo(rule("ma*"))})

    assert (one(found).kind, one(found).backend, one(found).before) == (Kind.CREATE, Backend.RULESET, {})
    made = (after[REPO].rulesets or ())[0]
    assert (made.name, made.owner, made.include) == ("mergeq: main", REPO, ("refs/heads/main",))
    assert as_values(made) == {**OFF, **values(CONTEXTS=BUILD, LINEAR=True)}
    assert plan([asked], after).writes == ()


def test_a_ruleset_of_the_repository_for_just_that_branch_is_changed_and_keeps_what_fields_cannot_say() -> None:
    queue = {"merge_queue": {"merge_method": "MERGE"}, "deletion": {}}
    own = ruleset("ours", owner=REPO, rules=queue)
    asked = wish(LINEAR=True, about={"backend": Backend.AUTO})

    found = planned(asked, facts=repo(rulesets=(own,)))
    after = applied(found.writes, {REPO: repo(rulesets=(own,))})

    assert (one(found).kind, one(found).backend, one(found).rule) == (Kind.UPDATE, Backend.RULESET, "7")
    assert changes(found) == {"LINEAR": (False, True)}
    assert (after[REPO].rulesets or ())[0].rules == {**queue, "required_linear_history": {}}


def test_whoever_is_let_past_a_ruleset_of_ours_is_told() -> None:
    """P6.54: no setting takes them off it."""
    let = (Bypasser("RepositoryRole", 5, "admin", "always"), Bypasser("RepositoryRole", 4, "write", "always"))
    ours = ruleset("mergeq: main", owner=REPO, rules={"required_linear_history": {}}, bypassers=let)

    item = one(planned(wish(LINEAR=True, about={"backend": Backend.RULESET}), facts=repo(rulesets=(ours,))))

    assert item.warnings == (
        f"ruleset mergeq: main of {REPO} lets past whom no setting names: RepositoryRole write (always)",
    )


def test_a_ruleset_of_ours_that_binds_nobody_is_to_be_put_right_and_loosens_nothing() -> None:
    about = {"backend": Backend.RULESET}
    off = ruleset("mergeq: main", owner=REPO, enforcement="disabled", rules={"required_linear_history": {}})
    facts = {REPO: repo(rulesets=(off,))}

    item = one(planned(wish(LINEAR=True, ENFORCE_ADMINS=True, about=about), facts=facts[REPO]))

    assert (item.kind, item.rule, item.effect) == (Kind.UPDATE, "7", Effect.STRENGTHEN)
    after = applied([item], facts)
    assert one(planned(wish(LINEAR=True, ENFORCE_ADMINS=True, about=about), facts=after[REPO])).kind is Kind.NOTHING


def test_a_ruleset_of_ours_is_removed_but_not_with_what_no_field_can_say() -> None:
    own = ruleset("mergeq: main", owner=REPO, rules={"deletion": {}})
    asked = wish(protect=False, about={"backend": Backend.RULESET})

    removed = planned(asked, facts=repo(rule(), rulesets=(own,)))
    strange = planned(asked, facts=repo(rulesets=(replace(own, rules={"merge_queue": {}, "workflows": {}}),)))
    theirs = planned(asked, facts=repo(rulesets=(replace(own, name="by hand"),)))

    assert (one(removed).kind, one(removed).warnings) == (Kind.DELETE, ("rule main will protect it still",))
    assert applied(removed.writes, {REPO: repo(rule(), rulesets=(own,))})[REPO] == repo(rule())
    assert [one(strange).kind, one(theirs).kind] == [Kind.BLOCKED, Kind.BLOCKED]
    assert "what mergeq cannot say, merge_queue, workflows: " in one(strange).why
    assert one(theirs).why == f"ruleset by hand of {REPO} was not made by mergeq: delete it by hand"


def test_a_ruleset_that_cannot_be_read_is_unknown() -> None:
    asked = wish(about={"backend": Backend.RULESET})
    partly = ruleset("ours", owner=REPO, is_whole=False)

    assert one(planned(asked, facts=repo(rulesets=None))).why == "the rulesets of acme/rocket could not be read"
    assert one(planned(asked, facts=repo(rulesets=(partly,)))).why == "ruleset ours cannot be read as a whole"


def test_what_a_ruleset_cannot_say_is_told() -> None:
    item = one(planned(wish(PUSHERS=CORE, about={"backend": Backend.RULESET})))

    assert item.warnings == ("restrictions cannot be said by a ruleset: use backend: classic",)


def test_a_ruleset_of_ours_that_nobody_wishes_for_is_orphaned() -> None:
    """P6.42."""
    own = ruleset("ours", owner=REPO)

    item = one(planned(facts=repo(rulesets=(own,)), past={MAIN: OFF}))

    assert (item.kind, item.backend, item.rule) == (Kind.ORPHANED, Backend.RULESET, "7")


def test_classic_it_stays_where_there_is_a_rule_or_a_ruleset_cannot_say_it() -> None:
    own = ruleset("ours", owner=REPO)
    both = repo(rule(), rulesets=(own,))
    about = {"backend": Backend.AUTO}

    assert one(planned(wish(LINEAR=True, about=about), facts=both)).backend is Backend.CLASSIC
    assert one(planned(wish(PUSHERS=CORE, about=about), facts=repo(rulesets=(own,)))).backend is Backend.CLASSIC


# The floor


def test_what_is_below_the_floor_is_told_of_what_a_wish_says() -> None:
    floor = values(REVIEWS=1, CONTEXTS=BUILD)
    pinned = frozenset({Check("build", "actions")})

    assert breaches(wish(REVIEWS=2, CONTEXTS=pinned), floor) == ()
    assert breaches(wish(LINEAR=False), floor) == ()
    assert breaches(wish(REVIEWS=0, CONTEXTS=pinned), floor) == (f"{Field.REVIEWS} is 0 where it must be 1",)
    assert breaches(wish(CONTEXTS=None), floor) == (
        f'{Field.CONTEXTS} is null where it must be [{{"context": "build", "app": "any"}}]',
    )


def test_to_remove_a_rule_is_below_any_floor() -> None:
    assert breaches(wish(protect=False), values(REVIEWS=1)) == ("protect is false",)
    assert breaches(wish(protect=False), {}) == ()


# The lattice


@pytest.mark.parametrize(
    ("name", "weaker", "stronger"),
    [
        *[(name, False, True) for name in ("STRICT", "ENFORCE_ADMINS", "CODE_OWNERS", "DISMISS_STALE", "LINEAR")],
        *[(name, False, True) for name in ("SIGNATURES", "CONVERSATIONS", "LAST_PUSH", "LOCK", "CREATIONS")],
        *[(name, True, False) for name in ("FORCE_PUSHES", "DELETIONS", "FORK_SYNC")],
        ("REVIEWS", None, 0),
        ("REVIEWS", 1, 2),
        ("CONTEXTS", None, BUILD),
        ("CONTEXTS", BUILD, BUILD | {Check("lint", ANY_APP)}),
        ("CONTEXTS", BUILD, frozenset({Check("build", "actions")})),
        ("CONTEXTS", frozenset({Check("build")}), frozenset({Check("build", "actions")})),
        ("DEPLOYMENTS", None, frozenset({"prod"})),
        ("DEPLOYMENTS", frozenset({"prod"}), frozenset({"prod", "staging"})),
        ("PUSHERS", None, NOBODY),
        ("PUSHERS", CORE, NOBODY),
        ("DISMISSERS", None, CORE),
        ("BYPASSERS", CORE, NOBODY),
        ("FORCERS", CORE, NOBODY),
    ],
)
def test_what_protects_more(name: str, weaker: Value, stronger: Value) -> None:
    """P7.5."""
    assert effect(Field[name], weaker, stronger) is Effect.STRENGTHEN
    assert effect(Field[name], stronger, weaker) is Effect.WEAKEN


@pytest.mark.parametrize(
    ("name", "one_way", "other"),
    [
        ("CONTEXTS", BUILD, frozenset({Check("lint", ANY_APP)})),
        ("CONTEXTS", frozenset({Check("build", "a")}), frozenset({Check("build", "b")})),
        ("PUSHERS", CORE, OPS),
        ("DEPLOYMENTS", frozenset({"prod"}), frozenset({"staging"})),
    ],
)
def test_to_take_one_thing_for_another_weakens(name: str, one_way: Value, other: Value) -> None:
    assert effect(Field[name], one_way, other) is effect(Field[name], other, one_way) is Effect.WEAKEN


@pytest.mark.parametrize("empty", [None, frozenset()])
def test_a_section_that_is_on_with_nothing_in_it_demands_nothing(empty: Value) -> None:
    assert effect(Field.CONTEXTS, None, empty) is Effect.NEUTRAL


@pytest.mark.parametrize("name", list(Field))
def test_what_strengthens_one_way_weakens_the_other_way(name: Field) -> None:
    for a, b, c in product(values_of(name), repeat=3):
        there, back = effect(name, a, b), effect(name, b, a)
        assert (there is Effect.NEUTRAL) == (back is Effect.NEUTRAL)
        assert {there, back} != {Effect.STRENGTHEN}
        assert is_as_strong(name, a, c) or not (is_as_strong(name, a, b) and is_as_strong(name, b, c))


# The gate, and the order


def many(count: int, *, mode: Mode = Mode.ENFORCE, found: int = 2, protect: bool = True) -> Plan:
    """A plan that loosens the reviews of so many repositories, or removes their rules."""
    facts = {f"acme/r{n:02}": replace(repo(rule(REVIEWS=found)), repo=f"acme/r{n:02}") for n in range(count)}
    return plan([Wish(Target(name, "main"), protect, values(REVIEWS=1), mode=mode) for name in facts], facts)


def test_a_plan_that_changes_weakens_or_removes_too_much_waits_and_says_by_how_much() -> None:
    limits = GateValues(max_repos_changed=6, max_weakening=7, max_removals=1)

    assert gate(many(6), limits) == ()
    (reason,) = gate(many(7), limits)
    assert reason == (
        "it would change 7 repositories, and max_repos_changed is 6: "
        "acme/r00, acme/r01, acme/r02, acme/r03, acme/r04 and 2 more"
    )
    assert gate(many(2, protect=False), limits) == (
        "it would remove 2 rules, and max_removals is 1: acme/r00:main, acme/r01:main",
    )
    (reason,) = gate(many(8), replace(limits, max_repos_changed=8))
    assert reason == (
        "it would weaken 8 branches or patterns, and max_weakening is 7: "
        "acme/r00:main, acme/r01:main, acme/r02:main, acme/r03:main, acme/r04:main and 3 more"
    )
    assert len(gate(many(8, protect=False), limits)) == 3


def test_what_strengthens_or_is_only_looked_at_is_no_weakening() -> None:
    assert gate(many(3, found=0), GateValues(max_weakening=0)) == ()
    assert gate(many(3, mode=Mode.OBSERVE), GateValues(0, 0, 0)) == ()
    assert in_order(many(3, mode=Mode.OBSERVE)) == ()


def test_what_strengthens_goes_before_what_weakens_and_making_before_removing() -> None:
    facts = repo(rule("a", REVIEWS=1), rule("b", REVIEWS=1), rule("c", REVIEWS=2), rule("x*"))
    wishes = [wish("a", protect=False), wish("b", REVIEWS=2), wish("c", REVIEWS=1), wish("d"), wish("xy", LINEAR=False)]

    found = in_order(planned(*wishes, facts=facts))

    assert [(item.target.pattern, str(item.kind), str(item.effect)) for item in found] == [
        ("d", "create", "strengthen"),
        ("b", "update", "strengthen"),
        ("c", "update", "weaken"),
        ("a", "delete", "weaken"),
    ]


def test_patterns_are_made_in_the_order_of_the_configuration() -> None:
    """P7.10: of two that match the older one wins."""
    lines = {"z*": "policy.yaml:9", "a*": "policy.yaml:10", "m*": "policy.yaml", "**/x": "exemptions.yaml:99"}
    wishes = [wish(pattern, about={"place": place}) for pattern, place in lines.items()]

    assert [item.target.pattern for item in in_order(planned(*wishes))] == ["m*", "**/x", "z*", "a*"]


# What holds for every plan


rules = st.dictionaries(st.sampled_from(PATTERNS), st.tuples(rule_values, st.integers(1, 99)), max_size=4).map(
    lambda drawn: tuple(Rule(f"BPR_{at}", name, found, at) for name, (found, at) in drawn.items())
)
wishes_ = st.dictionaries(
    st.sampled_from(PATTERNS),
    st.tuples(st.booleans() | st.just(value=True), wished_values, st.sampled_from(list(Backend))),
    max_size=4,
).map(
    lambda drawn: [
        Wish(Target(REPO, name), protect, wished, backend=backend, mode=Mode.ENFORCE)
        for name, (protect, wished, backend) in drawn.items()
    ]
)


def test_what_is_written_stands_among_the_rules_that_were_there() -> None:
    facts = {REPO: repo(rule("main", 1), rule("old", 2), rule("kept", 3))}
    wishes = [wish("main", LINEAR=True), wish("old", protect=False), wish("next", LOCK=True)]

    after = applied(plan(wishes, facts).writes, facts)[REPO].rules or ()

    assert [(one.pattern, one.serial) for one in after] == [("main", 1), ("kept", 3), ("next", 4)]
    assert [one.values[Field.LINEAR] for one in after] == [True, False, False]
    assert after[2].values[Field.LOCK] is True


@given(rules, wishes_)
@trials(80)
def test_once_a_plan_is_applied_there_is_nothing_more_to_do(found: tuple[Rule, ...], wishes: list[Wish]) -> None:
    """P6.42."""
    first = plan(wishes, {REPO: repo(*found)})

    after = applied(first.writes, {REPO: repo(*found)})

    assert plan(wishes, after).writes == ()
    assert all(one.values == as_kept(one.values) for one in after[REPO].rules or ())


@given(rules, wishes_)
@trials(50)
def test_what_nobody_wishes_for_is_not_changed(found: tuple[Rule, ...], wishes: list[Wish]) -> None:
    classic = [replace(asked, backend=Backend.CLASSIC) for asked in wishes]
    facts = {REPO: repo(*found)}
    asked = {one.target.pattern: one for one in classic}

    after = applied(plan(classic, facts).writes, facts)[REPO]

    for old in found:
        new = after.rule(old.pattern)
        if old.pattern not in asked:
            assert new == old
        elif new is not None:
            wished = asked[old.pattern].values
            kept = as_kept({**old.values, **{name: wished[name] for name in wished}})
            section = {Field.CONTEXTS} if wished.get(Field.STRICT) else set()
            assert all(new.values[name] == kept[name] for name in Field if name not in {*wished, *section})


@given(rules, wishes_, st.randoms(use_true_random=False))
@trials(30)
def test_the_order_of_wishes_and_rules_does_not_matter(found: tuple[Rule, ...], wishes: list[Wish], dice: Any) -> None:
    first = plan(wishes, {REPO: repo(*found)})
    shuffled, others = list(found), list(wishes)
    dice.shuffle(shuffled)
    dice.shuffle(others)

    again = plan(others, {REPO: repo(*shuffled)})

    assert again == first
    assert again.hash == first.hash


@given(rules, wishes_)
@trials(50)
def test_what_was_written_can_be_undone(found: tuple[Rule, ...], wishes: list[Wish]) -> None:
    """A rule that a wildcard rule has the values of need not come back, and a wildcard rule comes back younger."""
    facts = {REPO: repo(*found)}
    done = plan(wishes, facts).writes
    after = applied(done, facts)

    back = applied(plan(undone(done), after).writes, after)[REPO]

    assert back.rulesets == ()
    assert {name: back.rule(name) is None for name in PATTERNS if "*" in name} == {
        name: facts[REPO].rule(name) is None for name in PATTERNS if "*" in name
    }
    lost_age = any(item.kind is Kind.DELETE and item.target.is_glob for item in done)
    for name in PATTERNS:
        old, new = facts[REPO].rule(name), back.rule(name)
        if new or not lost_age:
            old, new = old or in_force(facts[REPO], name), new or in_force(back, name)
            assert (new and new.values) == (old and old.values), name


def test_undoing_asks_for_what_there_was_in_the_same_way() -> None:
    facts = repo(rule("a", REVIEWS=1), rule("b", LINEAR=True))
    done = planned(wish("a", REVIEWS=2), wish("b", protect=False), wish("c"), facts=facts).writes

    assert undone(done) == (
        replace(wish("a"), values={**OFF, Field.REVIEWS: 1}),
        replace(wish("b"), values={**OFF, Field.LINEAR: True}),
        wish("c", protect=False),
    )


def test_undoing_keeps_a_context_that_nobody_was_pinned_to() -> None:
    facts = {REPO: repo(rule(CONTEXTS=frozenset({Check("build")})))}
    done = plan([wish(CONTEXTS=frozenset({Check("build", "actions")}))], facts).writes
    after = applied(done, facts)

    back = applied(plan(undone(done), after).items, after)[REPO].rule("main")
    assert back
    assert back.values[Field.CONTEXTS] == BUILD


@given(rules, wishes_)
@trials(30)
def test_the_hash_names_what_is_written_and_nothing_else(found: tuple[Rule, ...], wishes: list[Wish]) -> None:
    facts = {REPO: repo(*found)}
    first = plan(wishes, facts)
    told = [replace(asked, place="elsewhere.yaml:7", exemptions=("x",)) for asked in wishes]
    asked_too = [
        *wishes,
        *(wish(old.pattern) for old in found if old.pattern not in {w.target.pattern for w in wishes}),
    ]

    assert plan(told, facts, config="other").hash == first.hash
    assert plan(asked_too, facts).hash == first.hash
    assert (first.hash == plan([], facts).hash) == (first.writes == ())
