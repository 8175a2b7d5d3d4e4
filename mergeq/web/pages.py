"""The pages and their JSON twins: the queue, the history, one pull request, health, metrics."""

import json
import re
from collections.abc import Iterable
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, current_app, jsonify, redirect, render_template, request, url_for
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, UnknownMetricFamily
from werkzeug.wrappers import Response as AnyResponse

from mergeq import sweep, sync
from mergeq.bootstrap import Services
from mergeq.core.audit import AuditRecord, SeenRepo
from mergeq.core.history import HistoryRecord
from mergeq.core.orders import EVERYTHING
from mergeq.core.protection import Kind, Mode
from mergeq.core.pull import Branch
from mergeq.core.query import scope_of
from mergeq.store import SavedPool, Wanted, cursor_of
from mergeq.store.protection import Sought
from mergeq.web import asked, documents, shown, views
from mergeq.web import protection as guarded

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_LONGEST_SEARCH = 400  # characters: more than any ORG/REPO:BRANCH has
_HISTORY_ROWS = 100
_HISTORY_LIMIT = 500
_AUDIT_ROWS = 30
_AUDIT_LATELY = 1000  # records that are searched for who changed what is shown
_JSON_LINES = "application/x-ndjson"
_HISTORY_SAMPLE = 1000  # records that the filters take their choices from
_HELP = {
    "pooledprs": "Pull requests in the pool at the last sync.",
    "updatetime": "Unix time of the last sync of the pool.",
    "merges": "Pull requests merged.",
    "tidepoolerrors": "Turns of a branch that failed inside mergeq.",
    "tidesyncheartbeat": "Sweeps finished.",
    "syncdur": "Seconds the last sweep took.",
    "mergeq_actions_total": "Actions by outcome.",
    "mergeq_github_points_total": "Points of GitHub's limits used, by whose, which and what for.",
    "mergeq_github_calls_total": "Calls to GitHub, by whose limits, which, what for, and whether they read or write.",
    "mergeq_github_held_total": "Calls that were not made because little was left.",
    "mergeq_github_pauses_total": "Refusals by GitHub's limits; each makes everything wait for a while.",
    "mergeq_github_retries_total": "Reads that were asked again.",
    "mergeq_webhooks_total": "Webhook deliveries by what became of them.",
    "mergeq_triggers_total": "Staged runs that CI was told of, by how that ended.",
    "mergeq_sweep_missed_total": "Branches of which a sweep found what no webhook had told.",
    "mergeq_webhooks_redelivered_total": "Webhook deliveries that GitHub was asked to make again.",
    "mergeq_protection_held": "Plans of protection that wait for a person.",
    "mergeq_protection_run_seconds": "Seconds the last run of protection took.",
    "mergeq_protection_plans_total": "Looks at protection, by whether anything was to be changed.",
    "mergeq_protection_drift_total": "Changes of protection by others, by whether they weaken it.",
    "mergeq_protection_applied_total": "Changes of protection that are in force, by their cause.",
    "mergeq_protection_failed_total": "Changes of protection that did not come about, by why.",
    "mergeq_protection_skipped_total": "Targets of protection about which nothing was done, by why.",
}
_GAUGES = frozenset(
    {
        *("pooledprs", "updatetime", "syncdur"),
        *(f"mergeq_protection_{name}" for name in ("held", "run_seconds")),
    }
)
_AS_TIDE_SPELLS = frozenset({"tidepoolerrors", "tidesyncheartbeat"})  # counters whose name has no `_total` (T9)

pages = Blueprint("pages", __name__)


@pages.get("/")
def start() -> AnyResponse:
    """The queue is the front page."""
    return redirect(url_for("pages.queue"))


@pages.get("/tide")
def queue() -> str:
    """Every branch with open pull requests, what it does now and why; ``?q=`` narrows."""
    services, mark = _services(), _mark()
    found = _views().queue(services.store.pools(), request.args.get("q", "")[:_LONGEST_SEARCH])
    now, store = services.now(), services.store
    return render_template(
        "tide.html",
        mark=mark,
        queue=found,
        problems=services.followed.problem.splitlines(),
        waits=_views().waits(store.holds(now), store.all_spent(), now),
        silent=sweep.silent(services),
        halted=store.halted(EVERYTHING),
    )


@pages.get("/tide.json")
@pages.get("/tide.js")
def queue_json() -> Response:
    """Deck's shape (T8.11)."""
    services = _services()
    return _json_or_script(documents.queue_json(services.config, services.store.pools()))


