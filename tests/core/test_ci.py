"""What is said to whoever runs CI when a context stays away."""

import pytest

from mergeq.core.ci import listening, missing_ci
from mergeq.core.queue import StagingValues, Trigger, TriggerKind

PUSH = StagingValues(prefix="queue/")
DISPATCH = StagingValues(trigger=Trigger(TriggerKind.REPOSITORY_DISPATCH, "stage"))
EVENTS = StagingValues(
    trigger=Trigger(TriggerKind.CLOUDEVENTS, url="https://ci.test/in?key=hidden", secret_env="MERGEQ_SECRET_CI")
)
ACTIONS = {"unit": "github-actions", "lint": "github-actions"}


@pytest.mark.parametrize(
    ("staging", "apps", "said"),
    [
        (PUSH, ACTIONS, "add `push: {branches: ['queue/**']}` under `on:` of the workflow that reports unit"),
        (PUSH, {"unit": "any"}, "have whatever reports unit build pushes to queue/** and report on the commit"),
        (
            PUSH,
            {"unit": "buildkite"},
            "have buildkite, which reports unit, build pushes to queue/** and report on the commit",
        ),
        (
            DISPATCH,
            ACTIONS,
            (
                "Actions reports what a dispatch started on the default branch alone: have the workflow set unit as a "
                "commit status of `client_payload.sha`, with `repository_dispatch: {types: [stage]}` under its `on:`"
            ),
        ),
        (
            DISPATCH,
            {"unit": None},
            "have whatever reports unit run on repository_dispatch stage and report on the commit `client_payload.sha`",
        ),
        (
            EVENTS,
            ACTIONS,
            (
                "have the receiver of https://ci.test/in start github-actions, which reports unit, and report on the "
                "commit `sha` of the event"
            ),
        ),
    ],
)
def test_the_remedy_follows_from_how_ci_is_told_and_who_reports(
    staging: StagingValues, apps: dict[str, str | None], said: str
) -> None:
    assert missing_ci(["unit"], staging, apps) == said


def test_contexts_of_one_source_share_a_remedy_and_each_source_has_its_own() -> None:
    assert missing_ci(["unit", "lint", "e2e", "unit"], PUSH, ACTIONS) == (
        "have whatever reports e2e build pushes to queue/** and report on the commit; "
        "add `push: {branches: ['queue/**']}` under `on:` of the workflow that reports lint, unit"
    )
    assert missing_ci([], PUSH, ACTIONS) == ""


def test_a_head_is_tested_as_a_pull_request_however_staged_commits_are() -> None:
    assert missing_ci(["unit"], DISPATCH, {}, on_head=True) == "have whatever reports unit run on pull requests"


def test_what_a_workflow_listens_to_is_the_push_unless_it_is_dispatched() -> None:
    assert listening(EVENTS) == "push: {branches: ['mergeq/**']}"
    assert listening(DISPATCH) == "repository_dispatch: {types: [stage]}"
