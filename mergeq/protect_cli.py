"""`mergeq protect`: what differs from the configuration, why something is in force and since when, and whatever people
have to say to it. Written is by `apply --confirm` and `rollback --confirm` alone.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mergeq import gathering, reconcile
from mergeq.bootstrap import Services, connect_github
from mergeq.config import load
from mergeq.config.writing import as_yaml
from mergeq.console import (
    as_option,
    branch_of,
    config_option,
    exit_for,
    interruptible,
    json_option,
    repo_of,
    settings_of,
    who,
    why_option,
    working,
)
from mergeq.core import plan_text
from mergeq.core.audit import AuditRecord, Held, Result
from mergeq.core.planning import gate, in_order
from mergeq.core.protection import Cause, Check, Effect, Kind, Mode, Plan, Value, spoken, spoken_item
from mergeq.core.queue import QueueValues
from mergeq.enforcing import Order, Report
from mergeq.gathering import ALL, Gathered
from mergeq.github import HeldBack, Unreadable
from mergeq.reconcile import Explained
from mergeq.store.protection import Sought
from mergeq.web.protection import record_json

_LEAST = 7  # characters of a hash that name a plan
_SIGNS = {Result.APPLIED: "done", Result.ROLLED_BACK: "put back", Result.NOT_EFFECTIVE: "no effect"}

_scope = click.argument("scope", metavar="[ORG[/REPO]]", required=False)
_confirm = click.option("--confirm", is_flag=True, help="Write it; without this nothing is written.")
_plan_option = click.option("--plan", "wanted", metavar="HASH", help="Write exactly this plan, or nothing.")
_even = click.option("--even-if-observe", is_flag=True, help="Write too where the configuration says `observe`.")


@click.group("protect")
def protect() -> None:
    """Keep branch protection as it is configured."""


@protect.command("plan")
@_scope
@click.option("--markdown", is_flag=True, help="Print it for a comment on a pull request.")
@config_option
@json_option
def plan_command(scope: str | None, paths: tuple[Path, ...], *, markdown: bool, as_json: bool) -> None:
    """Say what differs from the configuration, and what would be done; exit 2 if anything would.

    What protects less comes first, then each repository: every field, what it is, what it is to be, and the line that
    asks for it. Nothing is written.
    """
    with _at_work(paths) as ready:
        gathered = _gathered(ready, scope)
        held = gate(_enforced(gathered.plan), ready.config.protection_values.gate)
    if as_json:
        click.echo(json.dumps(_plan_json(gathered, held)))
    else:
        click.echo("\n".join((plan_text.markdown if markdown else plan_text.lines)(gathered.plan)))
        _say(*(f"held: {why}" for why in held))
        _say_unknown(gathered)
    if gathered.unknown:
        sys.exit(1)
    if gathered.plan.writes:
        sys.exit(2)


@protect.command("apply")
@_scope
@_confirm
@_plan_option
@_even
@click.option("--why", default="", help="For the audit.")
@as_option
@config_option
@json_option
def apply_command(
    scope: str | None,
    wanted: str | None,
    why: str,
    name: str | None,
    paths: tuple[Path, ...],
    *,
    confirm: bool,
    even_if_observe: bool,
    as_json: bool,
) -> None:
    """Write what the plan says; without --confirm only show it.

    What has changed on GitHub since it was shown is left alone. Each change is read again before it counts as done,
    and each is on record, to be put back by `mergeq protect rollback`.
    """
    with _at_work(paths) as ready:
        gathered = _gathered(ready, scope)
        _expect_plan(gathered.plan, wanted)
        gathered, why = _as_asked(gathered, why, even_if_observe=even_if_observe)
        order = Order(ready.store.protection.new_id(ready.now()), who(name), why, gathered.plan.hash, exactly=True)
        _carry_out(ready, gathered, order, confirm=confirm, as_json=as_json)


@protect.command("rollback")
@click.argument("run")
@_confirm
@_plan_option
@_even
@why_option
@as_option
@config_option
@json_option
def rollback_command(
    run: str,
    wanted: str | None,
    why: str,
    name: str | None,
    paths: tuple[Path, ...],
    *,
    confirm: bool,
    even_if_observe: bool,
    as_json: bool,
) -> None:
    """Put back what a run has changed; without --confirm only show what that would be.

    What is put back stays so until the configuration asks for something else than it does now.
    """
    with _at_work(paths) as ready:
        if not ready.store.protection.run(run):
            known = ", ".join(one for one, _ in ready.store.protection.runs(5)) or "none"
            raise click.ClickException(f"nothing is known of a run {run}; the newest are {known}")
        gathered = reconcile.undoing(ready, run)
        _expect_plan(gathered.plan, wanted)
        gathered, why = _as_asked(gathered, why, even_if_observe=even_if_observe)
        started = ready.store.protection.new_id(ready.now())
        order = Order(started, who(name), why, gathered.plan.hash, exactly=True, undoes=run)
        _carry_out(ready, gathered, order, confirm=confirm, as_json=as_json)


def _carry_out(ready: Services, gathered: Gathered, order: Order, *, confirm: bool, as_json: bool) -> None:
    """Show a plan and, if it is confirmed, write it; exit 1 unless all of it is then in force."""
    chosen = in_order(gathered.plan)
    if not as_json:
        click.echo("\n".join(plan_text.lines(gathered.plan)))
        _say_unknown(gathered)
    report = Report(order.run, gathered)
    if confirm and not chosen and gathered.plan.writes:
        raise click.ClickException(_only_observed(gathered.plan))
    if confirm and chosen:
        if stop := reconcile.stopped(ready, by_hand=True):
            raise click.ClickException(stop)
        reconcile.note(ready, gathered)
        with interruptible() as (stopping, caught):
            say = (lambda _: None) if as_json else _say_row
            report = reconcile.enforce(ready, gathered, chosen, order, lambda: not stopping.is_set(), say)
        reconcile.tell(ready, report)
    else:
        caught = []
    if as_json:
        click.echo(json.dumps(_report_json(report, confirmed=confirm)))
    else:
        _say_report(report, confirmed=confirm)
    exit_for(caught)
    if gathered.unknown or not report.is_whole:
        sys.exit(1)


@protect.command("explain")
@click.argument("branch", metavar="ORG/REPO:BRANCH")
@config_option
@json_option
def explain_command(branch: str, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Say what is in force on a branch, who demands it, which line asks for it, since when, and who changed it last."""
    wanted = branch_of(branch)
    with _at_work(paths) as ready:
        found = reconcile.explain(ready, wanted)
    if as_json:
        click.echo(json.dumps(_explained_json(found)))
        return
    _say(*_explained_lines(found))


