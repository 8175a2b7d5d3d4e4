"""Posting commit statuses and check runs, with GitHub's limits and the events each sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.records import (
    App,
    CheckConclusion,
    CheckRun,
    CheckStatus,
    CheckSuite,
    Repo,
    Status,
    StatusState,
)
from mergeq.sandbox.refusals import RefusedError, invalid

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

MAX_DESCRIPTION = 140
MAX_STATUSES = 1000
_MAX_BRANCHES = 10
_LAST_BMP = 0xFFFF


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What somebody says of a commit."""

    context: str
    state: StatusState
    description: str | None = None
    target_url: str | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What an App says of a check run; None leaves a text as it was."""

    status: CheckStatus
    conclusion: CheckConclusion | None = None
    details_url: str | None = None
    external_id: str | None = None
    title: str | None = None
    summary: str | None = None


def post_status(world: World, repo: Repo, sha: str, report: StatusReport, by: str) -> Status:
    """Add a status to a commit of any branch; raises RefusedError 422 in GitHub's words."""
    _require_commit(repo, sha)
    _check_report(report)
    posted = repo.statuses.setdefault(sha, [])
    if sum(s.context.casefold() == report.context.casefold() for s in posted) >= MAX_STATUSES:
        raise invalid("Status", "This SHA and context has reached the maximum number of statuses.")
    status = Status(
        id=world.next_id(),
        sha=sha,
        context=report.context,
        state=report.state,
        description=report.description,
        target_url=report.target_url,
        creator=by,
        created_at=world.now(),
        app_id=world.app_id_of(by),
    )

    def arrives() -> None:
        posted.append(status)
        world.wake_auto_merges(repo)

    late = world.faults.fires(FaultId.READ_LAG, repo.full_name, when=_of_checks)
    if late is None:
        arrives()
    else:
        world.clock.call_later(late.delay_s, world.activity.tracked(arrives))
    if world.webhooks.wanted("status", repo.full_name):
        _announce_status(world, repo, status, by)
    return status


def _check_report(report: StatusReport) -> None:
    text = report.description or ""
    if len(text) > MAX_DESCRIPTION:
        raise invalid("Status", f"description is too long (maximum is {MAX_DESCRIPTION} characters)", "description")
    if any(ord(character) > _LAST_BMP for character in text):
        raise invalid("Status", "description doesn't accept 4-byte Unicode", "description")
    if report.target_url and urlsplit(report.target_url).scheme not in ("http", "https"):
        raise invalid("Status", "target_url must use http(s) scheme", "target_url")


def _require_commit(repo: Repo, sha: str) -> None:
    try:
        repo.git.commit(sha)
    except GitError as error:
        raise RefusedError(422, f"No commit found for SHA: {sha}") from error


def _announce_status(world: World, repo: Repo, status: Status, by: str) -> None:
    shapes = world.shapes()
    here = [(name, tip) for name, tip in repo.git.branches().items() if tip == status.sha]
    body = shapes.status(repo, status, with_creator=False)
    kept = ("id", "state", "description", "target_url", "context", "created_at", "updated_at", "avatar_url")
    whole = {name: body[name] for name in kept} | {
        "sha": status.sha,
        "name": repo.full_name,
        "commit": shapes.commit(repo, repo.git.commit(status.sha)),
        "branches": [shapes.short_branch(repo, name, tip) for name, tip in here[:_MAX_BRANCHES]],
    }
    world.emit("status", repo, whole, by=by)


def report_run(world: World, repo: Repo, sha: str, name: str, app: App, report: RunReport) -> CheckRun:
    """Continue the app's unfinished run of that name on a commit, or start one that supersedes the last."""
    _require_commit(repo, sha)
    suite = _suite(world, repo, sha, app)
    run = next((r for r in suite.latest if r.name == name and r.status is not CheckStatus.COMPLETED), None)
    return start_run(world, repo, sha, name, app, report) if run is None else update_run(world, repo, run, report)


