"""GitHub's rulesets are kept beside classic protection, by a token that could pass them by."""

from typing import Any

import pytest

from mergeq.core.pull import Branch, Protection
from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Pull
from tests.conftest import READY, Mergeq
from tests.shell.test_landing import hits, status_of

ADMINS = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}


def by_pull(**parameters: Any) -> dict[str, Any]:
    asked = {
        "required_approving_review_count": 0,
        "dismiss_stale_reviews_on_push": False,
        "require_code_owner_review": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
        **parameters,
    }
    return {"type": "pull_request", "parameters": asked}


def checks(*contexts: dict[str, Any], strict: bool = False) -> dict[str, Any]:
    parameters = {"required_status_checks": list(contexts), "strict_required_status_checks_policy": strict}
    return {"type": "required_status_checks", "parameters": parameters}


def ready(github: Sandbox) -> Pull:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    return pull


@pytest.mark.parametrize("source", ["acme/rocket", "acme"])
@pytest.mark.parametrize(
    ("rule", "said"),
    [
        pytest.param(
            by_pull(required_approving_review_count=1), "Protection requires approving reviews.", id="reviews"
        ),
        pytest.param(checks({"context": "e2e"}), "Job e2e has not succeeded.", id="a context"),
        pytest.param(
            checks({"context": "ci/test"}, strict=True),
            "Protection requires it to be up to date with main.",
            id="strict",
        ),
        pytest.param(
            {"type": "required_linear_history"},
            "Protection requires a linear history, which merge would break.",
            id="linear history",
        ),
        pytest.param(
            by_pull(allowed_merge_methods=["squash"]), 'Merge type "merge" disallowed by repo settings', id="methods"
        ),
    ],
)
def test_a_ruleset_is_kept_as_if_there_were_no_way_round_it(
    github: Sandbox, mergeq: Mergeq, rule: dict[str, Any], said: str, source: str
) -> None:
    """D19, Q49: of the repository and of its organization, with a bypass that the token has."""
    pull = ready(github)
    github.world.add_ruleset(source, rules=[rule], bypass=[ADMINS])
    github.settle()

    mergeq.sweep_and_work(2)

    assert pull.is_open
    assert status_of(github, "acme/rocket", pull.head_sha)[1] == f"Not mergeable. {said}"
    assert hits(github, "/merge") == 0


def test_both_layers_are_kept_at_once(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github)
    github.world.protect("acme/rocket", "main", required_contexts=["lint"])
    github.world.add_ruleset("acme/rocket", rules=[checks({"context": "e2e"})])
    github.settle()

    mergeq.sweep_and_work(2)

    assert status_of(github, "acme/rocket", pull.head_sha)[1] == "Not mergeable. Jobs e2e, lint have not succeeded."


@pytest.mark.parametrize("enforcement", ["evaluate", "disabled"])
def test_a_ruleset_that_is_not_in_force_keeps_nothing_out(github: Sandbox, mergeq: Mergeq, enforcement: str) -> None:
    pull = ready(github)
    github.world.add_ruleset("acme/rocket", rules=[checks({"context": "e2e"})], enforcement=enforcement)
    github.settle()

    mergeq.sweep_and_work(2)

    assert not pull.is_open


def test_a_ruleset_that_is_met_lands(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github)
    github.world.add_ruleset("acme/rocket", rules=[by_pull(), checks({"context": "ci/test"})])
    github.settle()

    mergeq.sweep_and_work(2)

    assert not pull.is_open


@pytest.mark.parametrize(("app", "lands"), [("ci-app", True), ("elsewhere", False)])
def test_a_context_has_to_come_from_the_app_that_the_ruleset_names(
    github: Sandbox, mergeq: Mergeq, app: str, lands: bool
) -> None:
    """D18: anybody may report under a name."""
    wanted = {"context": "build", "integration_id": github.world.app("ci-app").id}
    pull = ready(github)
    github.world.set_check_run("acme/rocket", pull.head_sha, name="build", app=app, conclusion="success")
    github.world.add_ruleset("acme/rocket", rules=[checks(wanted)], bypass=[ADMINS])
    github.settle()

    mergeq.sweep_and_work(2)

    assert pull.is_open is not lands


def test_the_states_of_many_branches_are_read_in_one_call(github: Sandbox, mergeq: Mergeq) -> None:
    """P7.14: both layers at once, and what is not there spoils nothing else."""
    for name in ("acme/launchpad", "acme/tower"):
        github.world.create_repo(name, files={"README.md": "x"})
    github.world.protect("acme/rocket", "main", required_contexts=["lint"], required_reviews=1)
    github.world.add_ruleset("acme/rocket", rules=[checks({"context": "e2e"}, strict=True)])
    github.world.add_ruleset("acme/launchpad", rules=[{"type": "required_linear_history"}])
    rocket, launchpad, tower, gone, nowhere = (
        Branch.parse(f"acme/{name}") for name in ("rocket:main", "launchpad:main", "tower:main", "tower:x", "none:main")
    )

    states = mergeq.services.github.states([tower, rocket, launchpad, gone])
    read = {branch: look and look.state.protection for branch, look in states.items()}

    assert read == {
        rocket: Protection(required=(("lint", None), ("e2e", None)), reviews=True, up_to_date=True, by_pull=True),
        launchpad: Protection(linear_history=True),
        tower: Protection(),
        gone: None,
    }
    assert hits(github, "graphql") == 1
    assert mergeq.services.github.states([nowhere, rocket])[rocket] == states[rocket]
    assert mergeq.services.github.states([nowhere]) == {nowhere: None}