@pages.get("/api/pools")
def pools_json() -> Response:
    """Tide's own shape (T8.9), with whole pull requests."""
    services = _services()
    return Response(documents.pools_json(services.config, services.store.pools()), mimetype="application/json")


@pages.get("/tide-history")
def history() -> str:
    """The newest actions that the filters leave, a page at a time."""
    services, mark, wanted = _services(), _mark(), asked.wanted(request.args)
    records, following = _page_of_history(wanted, _HISTORY_ROWS)
    return render_template(
        "history.html",
        mark=mark,
        wanted=wanted,
        is_narrowed=wanted != Wanted(),
        is_older="cursor" in request.args,
        choices=shown.choices(services.store.branches(), services.store.history(limit=_HISTORY_SAMPLE), wanted),
        records=_views().records(records),
        newest=_history_address(),
        older=_history_address(cursor=following) if following else "",
    )


@pages.get("/tide-history.json")
@pages.get("/tide-history.js")
def history_json() -> Response:
    """Deck's shape (T8.11)."""
    by_branch: dict[str, list[dict[str, Any]]] = {}
    for record in _services().store.history(wanted=asked.wanted(request.args), limit=_HISTORY_LIMIT):
        by_branch.setdefault(record.branch, []).append(documents.record_json(record))
    return _json_or_script([json.dumps({"History": by_branch})])


@pages.get("/api/history")
def history_page_json() -> Response:
    """The history for programs: every filter, and a cursor for what is older."""
    limit = asked.number(request.args, "limit", _HISTORY_ROWS, most=_HISTORY_LIMIT)
    return jsonify(documents.history_json(*_page_of_history(asked.wanted(request.args), limit)))


@pages.get("/pr/<org>/<repo>/<int:number>")
def pull(org: str, repo: str, number: int) -> str:
    """Everything about one pull request: where it stands, what would change that, and what was done."""
    mark, (branch, saved, records) = _mark(), _pull(org, repo, number)
    return render_template("pr.html", mark=mark, page=_views().pull(branch, number, saved, records))


@pages.get("/pr/<org>/<repo>/<int:number>.json")
def pull_json(org: str, repo: str, number: int) -> Response:
    """The same for programs."""
    _, saved, records = _pull(org, repo, number)
    standing = saved.pool.standing(number) if saved else None
    return jsonify(documents.pull_json(f"{org}/{repo}#{number}", standing, saved, records, _services().config))


@pages.get("/protection")
def protection() -> str:
    """Every repository whose branches are kept protected: what is in force, what differs, who did that; ``?q=``
    narrows.
    """
    services, mark = _services(), _mark()
    kept, now = services.store.protection, services.now()
    held, newest = kept.held(), kept.audit(limit=_AUDIT_LATELY)
    found = guarded.Views(services.config.protection_mode, held, newest)
    return render_template(
        "protection.html",
        mark=mark,
        page=found.page(kept.seen(), request.args.get("q", "")[:_LONGEST_SEARCH]),
        orgs=sorted(_modes().items()),
        held=[found.held(plan) for plan in held],
        exemptions=[guarded.exemption(one, now) for one in services.config.protection_values.exemptions],
        records=[guarded.record(one) for one in newest[:_AUDIT_ROWS]],
    )


@pages.get("/protection.json")
def protection_json() -> Response:
    """The same for programs, whole."""
    services = _services()
    kept, exemptions = services.store.protection, services.config.protection_values.exemptions
    return Response(guarded.page_json(_modes(), kept.held(), exemptions, kept.seen()), mimetype="application/json")


@pages.get("/protection/<org>/<repo>")
def protection_of(org: str, repo: str) -> str:
    """One repository: every setting of every branch or pattern, the line that asks for it, since when and by whom;
    ``?q=`` narrows.
    """
    services, mark, one = _services(), _mark(), _seen(f"{org}/{repo}")
    kept = services.store.protection
    records, wanted = kept.audit(Sought(about=one.repo), limit=_AUDIT_LATELY), request.args.get("q", "")
    return render_template(
        "protection-repo.html",
        mark=mark,
        asked=wanted[:_LONGEST_SEARCH],
        repo=guarded.Views(services.config.protection_mode, kept.held(), records).repo(one, wanted[:_LONGEST_SEARCH]),
        records=[guarded.record(each) for each in records[:_AUDIT_ROWS]],
    )


@pages.get("/protection/<org>/<repo>.json")
def protection_of_json(org: str, repo: str) -> Response:
    """The same for programs."""
    return jsonify(guarded.repo_json(_seen(f"{org}/{repo}")))