def start_run(world: World, repo: Repo, sha: str, name: str, app: App, report: RunReport) -> CheckRun:
    """A new check run, even if one of that name is under way."""
    _require_commit(repo, sha)
    run = CheckRun(world.next_id(), _suite(world, repo, sha, app), name, CheckStatus.QUEUED, None, world.now())
    run.suite.runs.append(run)
    _apply(world, run, report)
    _announce_run(world, repo, run, "created")
    if run.status is CheckStatus.COMPLETED:
        _announce_run(world, repo, run, "completed")
    return run


def update_run(world: World, repo: Repo, run: CheckRun, report: RunReport) -> CheckRun:
    """Change a run; completing it is announced once."""
    was_completed = run.status is CheckStatus.COMPLETED
    late = world.faults.fires(FaultId.READ_LAG, repo.full_name, when=_of_checks)
    before = run.status, run.conclusion, run.completed_at
    _apply(world, run, report)
    if run.status is CheckStatus.COMPLETED and not was_completed:
        _announce_run(world, repo, run, "completed")
    if late is not None:
        run.status, run.conclusion, run.completed_at = before
        world.clock.call_later(late.delay_s, world.activity.tracked(lambda: _apply(world, run, report)))
    return run


def recent_app(repo: Repo, context: str) -> int | None:
    """The app that reported this name last: GitHub pins a check to it unless told otherwise."""
    name = context.casefold()
    suites = (suite for suites in repo.suites.values() for suite in suites)
    reports = [(run.id, run.suite.app.id) for suite in suites for run in suite.runs if run.name.casefold() == name]
    statuses = (status for statuses in repo.statuses.values() for status in statuses)
    reports += [(s.id, s.app_id) for s in statuses if s.app_id is not None and s.context.casefold() == name]
    return max(reports)[1] if reports else None


def find_run(repo: Repo, run_id: int) -> CheckRun | None:
    """A check run by its id."""
    runs = (run for suites in repo.suites.values() for suite in suites for run in suite.runs)
    return next((run for run in runs if run.id == run_id), None)


def find_suite(repo: Repo, suite_id: int) -> CheckSuite | None:
    """A check suite by its id."""
    return next((suite for suites in repo.suites.values() for suite in suites if suite.id == suite_id), None)


def _suite(world: World, repo: Repo, sha: str, app: App) -> CheckSuite:
    """The App's newest suite."""
    suites = (suite for suite in reversed(repo.suites.get(sha, [])) if suite.app == app)
    return next(suites, None) or open_suite(world, repo, sha, app)


def open_suite(world: World, repo: Repo, sha: str, app: App) -> CheckSuite:
    """Another suite of an App on a commit, as another event on it brings (Q35)."""
    suite = CheckSuite(world.next_id(), repo.full_name, app, sha, world.now())
    repo.suites.setdefault(sha, []).append(suite)
    return suite


def _apply(world: World, run: CheckRun, report: RunReport) -> None:
    completed = report.status is CheckStatus.COMPLETED or report.conclusion is not None
    if completed and report.conclusion is None:
        raise invalid("CheckRun", "conclusion is required when status is completed", "conclusion")
    run.status = CheckStatus.COMPLETED if completed else report.status
    run.conclusion = report.conclusion
    run.completed_at = world.now() if completed else None
    world.wake_auto_merges(world.repo(run.suite.repo))
    for name in ("details_url", "external_id", "title", "summary"):
        value = getattr(report, name)
        if value is not None:
            setattr(run, name, value)


def _announce_run(world: World, repo: Repo, run: CheckRun, action: str) -> None:
    if world.webhooks.wanted("check_run", repo.full_name):
        shape = world.shapes().check_run(repo, run)
        world.emit("check_run", repo, {"action": action, "check_run": shape}, by=_reporter(run))
    done = action == "completed" and run.suite.status is CheckStatus.COMPLETED
    if done and world.webhooks.wanted("check_suite", repo.full_name):
        suite = world.shapes().check_suite(repo, run.suite)
        world.emit("check_suite", repo, {"action": "completed", "check_suite": suite}, by=_reporter(run))


def _of_checks(lag: Fault) -> bool:
    return bool(lag.args.get("checks"))


def _reporter(run: CheckRun) -> str:
    """Who a check run is by: the App's bot."""
    return f"{run.suite.app.slug}[bot]"
