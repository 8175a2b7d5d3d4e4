"""Rules that are put into the words of the configuration: read again, nothing is to be done about them (P6.13)."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mergeq.config import load_texts
from mergeq.core.factoring import factored
from mergeq.core.planning import plan
from mergeq.core.protection import ANY_APP, NOBODY, Actors, Check, Kind, Plan, RepoFacts, Rule
from tests.core.protected import PATTERNS, rule, rule_values
from tests.core.trials import trials

BOTH = {"required_approving_review_count": 1}
REVIEWED = {"required_pull_request_reviews": BOTH}
CORE = Actors(users=frozenset({"ana"}), teams=frozenset({"core"}), apps=frozenset({"bot"}))


def read_again(document: Mapping[str, Any], rules: Mapping[str, tuple[Rule, ...]]) -> Plan:
    """The plan that follows from a document, for repositories that have just these rules."""
    configuration = load_texts([("import.yaml", json.dumps(document), True)], "import.yaml")
    facts = {
        name: RepoFacts(name, found, branches=frozenset({*PATTERNS, "other"}), default_branch="other")
        for name, found in rules.items()
    }
    return plan((wish for one in facts.values() for wish in configuration.wishes(one, 0.0)), facts)


def test_one_rule_stands_with_its_branch() -> None:
    assert factored({"acme/rocket": [rule(REVIEWS=1)]}) == {
        "branch-protection": {
            "orgs": {"acme": {"repos": {"rocket": {"branches": {"main": {"protect": True, **REVIEWED}}}}}}
        }
    }


def test_what_all_rules_have_in_common_stands_once_and_only_branches_are_protected() -> None:
    document = factored(
        {"acme/a": [rule(REVIEWS=1, LINEAR=True)], "acme/b": [rule(REVIEWS=1), rule("next", REVIEWS=1)]}
    )

    assert document["branch-protection"]["orgs"]["acme"] == {
        "repos": {
            "a": {"branches": {"main": {"protect": True, "required_linear_history": True, **REVIEWED}}},
            "b": {**REVIEWED, "branches": {"main": {"protect": True}, "next": {"protect": True}}},
        }
    }


def test_what_all_repositories_have_in_common_stands_with_the_organization() -> None:
    of_two = [rule(REVIEWS=1), rule("next", 2, REVIEWS=1)]

    document = factored({"acme/a": of_two, "acme/b": of_two, "other/c": [rule(REVIEWS=1), rule("next", 2, REVIEWS=2)]})

    assert document["branch-protection"]["orgs"]["acme"]["required_pull_request_reviews"] == BOTH
    assert document["branch-protection"]["orgs"]["acme"]["repos"]["a"] == {
        "branches": {"main": {"protect": True}, "next": {"protect": True}}
    }
    assert document["branch-protection"]["orgs"]["other"]["repos"]["c"].keys() == {"branches"}


def test_of_lists_goes_upward_what_each_has() -> None:
    """P2.3: nothing narrower could take it away."""
    lint = frozenset({Check("lint", ANY_APP)})
    both = lint | {Check("build", "actions")}

    document = factored({"acme/a": [rule(CONTEXTS=both), rule("next", 2, CONTEXTS=lint)]})

    assert document["branch-protection"]["orgs"]["acme"]["repos"]["a"] == {
        "required_status_checks": {"contexts": ["lint"]},
        "branches": {
            "main": {"protect": True, "required_status_checks": {"contexts": ["build"]}},
            "next": {"protect": True},
        },
    }
    assert document["mergeq"]["protection"]["orgs"]["acme"]["repos"]["a"] == {
        "branches": {"main": {"checks": [{"context": "build", "app": "actions"}]}}
    }


def test_a_pattern_stands_in_our_section_with_all_its_fields() -> None:
    document = factored({"acme/a": [rule("release-*", ENFORCE_ADMINS=True, LOCK=True)]})

    assert document == {
        "mergeq": {
            "protection": {
                "orgs": {
                    "acme": {
                        "repos": {
                            "a": {
                                "patterns": {
                                    "release-*": {"protect": True, "enforce_admins": True, "lock_branch": True}
                                }
                            }
                        }
                    }
                }
            }
        }
    }


def test_a_rule_for_a_branch_that_is_not_there_yet_stands_among_the_patterns() -> None:
    """P2.11: under `branches` it would ask for nothing."""
    rules = [rule(LOCK=True), rule("next", 2, LOCK=True)]

    document = factored({"acme/a": rules}, branches={"acme/a": frozenset({"main"})})

    assert document["branch-protection"]["orgs"]["acme"]["repos"]["a"] == {"branches": {"main": {"protect": True}}}
    assert document["mergeq"]["protection"]["orgs"]["acme"]["repos"]["a"] == {
        "lock_branch": True,
        "patterns": {"next": {"protect": True}},
    }


def test_lists_of_people_are_said_even_where_nobody_is_named() -> None:
    document = factored({"acme/a": [rule(REVIEWS=0, DISMISSERS=NOBODY, PUSHERS=CORE, FORCERS=CORE)]})

    assert document["branch-protection"]["orgs"]["acme"]["repos"]["a"]["branches"]["main"] == {
        "protect": True,
        "required_pull_request_reviews": {"required_approving_review_count": 0, "dismissal_restrictions": {}},
        "restrictions": {"users": ["ana"], "teams": ["core"]},
    }
    assert document["mergeq"]["protection"]["orgs"]["acme"]["repos"]["a"]["branches"]["main"] == {
        "bypass_force_push_allowances": {"users": ["ana"], "teams": ["core"], "apps": ["bot"]}
    }


def test_deployments_that_are_asked_for_stand_in_our_section() -> None:
    document = factored({"acme/a": [rule(DEPLOYMENTS=frozenset({"staging", "production"}))]})

    assert document["mergeq"]["protection"]["orgs"]["acme"]["repos"]["a"]["branches"]["main"] == {
        "required_deployments": ["production", "staging"]
    }


def test_rules_on_staging_refs_are_left_out_and_an_empty_organization_says_nothing() -> None:
    assert factored({"acme/a": [rule("mergeq/*"), rule("**/*")], "acme/b": []}, ("mergeq/",)) == {}


worlds = st.dictionaries(
    st.sampled_from(["acme/a", "acme/b", "other/c"]),
    st.dictionaries(st.sampled_from(PATTERNS), st.tuples(rule_values, st.integers(1, 9)), max_size=3).map(
        lambda drawn: tuple(Rule(name, name, found, serial) for name, (found, serial) in drawn.items())
    ),
    max_size=3,
)


@given(worlds)
@trials(30)
def test_read_again_there_is_nothing_to_do(world: dict[str, tuple[Rule, ...]]) -> None:
    found = read_again(factored(world), world)

    assert found.writes == ()
    assert {item.kind for item in found.items} <= {Kind.NOTHING}
    assert {str(item.target) for item in found.items} == {
        f"{name}:{one.pattern}" for name in world for one in world[name]
    }


@given(worlds)
@trials(15)
def test_the_order_of_rules_and_repositories_does_not_matter(world: dict[str, tuple[Rule, ...]]) -> None:
    backwards = {name: world[name][::-1] for name in reversed(world)}

    assert json.dumps(factored(backwards)) == json.dumps(factored(world))