@pages.get("/api/protection/audit")
def protection_audit_json() -> Response:
    """What was done to protection and by whom, newest first, with a cursor for what is older; as JSON lines for who
    accepts ``application/x-ndjson`` or asks for ``?format=jsonl``.
    """
    records, following = _page_of_audit(asked.number(request.args, "limit", _HISTORY_ROWS, most=_HISTORY_LIMIT))
    if request.args.get("format") == "jsonl" or request.accept_mimetypes.best == _JSON_LINES:
        lines = (json.dumps(guarded.record_json(one)) + "\n" for one in records)
        answer = Response(lines, mimetype=_JSON_LINES)
        if following:
            address = f"{request.path}?{urlencode({**request.args, 'cursor': following})}"
            answer.headers["Link"] = f'<{address}>; rel="next"'
        return answer
    return jsonify(records=[guarded.record_json(one) for one in records], next=following or None)


@pages.get("/healthz")
def healthz() -> Response:
    """200 when this process and Redis answer; `idle` says whether any branch waits or is being worked on."""
    services = _services()
    services.store.ping()
    return jsonify(ok=True, idle=services.store.is_idle())


@pages.get("/readyz")
def readyz() -> Response:
    """200 when pages and webhooks are served; the text says so, and whether everything is paused and why. That is no
    reason to be taken out of service: people look here for what to do.
    """
    services = _services()
    services.store.ping()
    halted = services.store.halted(EVERYTHING)
    return Response(f"ready, but everything is halted: {halted}\n" if halted else "ready\n", mimetype="text/plain")


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
        families: dict[str, GaugeMetricFamily | CounterMetricFamily | UnknownMetricFamily] = {}
        for name, labels, value in self._services.store.metrics():
            if name not in families:
                untyped = UnknownMetricFamily if name in _AS_TIDE_SPELLS else CounterMetricFamily
                kind = GaugeMetricFamily if name in _GAUGES else untyped
                families[name] = kind(name, _HELP.get(name, name), labels=sorted(labels))
            families[name].add_metric([labels[key] for key in sorted(labels)], value)
        found = (*self._of_branches(), *self._of_configuration(), *self._of_limits(), *self._of_webhooks())
        return [*families.values(), *found, self._of_protection()]

    def _of_protection(self) -> Metric:
        """What is to be done about protection, as it was when each repository was looked at last."""
        told = "Targets of protection at the last look, by what is to be done about them."
        gauge = GaugeMetricFamily("mergeq_protection_branches", told, labels=["org", "reason"])
        for org, counted in sorted(self._services.store.protection.kinds().items()):
            for kind in Kind:
                gauge.add_metric([org, kind.value], counted[kind.value])
        return gauge

    def _of_branches(self) -> list[Metric]:
        """Which branches are halted, and of which pools nothing comes."""
        services, names = self._services, ["org", "repo", "branch"]
        halted = GaugeMetricFamily("mergeq_halted", "1 while a branch, or * for all, is halted.", labels=names)
        for branch in services.store.halts():
            halted.add_metric([branch.org, branch.repo, branch.name], 1)
        still = GaugeMetricFamily("mergeq_stalled", "1 while nothing comes of a pool for too long.", labels=names)
        found = sync.stalled(services)
        for branch in services.store.branches():
            still.add_metric([branch.org, branch.repo, branch.name], float(branch in found))
        return [halted, still]

    def _of_webhooks(self) -> list[Metric]:
        """Whether webhooks are seen to tell everything, by what a sweep looks at."""
        heard, missed = self._services.store.heard(), self._services.store.missed()
        working = GaugeMetricFamily(
            "mergeq_webhooks_working", "1 while webhooks are seen to tell everything.", labels=["scope"]
        )
        for scope in map(scope_of, self._services.config.open_pull_searches()):
            working.add_metric([scope], float(sweep.works(heard, missed, scope)))
        return [working]

    def _of_limits(self) -> list[Metric]:
        """What GitHub said last of each limit, what was used of the hour that runs, and until when it is left alone."""
        services, names = self._services, ["owner", "resource"]
        limit = GaugeMetricFamily("mergeq_github_limit", "Points that GitHub allows in an hour.", labels=names)
        left = GaugeMetricFamily("mergeq_github_remaining", "Points that GitHub says are left.", labels=names)
        used = GaugeMetricFamily(
            "mergeq_github_used", "Points used by mergeq in the hour that runs.", labels=[*names, "purpose"]
        )
        asked = "Unix time before which GitHub is not asked."
        paused = GaugeMetricFamily("mergeq_github_paused_until", asked, labels=names[:1])
        now = services.now()
        for spent in services.store.all_spent():
            if spent.ends_at > now:
                where = [spent.account, spent.resource]
                if spent.limit is not None and spent.remaining is not None:
                    limit.add_metric(where, spent.limit)
                    left.add_metric(where, spent.remaining)
                for purpose, points in sorted(spent.points.items()):
                    used.add_metric([*where, purpose], points)
        for account, hold in services.store.holds(now).items():
            paused.add_metric([account], hold.until)
        return [limit, left, used, paused]

    def _of_configuration(self) -> list[Metric]:
        """What this process follows: another machine's files may differ, and its log says so."""
        followed = self._services.followed
        valid = GaugeMetricFamily("mergeq_config_valid", "1 when the newest configuration is in force, 0 when not.")
        valid.add_metric([], 0 if followed.problem else 1)
        loaded = GaugeMetricFamily("mergeq_config_loaded_timestamp", "Unix time the configuration in force was read.")
        loaded.add_metric([], followed.loaded_at)
        return [valid, loaded]


