"""The pages and their JSON twins: the queue, the history, one pull request, health, metrics."""

import json
import re
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, redirect, render_template, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from werkzeug.wrappers import Response as AnyResponse

from mergeq.bootstrap import Services
from mergeq.core.history import HistoryRecord
from mergeq.core.pull import Branch
from mergeq.store import SavedPool
from mergeq.web import views

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_HISTORY_ROWS = 500
_HELP = {
    "pooledprs": "Pull requests in the pool at the last sync.",
    "updatetime": "Unix time of the last sync of the pool.",
    "merges": "Pull requests merged.",
    "tidepoolerrors": "Turns of a branch that failed inside mergeq.",
    "tidesyncheartbeat": "Sweeps finished.",
    "syncdur": "Seconds the last sweep took.",
    "mergeq_actions_total": "Actions by outcome.",
    "mergeq_webhooks_total": "Webhook deliveries by what became of them.",
}
_GAUGES = frozenset({"pooledprs", "updatetime", "syncdur"})

pages = Blueprint("pages", __name__)


@pages.get("/")
def start() -> AnyResponse:
    """The queue is the front page."""
    return redirect("/tide")


@pages.get("/tide")
def queue() -> str:
    """Every branch with open pull requests, what it does now and why."""
    services = _services()
    found = [views.pool_view(saved, services.config) for saved in services.store.pools()]
    queries = [(query, " ".join(query.search_terms())) for query in services.config.queries]
    return render_template("tide.html", pools=found, queries=queries, warnings=services.config.warnings)


@pages.get("/tide.json")
@pages.get("/tide.js")
def queue_json() -> Response:
    """Deck's shape (T8.11)."""
    services = _services()
    return _json_or_script(
        {
            "Queries": list(services.config.searches()),
            "TideQueries": [views.query_json(query) for query in services.config.queries],
            "Pools": [views.pool_json(saved) for saved in services.store.pools()],
        }
    )


@pages.get("/tide-history")
def history() -> str:
    """The newest actions, of all branches or of one."""
    services = _services()
    branch = _asked_branch()
    records = services.store.history(branch=branch, limit=_HISTORY_ROWS)
    return render_template("history.html", records=[views.record_view(record) for record in records], branch=branch)


@pages.get("/tide-history.json")
@pages.get("/tide-history.js")
def history_json() -> Response:
    """Deck's shape (T8.11)."""
    by_branch: dict[str, list[dict[str, Any]]] = {}
    for record in _services().store.history(branch=_asked_branch(), limit=_HISTORY_ROWS):
        by_branch.setdefault(record.branch, []).append(views.record_json(record))
    return _json_or_script({"History": by_branch})


@pages.get("/pr/<org>/<repo>/<int:number>")
def pull(org: str, repo: str, number: int) -> str:
    """Everything about one pull request: where it stands, what would change that, and what was done."""
    saved, view, records = _pull(org, repo, number)
    pool = views.pool_view(saved, _services().config) if saved else None
    return render_template(
        "pr.html",
        key=f"{org}/{repo}#{number}",
        view=view,
        pool=pool,
        records=[views.record_view(record) for record in records],
    )


@pages.get("/pr/<org>/<repo>/<int:number>.json")
def pull_json(org: str, repo: str, number: int) -> Response:
    """The same for programs."""
    saved, view, records = _pull(org, repo, number)
    return jsonify(views.pull_json(f"{org}/{repo}#{number}", view, saved, records))


@pages.get("/healthz")
def healthz() -> Response:
    """200 when this process and Redis answer; `idle` says whether any branch waits or is being worked on."""
    services = _services()
    services.store.ping()
    return jsonify(ok=True, idle=services.store.is_idle())


@pages.get("/metrics")
def metrics() -> Response:
    """Prometheus' text format; the numbers live in Redis, since a job's process ends with the job."""
    registry = CollectorRegistry()
    registry.register(_Metrics(_services()))
    return Response(generate_latest(registry), mimetype="text/plain")


class _Metrics:
    """A collector over the store's counters."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> list[Metric]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for name, labels, value in self._services.store.metrics():
            if name not in families:
                kind = GaugeMetricFamily if name in _GAUGES else CounterMetricFamily
                families[name] = kind(name, _HELP.get(name, name), labels=sorted(labels))
            families[name].add_metric([labels[key] for key in sorted(labels)], value)
        return list(families.values())


def _services() -> Services:
    services: Services = current_app.config["SERVICES"]
    return services


def _asked_branch() -> Branch | None:
    """The branch that `?repo=ORG/REPO&branch=NAME` names; None when both are absent."""
    repo, branch = request.args.get("repo", ""), request.args.get("branch", "")
    if not repo and not branch:
        return None
    try:
        return Branch.parse(f"{repo}:{branch}")
    except ValueError as error:
        abort(400, f"{error}; name both repo=ORG/REPO and branch=NAME")


def _pull(org: str, repo: str, number: int) -> tuple[SavedPool | None, views.PullView | None, list[HistoryRecord]]:
    """An open pull request with its pool, or one that is gone with its history; 404 when there is neither."""
    services, full_repo = _services(), f"{org}/{repo}"
    branch = services.store.branch_of(full_repo, number)
    saved = services.store.pool(branch) if branch else None
    standing = saved.pool.standing(number) if saved else None
    records = services.store.history(pull=(full_repo, number), limit=_HISTORY_ROWS)
    if saved is not None and standing is not None:
        return saved, views.pull_view(standing, saved, services.config), records
    if not records:
        abort(404, f"{full_repo}#{number} is not an open pull request that mergeq has seen, and nothing was done to it")
    return None, None, records


def _json_or_script(value: dict[str, Any]) -> Response:
    """JSON, or with ``?var=NAME`` the script ``var NAME = …;`` that Deck serves (T8.11)."""
    name = request.args.get("var", "")
    if not name:
        return jsonify(value)
    if not _NAME.fullmatch(name):
        abort(400, "var must be a plain JavaScript name")
    script = json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return Response(f"var {name} = {script};", mimetype="application/javascript")