@protect.command("audit")
@click.argument("about", metavar="[ORG[/REPO[:PATTERN]]]", required=False, default="")
@click.option("--result", type=click.Choice([one.value for one in Result]), help="How it ended, or `seen`.")
@click.option("--cause", type=click.Choice([one.value for one in Cause]), help="Why it differed.")
@click.option("--effect", type=click.Choice([one.value for one in Effect]), help="Whether it protects more or less.")
@click.option("--by", default="", help="Who did it.")
@click.option("--run", default="", help="Which run it belongs to.")
@click.option("--since", "since", help="From this day or moment on, ISO 8601, UTC where it says no zone.")
@click.option("--until", "until", help="Before this day or moment.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many rows at most.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document a line, a row each.")
def audit_command(
    about: str,
    result: str | None,
    cause: str | None,
    effect: str | None,
    by: str,
    run: str,
    since: str | None,
    until: str | None,
    limit: int,
    paths: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """List who changed protection, newest first: mergeq, people on GitHub, and what did not work."""
    sought = Sought(about, result or "", cause or "", effect or "", by, run, _moment(since), _moment(until))
    with _at_work(paths) as ready:
        rows = ready.store.protection.audit(sought, limit=limit)
    _say(*(json.dumps(record_json(row)) if as_json else _row_line(row) for row in rows))
    if not rows:
        click.echo("nothing like that is on record", err=True)


@protect.command("ack")
@click.argument("hash_", metavar="HASH")
@why_option
@as_option
@config_option
@json_option
def ack_command(hash_: str, why: str, name: str | None, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Agree to a plan that is held, so that it is written at the next look.

    Where the configuration names who may (`gate.ack_by`), give a GitHub login of one of these teams with --as.
    """
    with _at_work(paths) as ready:
        plans = ready.store.protection.held()
        found = [one for one in plans if len(hash_) >= _LEAST and one.hash.startswith(hash_)]
        if len(found) != 1:
            known = ", ".join(one.hash[:12] for one in plans) or "none"
            raise click.ClickException(f"{hash_} names no plan that is held; those that are: {known}")
        by = _who_may_agree(ready, name)
        reconcile.acknowledge(ready, found[0], by, why)
    if as_json:
        click.echo(json.dumps({"hash": found[0].hash, "by": by, "why": why, "targets": _targets(found[0])}))
    else:
        click.echo(f"agreed to {len(found[0].items)} changes; {_what_then(found[0].scope)}")


@protect.command("import")
@click.argument("scope", metavar="ORG[/REPO]")
@config_option
def import_command(scope: str, paths: tuple[Path, ...]) -> None:
    """Print the configuration that keeps what protects an organization or a repository now.

    What several branches or repositories have in common stands once, above them. Comments say what it cannot hold.
    """
    settings = settings_of(paths)
    staging = QueueValues().staging
    reserved: tuple[str, ...] = (staging.prefix, staging.scratch_prefix)
    if settings.config_paths:
        config = load(settings.config_paths)
        reserved = (*reserved, *(config.reserved(scope) if "/" in scope else ()))
    with closing(connect_github(settings)) as github, _in_a_line():
        planner = github.protecting_as(github.credentials)
        found = reconcile.take_over(planner, repo_of(scope) if "/" in scope else scope, reserved)
    click.echo(as_yaml(found.policy, found.comments), nl=False)
    for why in found.unknown:
        click.echo(why, err=True)
    if found.unknown:
        sys.exit(1)


# what is asked


@contextmanager
def _at_work(paths: tuple[Path, ...]) -> Iterator[Services]:
    """The services of one command."""
    with working(paths) as ready, _in_a_line():
        yield ready


@contextmanager
def _in_a_line() -> Iterator[None]:
    """What GitHub does not let a command do is said in one line. Raises click.ClickException."""
    try:
        yield
    except (HeldBack, Unreadable) as error:
        raise click.ClickException(plan_text.visible(str(error))) from error


def _gathered(ready: Services, text: str | None) -> Gathered:
    """What is there of what is asked about, which may take a while."""
    scope = _scope_of(ready, text)
    if sys.stderr.isatty():
        click.echo(f"reading what protects {'everything' if scope == ALL else scope} …", err=True)
    return gathering.gather(ready, scope)


def _scope_of(ready: Services, text: str | None) -> str:
    """What is to be looked at. Raises click.UsageError for what the configuration protects nothing of."""
    if not ready.config.protected():
        raise click.ClickException("the configuration protects nothing: it has no branch-protection for any org")
    if text is None:
        return ALL
    scope = repo_of(text) if "/" in text else text
    if not gathering.is_protected(ready, scope):
        raise click.ClickException(f"the configuration protects nothing of {scope}")
    return scope


def _expect_plan(plan: Plan, wanted: str | None) -> None:
    if wanted is not None and not (len(wanted) >= _LEAST and plan.hash.startswith(wanted)):
        raise click.ClickException(f"the plan is {plan.hash[:12]} by now, and not {wanted}; look at it again")


def _enforced(plan: Plan) -> Plan:
    return Plan(tuple(item for item in plan.items if item.mode is Mode.ENFORCE))


def _only_observed(plan: Plan) -> str:
    orgs = ", ".join(sorted({item.target.repo.partition("/")[0] for item in plan.writes}))
    return f"{orgs} is only observed: say `mode: enforce` in the configuration, or add --even-if-observe"


def _as_asked(gathered: Gathered, why: str, *, even_if_observe: bool) -> tuple[Gathered, str]:
    """The same as if the configuration said `enforce` everywhere, where that is asked for; and why, with that said."""
    if not even_if_observe:
        return gathered, why
    wishes = {
        repo: tuple(replace(wish, mode=Mode.ENFORCE) for wish in theirs) for repo, theirs in gathered.wishes.items()
    }
    items = tuple(replace(item, mode=Mode.ENFORCE) for item in gathered.plan.items)
    enforced = replace(gathered, wishes=wishes, plan=replace(gathered.plan, items=items))
    return enforced, f"{why} (--even-if-observe)".strip()


def _who_may_agree(ready: Services, name: str | None) -> str:
    """Who agrees, if he may. Raises click.ClickException."""
    teams = ready.config.protection_values.gate.ack_by
    if not teams:
        return who(name)
    if name is None:
        raise click.ClickException(f"say who agrees with --as LOGIN: a member of {' or '.join(teams)}")
    if not any(ready.github.is_member(team, name) for team in teams):
        raise click.ClickException(f"{name} is not seen to be a member of {' or '.join(teams)}, and so may not agree")
    return who(name)


def _what_then(scope: str) -> str:
    """Who writes what was agreed to."""
    if scope.startswith(reconcile.UNDOING):
        return f"to write them: mergeq protect {scope} --confirm --why …"
    return "the next look writes them, or `mergeq protect apply --confirm`"


def _moment(text: str | None) -> float | None:
    """A day or a moment, in epoch seconds. Raises click.UsageError."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(
            f"{text!r} is no date or time of ISO 8601, as 2026-12-01 or 2026-12-01T08:00Z"
        ) from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


# what is said


def _say(*lines: str, err: bool = False) -> None:
    for line in lines:
        click.echo(plan_text.visible(line), err=err)


def _say_unknown(gathered: Gathered) -> None:
    _say(*(f"not read: {about}: {why}" for about, why in gathered.unknown.items()), err=True)
    if gathered.unknown:
        click.echo("what is not known is left as it is; `mergeq doctor ORG/REPO` says what stands in the way", err=True)


def _say_row(row: AuditRecord) -> None:
    _say(f"  {_SIGNS.get(row.result, row.result.value)}  {row.target}{f': {row.problem}' if row.problem else ''}")


def _say_report(report: Report, *, confirmed: bool) -> None:
    if report.held:
        _say(*(f"held: {why}" for why in report.held.reasons))
        click.echo(f"nothing was written; to agree: mergeq protect ack {report.held.hash[:12]} --why …")
        return
    _say(*(f"  left  {item.target}: {why}" for item, why in report.left))
    if not confirmed:
        plan = report.gathered.plan
        if plan.writes:
            what = "add --confirm to write it" if in_order(plan) else _only_observed(plan)
            click.echo(f"\nnothing was written; {what}")
        return
    done = sum(row.result in {Result.APPLIED, Result.ROLLED_BACK} for row in report.rows)
    failed = len(report.rows) - done
    if report.rows or report.left:
        click.echo(f"run {report.run}: {done} done, {failed} failed, {len(report.left)} left")


def _row_line(row: AuditRecord) -> str:
    pairs = plan_text.sides(row.before, row.after) if row.result is not Result.HELD else ()
    changes = ", ".join(f"{name} {was or 'none'} → {became or 'none'}" for name, was, became in pairs)
    told = [row.result.value, row.target, row.effect, row.why, changes, row.problem, row.run and f"run {row.run}"]
    return f"{_second(row.time)}  {row.by or 'somebody':<16}  " + "  ".join(one for one in told if one)


def _second(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# documents


def _plan_json(gathered: Gathered, held: Sequence[str]) -> dict[str, Any]:
    return {
        "hash": gathered.plan.hash,
        "scope": gathered.scope,
        "config": gathered.plan.config,
        "items": [spoken_item(item) for item in gathered.plan.items],
        "held": list(held),
        "warnings": list(gathered.plan.warnings),
        "unknown": [{"about": about, "why": why} for about, why in gathered.unknown.items()],
    }


def _report_json(report: Report, *, confirmed: bool) -> dict[str, Any]:
    return {
        "plan": _plan_json(report.gathered, report.held.reasons if report.held else ()),
        "confirmed": confirmed,
        "run": report.run,
        "held": report.held.hash if report.held else None,
        "records": [record_json(row) for row in report.rows],
        "left": [{"target": str(item.target), "why": why} for item, why in report.left],
        "ok": report.is_whole and not report.gathered.unknown,
    }


def _targets(held: Held) -> list[str]:
    return [str(item.target) for item in held.items]


def _explained_json(found: Explained) -> dict[str, Any]:
    return {
        "branch": str(found.branch),
        "settings": [
            {
                "field": one.field,
                "value": _told(one.value),
                "by": list(one.by),
                "sources": [{"level": line.level, "place": line.place} for line in one.sources],
                "since": _when(one.since),
                "who": one.who or None,
                "why": one.why or None,
            }
            for one in found.settings
        ],
        "missing": found.is_missing,
        "unknown": list(found.unknown),
        "items": [spoken_item(item) for item in found.items],
    }


def _told(value: Value | Check | str) -> Any:
    if isinstance(value, Check):
        return {"context": value.context, "app": value.app}
    return value if isinstance(value, str) else spoken(value)


def _when(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


def _explained_lines(found: Explained) -> Iterator[str]:
    """What is in force, a setting at a time, and what would be done."""
    if found.settings:
        yield f"{found.branch} is protected:"
    elif not found.unknown:
        yield f"{found.branch} {'does not exist, and would not be' if found.is_missing else 'is not'} protected"
    for one in found.settings:
        yield f"  {one.field}: {plan_text.said(one.field, one.value)}"
        yield f"      demanded by {', '.join(one.by)}"
        for line in one.sources:
            yield f"      asked for by {line.place} ({line.level})"
        since = _second(one.since) if one.since else "before mergeq looked"
        yield f"      since {since}{f', by {one.who}' if one.who else ''}{f': {one.why}' if one.why else ''}"
    for gap in found.unknown:
        yield f"not read: {gap}; more may be demanded than is told here"
    if any(item.kind is not Kind.NOTHING for item in found.items):
        yield ""
        yield from plan_text.lines(Plan(found.items))