def _modes() -> dict[str, Mode]:
    """Every organization whose branches are kept protected, and whether mergeq writes there."""
    config = _services().config
    return {org: config.protection_mode(org) for org in config.protected()}


def _seen(full_repo: str) -> SeenRepo:
    if (one := next(_services().store.protection.seen(full_repo), None)) is None:
        abort(404, f"{full_repo} has not been looked at: the configuration asks for no protection there, or not yet")
    return one


def _services() -> Services:
    services: Services = current_app.config["SERVICES"]
    return services


def _views() -> shown.Views:
    services = _services()
    return shown.Views(services.config, services.settings, sync.stalled(services))


def _mark() -> views.Mark:
    """Taken before anything is read for a page, so that nothing that comes later is missed."""
    services = _services()
    return views.Mark(services.store.version(), views.when(services.now()))


def _history_address(**more: str) -> str:
    """The present page of the history with its filters, and nothing else that was asked for."""
    kept = {name: request.args[name] for name in asked.FILTERS if request.args.get(name)}
    return f"{url_for('pages.history')}?{urlencode(kept | more)}"


def _page_of_history(wanted: Wanted, limit: int) -> tuple[list[HistoryRecord], str]:
    """One page of records, and the cursor of what is older; empty at the end."""
    try:
        found = _services().store.history(wanted=wanted, limit=limit + 1, cursor=request.args.get("cursor", ""))
    except ValueError:
        abort(400, "cursor must be what the page before gave, unchanged")
    return found[:limit], cursor_of(found[limit - 1]) if len(found) > limit else ""


def _page_of_audit(limit: int) -> tuple[list[AuditRecord], str]:
    """One page of the audit, and the cursor of what is older; empty at the end."""
    kept, sought = _services().store.protection, asked.sought(request.args)
    try:
        found = kept.audit(sought, limit=limit + 1, cursor=request.args.get("cursor", ""))
    except ValueError:
        abort(400, "cursor must be what the page before gave, unchanged")
    return found[:limit], cursor_of(found[limit - 1]) if len(found) > limit else ""


def _pull(org: str, repo: str, number: int) -> tuple[Branch, SavedPool | None, list[HistoryRecord]]:
    """An open pull request with its pool, or one that is gone with its history; 404 when there is neither."""
    services, full_repo = _services(), f"{org}/{repo}"
    branch = services.store.branch_of(full_repo, number)
    saved = services.store.pool(branch) if branch else None
    records = services.store.history(pull=(full_repo, number), limit=_HISTORY_ROWS)
    if branch is not None and saved is not None and saved.pool.standing(number) is not None:
        return branch, saved, records
    if not records:
        abort(404, f"{full_repo}#{number} is not an open pull request that mergeq has seen, and nothing was done to it")
    return Branch.parse(records[0].branch), None, records


def _json_or_script(pieces: Iterable[str]) -> Response:
    """JSON in ASCII, or with ``?var=NAME`` the script ``var NAME = …;`` that Deck serves (T8.11), sent in pieces."""
    name = request.args.get("var", "")
    if not name:
        return Response(pieces, mimetype="application/json")
    if not _NAME.fullmatch(name):
        abort(400, "var must be a plain JavaScript name")
    harmless = (piece.replace("<", "\\u003c") for piece in pieces)
    return Response(chain([f"var {name} = "], harmless, [";"]), mimetype="application/javascript")
