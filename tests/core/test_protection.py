"""Values of protection as JSON and back, and actors by the names that people write."""

import json

from hypothesis import given

from mergeq.core.protecting import Exemption
from mergeq.core.protection import Actors, Values, actors, heard_values, spoken_values
from tests.core.protected import rule_values
from tests.core.trials import trials


@given(rule_values)
@trials(50)
def test_what_is_spoken_as_json_is_heard_as_it_was(values: Values) -> None:
    assert heard_values(json.loads(json.dumps(spoken_values(values)))) == values


def test_actors_are_named_as_people_write_them() -> None:
    """P4.19, E147."""
    assert actors(["@Ana", "bo"], ["acme/Core", "ops"], ["Bot"]) == Actors(
        frozenset({"ana", "bo"}), frozenset({"core", "ops"}), frozenset({"bot"})
    )


def test_the_login_of_a_bot_names_its_app() -> None:
    assert actors(["jo", "@Kubernetes-Prow[bot]"]) == Actors(frozenset({"jo"}), apps=frozenset({"kubernetes-prow"}))


def test_an_exemption_is_about_the_branches_of_a_repository_and_does_not_hold_at_its_end_any_more() -> None:
    """P7.11."""
    exemption = Exemption("rel-1", "acme/rocket:release-*", until=100.0, owner="jo", reason="hotfix")

    assert (exemption.repo, exemption.glob) == ("acme/rocket", "release-*")
    assert [exemption.is_in_force(now) for now in (99.9, 100.0)] == [True, False]
