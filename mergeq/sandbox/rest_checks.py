"""REST endpoints of commit statuses and check runs."""

from __future__ import annotations

from flask import jsonify

from mergeq.sandbox import checks, outages
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.policy import ContextVerdict, status_verdict
from mergeq.sandbox.records import App, CheckConclusion, CheckStatus, CheckSuite, Repo, Status, StatusState
from mergeq.sandbox.refusals import RefusedError, not_found
from mergeq.sandbox.rest import Answer, body, changer, chosen, endpoint, paged, parameters, required, the_repo, writer
from mergeq.sandbox.rest_repos import commit_sha
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.site import caller, shapes, world

_REPO = "/repos/<owner>/<repo>"


@endpoint("POST", f"{_REPO}/statuses/<sha>")
def _post_status(owner: str, repo: str, sha: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("state", "target_url", "description", "context")
    outage = world().faults.fires(FaultId.STATUS_5XX, found.full_name)
    if outage is not None:
        return outages.broken(outage)
    state = chosen(required(fields, "Status", "state"), tuple(StatusState), "Status", "state")
    report = checks.StatusReport(
        fields.get("context") or "default",
        StatusState(state),
        fields.get("description"),
        fields.get("target_url") or None,
    )
    return jsonify(shapes().status(found, checks.post_status(world(), found, sha, report, by))), 201


@endpoint("GET", f"{_REPO}/commits/<path:ref>/statuses")
def _statuses(owner: str, repo: str, ref: str) -> Answer:
    """Everything ever posted, newest first."""
    found = the_repo(owner, repo)
    parameters()
    posted = found.statuses.get(commit_sha(found, ref), [])
    shown = shapes()
    return paged(posted[::-1], lambda status: shown.status(found, status))


@endpoint("GET", f"{_REPO}/commits/<path:ref>/status")
def _combined(owner: str, repo: str, ref: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    sha = commit_sha(found, ref)
    shown = shapes()
    latest = found.latest_statuses(sha)
    url = f"{shown.repo_api(found)}/commits/{sha}"
    return paged(
        latest,
        lambda status: shown.status(found, status, with_creator=False),
        "statuses",
        state=combined_state(latest),
        sha=sha,
        repository=shown.minimal_repo(found),
        commit_url=url,
        url=f"{url}/status",
    )


def combined_state(statuses: tuple[Status, ...]) -> StatusState:
    """Failure if anything failed; pending if anything is, or if there is nothing."""
    verdicts = {status_verdict(status) for status in statuses}
    if ContextVerdict.FAILING in verdicts:
        return StatusState.FAILURE
    return StatusState.SUCCESS if verdicts == {ContextVerdict.PASSING} else StatusState.PENDING


@endpoint("GET", f"{_REPO}/commits/<path:ref>/check-runs")
def _check_runs(owner: str, repo: str, ref: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("check_name", "status", "filter", "app_id")
    sha = commit_sha(found, ref)
    everything = tuple(run for suite in found.suites.get(sha, ()) for run in suite.runs)
    runs = everything if asked.get("filter") == "all" else found.latest_runs(sha)
    runs = tuple(
        run
        for run in runs
        if asked.get("check_name") in (None, run.name)
        and asked.get("status") in (None, run.status)
        and asked.get("app_id") in (None, str(run.suite.app.id))
    )
    shown = shapes()
    return paged(runs, lambda run: shown.check_run(found, run), "check_runs")


@endpoint("GET", f"{_REPO}/commits/<path:ref>/check-suites")
def _suites(owner: str, repo: str, ref: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("check_name", "app_id")
    suites = [
        suite
        for suite in found.suites.get(commit_sha(found, ref), ())
        if asked.get("app_id") in (None, str(suite.app.id))
        and ("check_name" not in asked or asked["check_name"] in {run.name for run in suite.runs})
    ]
    shown = shapes()
    return paged(suites, lambda suite: _suite_shape(shown, found, suite), "check_suites")


def _suite_shape(shown: Shapes, repo: Repo, suite: CheckSuite) -> Json:
    return shown.check_suite(repo, suite) | {"repository": shown.minimal_repo(repo)}


def _the_suite(repo: Repo, suite_id: int) -> CheckSuite:
    suite = checks.find_suite(repo, suite_id)
    if suite is None:
        raise not_found()
    return suite


@endpoint("GET", f"{_REPO}/check-suites/<int:check_suite_id>")
def _suite(owner: str, repo: str, check_suite_id: int) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    return jsonify(_suite_shape(shapes(), found, _the_suite(found, check_suite_id)))


@endpoint("GET", f"{_REPO}/check-suites/<int:check_suite_id>/check-runs")
def _runs_of_suite(owner: str, repo: str, check_suite_id: int) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("filter")
    suite, shown = _the_suite(found, check_suite_id), shapes()
    runs = suite.runs if asked.get("filter") == "all" else suite.latest
    return paged(runs, lambda run: shown.check_run(found, run), "check_runs")


@endpoint("GET", f"{_REPO}/check-runs/<int:check_run_id>")
def _run(owner: str, repo: str, check_run_id: int) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    run = checks.find_run(found, check_run_id)
    if run is None:
        raise not_found()
    return jsonify(shapes().check_run(found, run))


@endpoint("POST", f"{_REPO}/check-runs")
def _start_run(owner: str, repo: str) -> Answer:
    """Started in the name of the App whose token asks."""
    found = the_repo(owner, repo)
    reporter = _reporter(found)
    fields = body("name", "head_sha", *_RUN_FIELDS)
    name, sha = required(fields, "CheckRun", "name"), required(fields, "CheckRun", "head_sha")
    run = checks.start_run(world(), found, sha, name, reporter, _report(fields, CheckStatus.QUEUED))
    return jsonify(shapes().check_run(found, run)), 201


@endpoint("PATCH", f"{_REPO}/check-runs/<int:check_run_id>")
def _update_run(owner: str, repo: str, check_run_id: int) -> Answer:
    found: Repo = the_repo(owner, repo)
    reporter = _reporter(found)
    fields = body(*_RUN_FIELDS)
    run = checks.find_run(found, check_run_id)
    if run is None:
        raise not_found()
    if run.suite.app != reporter:
        only = "check run can only be modified by the GitHub App that created it."
        raise RefusedError(403, f"Invalid app_id `{reporter.id}` - {only}")
    return jsonify(shapes().check_run(found, checks.update_run(world(), found, run, _report(fields, run.status))))


def _reporter(found: Repo) -> App:
    """The App in whose name a check run is reported; raises RefusedError 403 for people, whatever they may."""
    changer(found)
    registered = world().registry.registration(caller().app or 0)
    if registered is None:
        raise RefusedError(403, "You must authenticate via a GitHub App.")
    return registered.app


@endpoint("GET", f"{_REPO}/actions/runs")
def _actions_runs(owner: str, repo: str) -> Answer:
    """Always none: the sandbox's CI reports check runs and statuses, but is not GitHub Actions."""
    the_repo(owner, repo)
    parameters("actor", "branch", "event", "status", "created", "exclude_pull_requests", "check_suite_id", "head_sha")
    return paged((), dict, "workflow_runs")


@endpoint("POST", f"{_REPO}/actions/runs/<int:run_id>/cancel")
def _cancel(owner: str, repo: str, run_id: int) -> Answer:
    """End a run of the sandbox's CI; its number stands at the end of the details it links to."""
    writer(the_repo(owner, repo))
    if not world().ci.cancel(run_id):
        raise RefusedError(409, "Cannot cancel a workflow run that is completed.")
    return jsonify({}), 202


_RUN_FIELDS = ("status", "conclusion", "details_url", "external_id", "output")


def _report(fields: Json, default: CheckStatus) -> checks.RunReport:
    status = chosen(fields.get("status") or default, tuple(CheckStatus), "CheckRun", "status")
    conclusion = fields.get("conclusion")
    if conclusion is not None:
        chosen(conclusion, tuple(CheckConclusion), "CheckRun", "conclusion")
    output = fields.get("output") or {}
    return checks.RunReport(
        CheckStatus(status),
        CheckConclusion(conclusion) if conclusion else None,
        details_url=fields.get("details_url"),
        external_id=fields.get("external_id"),
        title=output.get("title"),
        summary=output.get("summary"),
    )
