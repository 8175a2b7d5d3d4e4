"""What became of rules between two looks, what is left alone, and that whatever is kept is read as it was written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.audit import (
    AuditRecord,
    Difference,
    Parked,
    Result,
    difference_of,
    differences,
    merged,
    patched,
    spoken_facts,
    wish_of,
)
from mergeq.core.protection import (
    OFF,
    Actors,
    Backend,
    Bypasser,
    Cause,
    Change,
    Check,
    Effect,
    Field,
    Item,
    Kind,
    Mode,
    RepoFacts,
    Rule,
    Ruleset,
    Source,
    Target,
    Value,
    Values,
    Wish,
    heard_item,
    heard_values,
    spoken_item,
    spoken_values,
)

MAIN = Target("acme/rocket", "main")
CI = frozenset({Check("ci/test", "any")})
STRICT = Change(Field.STRICT, False, True, Effect.STRENGTHEN)
ITEM = Item(MAIN, Kind.UPDATE, changes=(STRICT,), before={**OFF})
WISH = Wish(MAIN, values={Field.STRICT: True})
TIGHT = Ruleset(
    7,
    "tight",
    "acme",
    "active",
    ("~ALL",),
    (),
    {"deletion": {}},
    (Bypasser("Team", 3, "admins", "always"), Bypasser("RepositoryRole", 5, "", "pull_request")),
)


def told(rules: Mapping[str, Values] | None = {}, *rulesets: Ruleset) -> dict[str, Any]:
    found = None if rules is None else tuple(Rule(name, name, {**OFF, **rules[name]}) for name in rules)
    return spoken_facts(RepoFacts("acme/rocket", rules=found, rulesets=rulesets))


# What somebody changed


def test_of_a_rule_that_was_changed_only_what_differs_is_told() -> None:
    before, after = told({"main": {Field.CONTEXTS: CI}}), told({"main": {Field.CONTEXTS: CI, Field.STRICT: True}})

    assert differences(before, after) == (
        Difference("main", {Field.STRICT: False}, {Field.STRICT: True}, Effect.STRENGTHEN),
    )
    assert differences(after, before)[0].effect is Effect.WEAKEN
    assert differences(before, before) == ()


def test_a_rule_that_comes_or_goes_has_nothing_on_the_other_side() -> None:
    (came,) = differences(told(), told({"main": {Field.STRICT: True}}))
    (went,) = differences(told({"main": {Field.STRICT: True}}), told())

    assert (came.before, came.effect) == (None, Effect.STRENGTHEN)
    assert (went.after, went.effect) == (None, Effect.WEAKEN)
    assert went.before
    assert went.before[Field.STRICT] is True


def test_a_rule_that_only_forbids_to_force_and_to_delete_is_missed_when_it_goes() -> None:
    (went,) = differences(told({"main": {}}), told())
    (open_,) = differences(told({"main": {Field.FORCE_PUSHES: True, Field.DELETIONS: True}}), told())

    assert went.effect is Effect.WEAKEN
    assert open_.effect is Effect.NEUTRAL


def test_a_rule_in_front_of_a_wildcard_is_weighed_by_what_that_asks_for() -> None:
    """P7.10: whoever puts an empty rule for one branch in front of a strict pattern loosens that branch."""
    strict = {"release-*": {Field.REVIEWS: 2}}
    (loosened,) = differences(told(strict), told({**strict, "release-1": {Field.LINEAR: True}}))
    (back,) = differences(told({**strict, "release-1": {}}), told(strict))

    assert (loosened.about, loosened.effect) == ("release-1", Effect.WEAKEN)
    assert back.effect is Effect.STRENGTHEN


def test_a_change_that_weakens_one_field_is_a_weakening_whatever_else_it_does() -> None:
    before = told({"main": {Field.ENFORCE_ADMINS: True}})
    after = told({"main": {Field.STRICT: True}})

    assert differences(before, after)[0].effect is Effect.WEAKEN


def test_a_change_of_no_weight_is_neutral() -> None:
    before = told({"main": {Field.PUSHERS: Actors(users=frozenset({"ana"}))}})
    after = told({"main": {Field.PUSHERS: Actors(users=frozenset({"bob"}))}})

    assert differences(before, after)[0].effect is not Effect.STRENGTHEN


def test_a_ruleset_is_told_by_its_name_and_weighed_by_whom_it_binds() -> None:
    off = replace(TIGHT, enforcement="disabled")
    other = replace(TIGHT, rules={"deletion": {}, "non_fast_forward": {}})

    (went,) = differences(told({}, TIGHT), told({}))
    (came,) = differences(told({}), told({}, TIGHT))
    (switched,) = differences(told({}, TIGHT), told({}, off))
    (changed,) = differences(told({}, TIGHT), told({}, other))

    assert (went.about, went.is_ruleset, went.effect, went.after) == ("tight", True, Effect.WEAKEN, None)
    assert (came.effect, came.before) == (Effect.STRENGTHEN, None)
    assert (switched.before, switched.after) == ({"enforcement": "active"}, {"enforcement": "disabled"})
    assert switched.effect is Effect.WEAKEN
    assert (changed.effect, changed.after) == (
        Effect.STRENGTHEN,
        {"rules": {"deletion": {}, "non_fast_forward": {}}},
    )


CHECKED = replace(TIGHT, rules={"required_status_checks": {"required_status_checks": [{"context": "ci"}]}})


@pytest.mark.parametrize(
    ("looser", "effect"),
    [
        (replace(TIGHT, bypassers=(*TIGHT.bypassers, Bypasser("Team", 4, "eve", "always"))), Effect.WEAKEN),
        (replace(TIGHT, include=("refs/heads/main",)), Effect.WEAKEN),
        (replace(TIGHT, exclude=("refs/heads/main",)), Effect.WEAKEN),
        (replace(TIGHT, rules={"creation": {}}), Effect.WEAKEN),
        (replace(TIGHT, name="other"), Effect.NEUTRAL),
    ],
)
def test_a_ruleset_that_lets_more_past_or_asks_for_less_is_weaker(looser: Ruleset, effect: Effect) -> None:
    (changed,) = differences(told({}, TIGHT), told({}, looser))

    assert changed.effect is effect


def test_a_ruleset_whose_rule_asks_for_less_is_weaker_and_one_that_is_off_is_of_no_weight() -> None:
    none = replace(CHECKED, rules={"required_status_checks": {"required_status_checks": []}})
    off = [replace(one, enforcement="evaluate") for one in (CHECKED, none)]

    assert [one.effect for one in differences(told({}, CHECKED), told({}, none))] == [Effect.WEAKEN]
    assert [one.effect for one in differences(told({}, none), told({}, CHECKED))] == [Effect.STRENGTHEN]
    assert [one.effect for one in differences(told({}, off[0]), told({}, off[1]))] == [Effect.NEUTRAL]


def test_what_could_not_be_read_is_never_taken_for_a_change_and_stays_as_it_was_known() -> None:
    before = told({"main": {Field.STRICT: True}}, TIGHT)
    unread = spoken_facts(RepoFacts("acme/rocket", rules=None, rulesets=None))
    partial = told({"main": {Field.STRICT: True}}, replace(TIGHT, is_whole=False))

    assert differences(before, unread) == ()
    assert differences(before, partial) == ()
    assert differences(unread, before) == ()
    assert differences(partial, before) == ()
    assert merged(before, unread) == before
    assert merged(before, partial) == before
    assert merged(unread, before) == before


def test_of_a_ruleset_that_is_not_shown_as_a_whole_it_is_told_what_is_seen_of_it() -> None:
    """An App that may only read is not shown whom a ruleset lets past; that it is off it is shown."""
    hidden = replace(TIGHT, is_whole=False)
    off = replace(hidden, enforcement="disabled")

    told_of = [differences(told({}, one), told({}, off)) for one in (TIGHT, hidden)]

    assert [(one.effect, one.before, one.after) for (one,) in told_of] == [
        (Effect.WEAKEN, {"enforcement": "active"}, {"enforcement": "disabled"})
    ] * 2
    assert differences(told({}, hidden), told({}, TIGHT)) == ()
    (came,) = differences(told({}), told({}, hidden))
    assert came.effect is Effect.STRENGTHEN
    narrower = replace(hidden, include=("refs/heads/main",))
    assert [one.effect for one in differences(told({}, TIGHT), told({}, narrower))] == [Effect.WEAKEN]


def test_of_one_target_alone_it_is_known_how_it_is_now() -> None:
    ours = replace(TIGHT, id=8, name="mergeq: main", owner="acme/rocket")
    before = told({"main": {}, "next": {}}, TIGHT)
    after = told(
        {"main": {Field.STRICT: True}, "next": {Field.STRICT: True}}, replace(TIGHT, enforcement="disabled"), ours
    )

    known = patched(before, after, MAIN)

    assert [one.about for one in differences(known, after)] == ["next", "tight"]
    assert [one.about for one in differences(patched(known, told({"next": {}}, TIGHT), MAIN), before)] == ["main"]
    assert patched(before, spoken_facts(RepoFacts("acme/rocket", rules=None, rulesets=None)), MAIN) == before


def test_a_difference_is_of_the_target_whose_rule_or_ruleset_it_is() -> None:
    (ours,) = differences(told({}), told({}, replace(TIGHT, name="mergeq: main")))
    (rule,) = differences(told({}), told({"main": {}}))
    (other,) = differences(told({}), told({}, TIGHT))

    assert [ours.is_of(MAIN), rule.is_of(MAIN), other.is_of(MAIN)] == [True, True, False]


# What is left alone


def test_one_failure_alone_leaves_nothing_alone() -> None:
    parked = Parked("no effect", difference_of(ITEM))

    assert not parked.holds(ITEM, WISH, 0.0)
    assert replace(parked, strikes=2).holds(ITEM, WISH, 0.0)


def test_it_ends_with_its_time_or_when_what_differs_is_another() -> None:
    parked = Parked("no effect", difference_of(ITEM), strikes=2, until=100.0)
    other = replace(ITEM, changes=(replace(STRICT, after=False),))

    assert parked.holds(ITEM, WISH, 99.0)
    assert not parked.holds(ITEM, WISH, 100.0)
    assert not parked.holds(other, WISH, 99.0)


def test_what_was_rolled_back_is_left_alone_whatever_happens_to_the_live_rule() -> None:
    parked = Parked("rolled back", wish_of(WISH), strikes=2)
    other = replace(ITEM, changes=(replace(STRICT, before=None),))

    assert parked.holds(other, WISH, 1e12)
    assert not parked.holds(ITEM, replace(WISH, values={Field.STRICT: False}), 0.0)


# What is kept


def test_an_item_is_heard_as_it_was_spoken() -> None:
    values: dict[Field, Value] = {
        **OFF,
        Field.CONTEXTS: CI,
        Field.PUSHERS: Actors(frozenset({"ana"}), frozenset({"admins"}), frozenset({"bot"})),
        Field.DEPLOYMENTS: frozenset({"prod"}),
        Field.REVIEWS: 2,
    }
    contexts = Change(Field.CONTEXTS, None, CI, Effect.STRENGTHEN)
    whole = Item(
        Target("acme/rocket", "a:b"),
        Kind.UPDATE,
        Backend.RULESET,
        (contexts, STRICT),
        values,
        "7",
        Cause.DRIFT,
        "GitHub has it otherwise",
        "p.yaml:3",
        {Field.STRICT: (Source("acme", "p.yaml:4"),)},
        ("it matches no branch",),
        Mode.ENFORCE,
        ("rel-1",),
    )

    assert heard_item(spoken_item(whole)) == whole
    assert heard_item(spoken_item(Item(MAIN, Kind.NOTHING))) == Item(MAIN, Kind.NOTHING)
    assert heard_values(spoken_values(values)) == values
    assert whole.hash != replace(whole, before=OFF).hash


def test_a_row_names_its_repository() -> None:
    assert AuditRecord("1", 0.0, "", "acme/rocket:main", Result.SEEN).repo == "acme/rocket"
    assert AuditRecord("1", 0.0, "", "acme/rocket", Result.SEEN).repo == "acme/rocket"
