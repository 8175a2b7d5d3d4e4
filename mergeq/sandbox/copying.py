"""A repository once more under another name: what makes an organization large cheaply."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mergeq.sandbox import mergeability
from mergeq.sandbox.records import CheckSuite, Issue, Pull, Repo

if TYPE_CHECKING:
    from mergeq.sandbox.world import World


def copy(world: World, source: Repo, full_name: str) -> Repo:
    """A repository with all that is on another: refs, issues, pull requests from its own branches, what is reported.

    Each has its own git repository, which finds the objects of the source where they are: the source must stay. Nothing
    is announced: it was always there. Whether a pull request can be merged is unknown there as yet.
    """
    made = world.register(full_name, source.default_branch, like=source)
    made.allowed, made.settings, made.ci = source.allowed, source.settings, source.ci
    made.private, made.last_number = source.private, source.last_number
    made.labels, made.milestones = dict(source.labels), [*source.milestones]
    made.protections = dict(source.protections)
    made.pulls = {
        pull.number: _pull(world, made, pull) for pull in source.pulls.values() if not pull.is_cross_repository
    }
    made.issues = {number: _issue(world, made, issue) for number, issue in source.issues.items()}
    made.statuses = {sha: [*statuses] for sha, statuses in source.statuses.items()}
    made.suites = {sha: [_suite(world, made, suite) for suite in suites] for sha, suites in source.suites.items()}
    return made


def _pull(world: World, repo: Repo, pull: Pull) -> Pull:
    made = replace(
        pull,
        id=world.next_id(),
        repo=repo.full_name,
        head_repo=repo.full_name,
        labels=[*pull.labels],
        comments=[*pull.comments],
        reviews=[*pull.reviews],
        timeline=[*pull.timeline],
        threads=[replace(thread) for thread in pull.threads],
    )
    mergeability.forget(made)
    return made


def _issue(world: World, repo: Repo, issue: Issue) -> Issue:
    labels, comments = [*issue.labels], [*issue.comments]
    return replace(issue, id=world.next_id(), repo=repo.full_name, labels=labels, comments=comments)


def _suite(world: World, repo: Repo, suite: CheckSuite) -> CheckSuite:
    made = replace(suite, id=world.next_id(), repo=repo.full_name, runs=[])
    made.runs += [replace(run, id=world.next_id(), suite=made) for run in suite.runs]
    return made
