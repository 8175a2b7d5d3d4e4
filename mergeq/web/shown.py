"""Makes the values of the pages out of what is saved. What a status says is said here in the same words (D7)."""

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from mergeq.config import Configuration, Settings
from mergeq.core import explain, status
from mergeq.core.batch import Run, RunState, rest, verdict
from mergeq.core.budget import Hold, Purpose, Spent, held_until
from mergeq.core.contexts import latest
from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.pool import BranchSettings, Pool, Standing, ranked, under_protection
from mergeq.core.pull import Branch, Context, Result
from mergeq.core.query import Query
from mergeq.core.reason import Clause, Reason
from mergeq.store import SavedPool, Wanted
from mergeq.web.views import (
    Choices,
    ContextView,
    LineView,
    PoolView,
    PullPage,
    PullView,
    QueryView,
    QueueView,
    RecordView,
    RunView,
    StepView,
    TargetView,
    WaitView,
    when,
)

_FEW = 6  # branches, or pull requests beside a pool, that are shown without being asked for
_ROWS = 300  # branches and pull requests together that the queue page shows whole
_BESIDE = 50  # pull requests outside one pool, more of which are only counted where not all fits
_LINES = 200  # branches that are named besides

_LANDING, _TESTED = "landing now", "being tested"
_DOING = {
    "MERGE": _LANDING,
    "MERGE_BATCH": _LANDING,
    "TRIGGER": "being staged",
    "TRIGGER_BATCH": "being staged",
}
_PEOPLE = frozenset(
    {
        *(Clause.NO_QUERY, Clause.BRANCH, Clause.AUTHOR, Clause.MILESTONE, Clause.LABELS, Clause.FORBIDDEN_LABELS),
        *(Clause.METHOD_LABELS, Clause.DRAFT, Clause.REVIEW, Clause.VOIDED, Clause.STAGING_FORBIDDEN),
        Clause.AUTO_MERGE,
    }
)
_CI = frozenset({Clause.CONTEXTS_UNREADABLE, Clause.NO_CONTEXTS, Clause.CONTEXTS, Clause.SETTLING, Clause.STAGED})
_STOPPED = frozenset(
    {
        *(Clause.CONFLICT, Clause.METHOD_LABELS, Clause.REBASE, Clause.METHOD_DISALLOWED, Clause.GITHUB_BLOCKED),
        *(Clause.MERGE_QUEUE, Clause.ARCHIVED, Clause.EVICTED, Clause.REFUSED, Clause.STAGED, Clause.PROTECTION),
        Clause.WORKFLOWS,
        Clause.LANDING,
    }
)
_AWAITED = {
    Clause.LABELS: "labels",
    Clause.FORBIDDEN_LABELS: "a label to go",
    Clause.METHOD_LABELS: "labels",
    Clause.REVIEW: "review",
    Clause.CONTEXTS: "CI",
    Clause.NO_CONTEXTS: "CI",
    Clause.CONTEXTS_UNREADABLE: "CI",
    Clause.CONFLICT: "a rebase",
    Clause.REBASE: "a rebase",
    Clause.DRAFT: "its author",
    Clause.EVICTED: "its author",
    Clause.SETTLING: "CI",
    Clause.REFUSED: "GitHub",
    Clause.GITHUB_BLOCKED: "GitHub",
    Clause.PROTECTION: "GitHub's rules",
    Clause.LANDING: "GitHub's rules",
    Clause.LANDED: "GitHub",
    Clause.VOIDED: "labels",
    Clause.STAGING_FORBIDDEN: "labels",
    Clause.STAGED: "CI",
}

_CALLED = {
    Purpose.SWEEP: "sweeps",
    Purpose.LOOK_IDLE: "looks at branches with an empty pool",
    Purpose.EXPLAIN: "explanations",
    Purpose.STATUS: "statuses",
    Purpose.LOOK: "looks at the other branches",
    Purpose.STAGING: "staging",
    Purpose.PROTECTION: "branch protection",
    Purpose.LANDING: "landings",
}

L = TypeVar("L")
S = TypeVar("S")


class Views:
    """Makes the values of pages; knows the configuration in force, where GitHub's own pages are, and which pools stand
    still since when.
    """

    def __init__(self, config: Configuration, settings: Settings, stalled: Mapping[Branch, float]) -> None:
        self._config, self._stalled, self._guarded = config, stalled, config.protected()
        self._github = _web_address(settings.github_api_url)

    def queue(self, pools: Iterable[SavedPool], asked: str) -> QueueView:
        """The queue page. `asked` is looked for in ``ORG/REPO:BRANCH``, and in number, title and author of each pull
        request.

        Where not all fits into `_ROWS`, the branch that is asked for by its whole name comes first, then those where
        something goes on, then others, and at least one is shown; more than `_BESIDE` outside a pool are only counted.
        The rest are lines. Of the pools no more is held than is shown.
        """
        wanted, known = asked.strip().lower(), 0

        def told() -> Iterator[tuple[LineView, SavedPool]]:
            nonlocal known
            for saved in pools:
                known += 1
                if (line := _line(saved, wanted)) is not None:
                    yield line, saved

        whole, lines = fitting(told(), lambda line: _rank(line, wanted), _rows, _ROWS)
        found = [*(line for line, _ in whole), *lines]
        in_pool, waiting = sum(line.in_pool for line in found), sum(line.waiting for line in found)
        few, is_much = len(found) <= _FEW, len(found) > 1 and len(found) + in_pool + waiting > _ROWS
        folded = [
            replace(
                pool,
                is_open=few or bool(asked or pool.members or pool.error or pool.halted),
                shows_others=bool(asked) or (few and len(pool.others) <= _FEW),
            )
            for pool in (
                self.pool(saved, wanted, counts_others=is_much and line.waiting > _BESIDE and not line.is_meant(wanted))
                for line, saved in whole
            )
        ]
        lines.sort(key=lambda line: _rank(line, wanted))
        return QueueView(
            pools=tuple(sorted(folded, key=lambda pool: (not pool.is_open, pool.branch))),
            lines=tuple(lines[:_LINES]),
            unlisted=tuple(lines[_LINES:]),
            asked=asked,
            known=known,
            found=len(found),
            in_pool=in_pool,
            waiting=waiting,
            blocked=sum(line.is_blocked for line in found),
            queries=tuple(self._query(query) for query in self._config.queries),
            warnings=self._config.warnings,
        )

    def waits(self, holds: Mapping[str, Hold], spent: Iterable[Spent], now: float) -> tuple[WaitView, ...]:
        """What waits because GitHub said so, by account, and because little is left of its hour (D12)."""
        paused = [WaitView("everything", _whose(one), when(hold.until), hold.why) for one, hold in holds.items()]
        short = []
        for one in spent:
            budget = self._config.budget
            names = [_CALLED[each] for each in Purpose if held_until(each, one, budget, now) is not None]
            if names and one.account not in holds:
                why = f"{one.remaining or 0:,.0f} of {one.limit or 0:,.0f} {one.resource} points are left"
                short.append(WaitView(", ".join(names), _whose(one.account), when(one.ends_at), why))
        return (*paused, *short)

    def pool(self, saved: SavedPool, asked: str = "", *, counts_others: bool = False) -> PoolView:
        """One branch, its members as they are served; of its pull requests those that `asked` leaves. What is outside
        its pool may be counted alone.
        """
        pool, settings = saved.pool, self._config.for_branch(saved.pool.branch)
        sought = {standing.pull.number for standing in _sought(saved, asked)}
        members = enumerate(ranked(pool.members, settings), 1)
        others = [one for one in pool.standings if not one.in_pool and one.pull.number in sought]
        awaited = Counter(_awaited(standing.reasons) for standing in others)
        return PoolView(
            branch=pool.branch,
            base_sha=pool.base_sha,
            base_url=self._commit(pool.branch, pool.base_sha),
            action=saved.action,
            why=saved.why,
            at=when(saved.at),
            error=saved.error,
            halted=pool.halted,
            stalled=when(self._stalled[pool.branch]) if pool.branch in self._stalled else "",
            unread=pool.unread,
            never_reported=pool.never_reported(settings.status_context),
            blockers=tuple(replace(blocker, url=_link(blocker.url)) for blocker in pool.blockers),
            runs=tuple(self._run(run, saved, settings) for run in saved.runs if _is_told(run, pool)),
            members=tuple(_pull(one, saved, settings, place) for place, one in members if one.pull.number in sought),
            others=() if counts_others else tuple(_pull(standing, saved, settings, 0) for standing in others),
            outside=len(others),
            awaited=_most_first(awaited),
            is_guarded=self._is_guarded(pool.branch),
        )

    def pull(self, branch: Branch, number: int, saved: SavedPool | None, records: Sequence[HistoryRecord]) -> PullPage:
        """One pull request: open in `saved`, or gone with its records alone."""
        pool = self.pool(saved) if saved else None
        view = (
            next((view for view in (*pool.members, *pool.others) if view.pull.number == number), None) if pool else None
        )
        steps: tuple[StepView, ...] = ()
        contexts: tuple[ContextView, ...] = ()
        if view and pool:
            contexts = _contexts(view, self._config.for_branch(branch))
            steps = (_people_step(view), _ci_step(view, contexts), *_queue_steps(view, pool))
        rows = self.records(records)
        titles = [t.title for record in records for t in record.targets if t.number == number]
        return PullPage(
            branch=branch,
            number=number,
            title=view.pull.title if view else titles[0],
            url=(view and view.url) or f"{self._github}/{branch.org}/{branch.repo}/pull/{number}",
            view=view,
            pool=pool if view else None,
            steps=steps,
            contexts=contexts,
            records=rows,
            landed=next((row for row in rows if row.outcome == Outcome.LANDED and row.landed_sha), None),
            next=_next(saved, number) if saved and view else "",
            others=self._others(saved, number) if saved and view else (),
        )

    def _is_guarded(self, branch: Branch) -> bool:
        repos = self._guarded.get(branch.org, frozenset())
        return repos is None or branch.full_repo in repos

    def _others(self, saved: SavedPool, number: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The queries beside the nearest, each in a few words with what is missing there; none for a member."""
        standing = saved.pool.standing(number)
        if standing is None or standing.in_pool:
            return ()
        settings = self._config.held_to(saved.pool.branch, saved.pool.protection)
        found = explain.chances(standing, settings, saved.at)
        return tuple(
            (explain.said_of(one.query), tuple(reason.needed for reason in one.reasons))
            for one in found
            if one.reasons and not one.is_closest
        )

    def records(self, records: Sequence[HistoryRecord]) -> tuple[RecordView, ...]:
        """Rows of the history, consecutive ones of one branch and base belonging together."""
        rows = []
        for _, run in groupby(records, key=lambda record: (record.branch, record.base_sha)):
            rows += [self._record(record, is_first=index == 0) for index, record in enumerate(run)]
        return tuple(rows)

    def _record(self, record: HistoryRecord, *, is_first: bool) -> RecordView:
        branch = Branch.parse(record.branch)
        landed = record.landed_sha or ""
        return RecordView(
            time=when(record.time),
            branch=branch,
            action=record.action,
            outcome=record.outcome.value,
            base_sha=record.base_sha,
            base_url=self._commit(branch, record.base_sha),
            landed_sha=landed,
            landed_url=self._commit(branch, landed),
            targets=_targets(record.targets),
            err=record.err,
            tested=_tested(record),
            is_first=is_first,
            way=record.way if record.tested_tree else "",
            by=record.by,
            why=record.why,
        )

    def _run(self, run: Run, saved: SavedPool, settings: BranchSettings) -> RunView:
        said = verdict(run, under_protection(settings, saved.pool.protection), saved.at).state
        going_on = "green" if said is RunState.GREEN or run.id == saved.run else "testing"
        return RunView(
            id=run.id,
            state=run.ended.value if run.ended else going_on,
            started_at=when(run.started_at),
            staged_sha=run.staged_sha,
            staged_url=self._commit(saved.pool.branch, run.staged_sha),
            targets=_targets(run.targets),
            contexts=tuple(_context(context, settings) for context in latest(run.contexts or ())),
            way="" if run.ended else explain.way_of(((m.number, m.method) for m in run.members), saved.pool, settings),
        )

    def _commit(self, branch: Branch, sha: str) -> str:
        return f"{self._github}/{quote(branch.org)}/{quote(branch.repo)}/commit/{quote(sha)}" if sha else ""

    def _query(self, query: Query) -> QueryView:
        search = " ".join(query.search_terms())
        scopes = (*(f'org:"{org}"' for org in query.orgs), *(f'repo:"{repo}"' for repo in query.repos))
        without = (f'-repo:"{repo}"' for repo in query.excluded_repos)
        link = urlencode({"q": " ".join((search, *scopes, *without)), "type": "pullrequests"})
        scope = ", ".join((*query.orgs, *query.repos))
        if query.excluded_repos:
            scope += f" without {', '.join(query.excluded_repos)}"
        return QueryView(scope, search, f"{self._github}/search?{link}")


def fitting(
    found: Iterable[tuple[L, S]], rank: Callable[[L], Any], rows: Callable[[L], int], most: int
) -> tuple[list[tuple[L, S]], list[L]]:
    """What is shown whole of `found`, the first by `rank` as far as `most` rows go and at least one, and the lines of
    the rest. Of what a line is of no more is held than is shown.
    """
    whole, lines, taken = list[tuple[L, S]](), list[L](), 0
    for line, source in found:
        place = bisect(whole, rank(line), key=lambda one: rank(one[0]))
        if place and taken - sum(rows(one) for one, _ in whole[place:]) + rows(line) > most:
            lines.append(line)
            continue
        whole.insert(place, (line, source))
        taken += rows(line)
        while taken > most and len(whole) > 1:
            lines.append(whole.pop()[0])
            taken -= rows(lines[-1])
    return whole, lines


def _is_told(run: Run, pool: Pool) -> bool:
    """Whether a run is worth a line: it is under way, or how it ended matters on this base."""
    if run.ended is None:
        return True
    left = run.members if run.on_head else rest(run, pool.base_sha, pool.base_tree) or ()
    heads = {standing.pull.head_sha for standing in pool.standings}
    return any(member.head_sha in heads for member in left)


def choices(known: Iterable[Branch], records: Sequence[HistoryRecord], wanted: Wanted) -> Choices:
    """What can be chosen, out of the branches with a pool, some records and what is chosen already; repo and branch
    narrow the rest (T8.15).
    """
    branches = {*known, *(Branch.parse(record.branch) for record in records)}
    within = [r for r in records if Wanted(repo=wanted.repo, branch=wanted.branch).admits(r)]
    targets = [target for record in within for target in record.targets]
    names = {branch.name for branch in branches if wanted.repo in {"", branch.full_repo}}
    return Choices(
        repos=tuple(sorted({branch.full_repo for branch in branches} | {wanted.repo} - {""})),
        branches=tuple(sorted(names | {wanted.branch} - {""})),
        pulls=tuple(sorted({target.number for target in targets}, reverse=True)[:200]),
        authors=tuple(sorted({target.author for target in targets} | {wanted.author} - {""}, key=str.lower)),
    )


def said(standing: Standing, saved: SavedPool, settings: BranchSettings) -> status.Status:
    """The very words that the commit status has."""
    return status.describe(standing, saved.pool, settings, runs=saved.runs, conflicts=saved.conflicts)


def _next(saved: SavedPool, number: int) -> str:
    """What happens next to a pull request, as a sentence of its own."""
    standing = saved.pool.standing(number)
    if standing is None:
        return ""
    text = explain.next_step(standing, saved.pool, saved.action, saved.targets, saved.why, saved.runs)
    return text[:1].upper() + text[1:]


def _pull(standing: Standing, saved: SavedPool, settings: BranchSettings, place: int) -> PullView:
    """One pull request, with the very text of its commit status."""
    words, number = said(standing, saved, settings), standing.pull.number
    is_tested = any(number in {member.number for member in run.members} for run in saved.runs if not run.ended)
    doing = _DOING.get(saved.action, "") if number in saved.targets else ""
    return PullView(
        pull=standing.pull,
        url=_link(standing.pull.url),
        method=standing.method.value if standing.method else "",
        place=place,
        entered_at=when(standing.entered_at) if standing.entered_at else "",
        tone="testing" if is_tested and words.state == "pending" else _tone(words.state, standing),
        text=words.description,
        reasons=standing.reasons,
        doing=doing or (_TESTED if is_tested and standing.in_pool else ""),
    )


def _tone(state: str, standing: Standing) -> str:
    """How a status feels: a state of its own for what nobody but a change can help, and for what rests on purpose."""
    first = _first(standing.reasons, frozenset(Clause))
    if first is None:
        return state
    bad = {Result.FAILURE, Result.ERROR}
    failed = {context.name for context in latest(standing.pull.contexts or ()) if context.result in bad}
    if state == "error" or first.clause in _STOPPED or (first.clause is Clause.CONTEXTS and failed & {*first.items}):
        return "failure"
    return "rest" if first.clause is Clause.DRAFT else state


def _whose(account: str) -> str:
    return "" if account == "*" else account


def _line(saved: SavedPool, asked: str) -> LineView | None:
    """A branch in one line, its counts those of what `asked` leaves; None where it leaves nothing."""
    pool, sought = saved.pool, _sought(saved, asked)
    if not sought and not _is_named(pool.branch, asked):
        return None
    in_pool = sum(standing.in_pool for standing in sought)
    is_blocked = bool(pool.blockers or pool.halted)
    is_tested = any(not run.ended for run in saved.runs)
    return LineView(
        branch=pool.branch,
        action=saved.action,
        why=saved.why,
        error=saved.error,
        in_pool=in_pool,
        waiting=len(sought) - in_pool,
        is_blocked=is_blocked,
        goes_on=bool(in_pool or is_tested or is_blocked or saved.error or pool.unread),
    )


def _sought(saved: SavedPool, asked: str) -> tuple[Standing, ...]:
    """The pull requests of a branch that are left when only what contains a text is wanted."""
    pool = saved.pool
    if _is_named(pool.branch, asked):
        return pool.standings
    return tuple(
        standing
        for standing in pool.standings
        if asked in f"#{standing.pull.number} {standing.pull.title} {standing.pull.author}".lower()
    )


def _is_named(branch: Branch, asked: str) -> bool:
    return asked in str(branch).lower()


def _rank(line: LineView, asked: str) -> tuple[bool, bool, Branch]:
    """What is shown first: the very branch that is asked for, then where something goes on."""
    return not line.is_meant(asked), not line.goes_on, line.branch


def _rows(line: LineView) -> int:
    return 1 + line.in_pool + min(line.waiting, _BESIDE)


def _most_first(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _first(reasons: Iterable[Reason], clauses: frozenset[Clause]) -> Reason | None:
    """The reason of some clauses that a commit status would tell first."""
    found = [reason for reason in reasons if reason.clause in clauses]
    return min(found, key=lambda reason: list(Clause).index(reason.clause), default=None)


def _awaited(reasons: tuple[Reason, ...]) -> str:
    first = _first(reasons, frozenset(Clause))
    return _AWAITED.get(first.clause, "something else") if first else "nothing"


def _contexts(view: PullView, settings: BranchSettings) -> tuple[ContextView, ...]:
    """The newest report of each context, and those that the reasons name and nobody reported; what hinders comes
    first.
    """
    present = latest(view.pull.contexts or ())
    hindering = {name for reason in view.reasons if reason.clause is Clause.CONTEXTS for name in reason.items}
    missing = [Context(name, Result.EXPECTED) for name in hindering - {context.name for context in present}]

    ordered = sorted((*missing, *present), key=lambda c: (c.name not in hindering, c.name.lower(), c.app or ""))
    return tuple(_context(context, settings, must=context.name in hindering) for context in ordered)


def _context(context: Context, settings: BranchSettings, *, must: bool = False) -> ContextView:
    """One report; `must` when it counts whatever the configuration says of its name."""
    is_ours = context.app is None and context.name.lower() == settings.status_context.lower()
    return ContextView(
        name=context.name,
        source=context.app or ("" if context.result is Result.EXPECTED else "commit status"),
        result=context.result.value.lower(),
        description=context.description,
        url=_link(context.url),
        counts=not is_ours and (must or settings.contexts.counts(context.name)),
        is_ours=is_ours,
    )


def _targets(targets: Iterable[Target]) -> tuple[TargetView, ...]:
    return tuple(TargetView(target.number, target.title, target.author, target.sha) for target in targets)


def _said(first: Reason, reasons: Iterable[Reason], clauses: frozenset[Clause]) -> str:
    """The first reason of a step in the words of the status, and how many more there are."""
    more = sum(reason.clause in clauses for reason in reasons) - 1
    text = status.phrase(first).strip() or f"Needs {first.needed}."
    return f"{text} And {more} more." if more else text


def _people_step(view: PullView) -> StepView:
    first = _first(view.reasons, _PEOPLE)
    if first is None:
        return StepView("Labels", "done", "nothing is missing")
    return StepView("Labels", "now", _said(first, view.reasons, _PEOPLE))


def _ci_step(view: PullView, contexts: Sequence[ContextView]) -> StepView:
    first = _first(view.reasons, _CI)
    judged = [context for context in contexts if context.counts]
    if first is None:
        return StepView("CI", "done", f"{len(judged)} of {len(judged)} green" if judged else "nothing is required")
    failed = {Result.FAILURE.value.lower(), Result.ERROR.value.lower()}
    stopped = first.clause is Clause.STAGED or any(context.result in failed for context in judged)
    state = "stop" if stopped else "now"
    return StepView("CI", state, _said(first, view.reasons, _CI))


def _queue_steps(view: PullView, pool: PoolView) -> tuple[StepView, StepView]:
    """The pool and the landing: where it is, or what of GitHub's own or of the branch stands in the way."""
    others = frozenset(Clause) - _PEOPLE - _CI
    first = _first(view.reasons, others)
    stopping = ", ".join(f"#{blocker.number}" for blocker in pool.blockers)
    landing = StepView("Landing", "ahead", f"onto {pool.branch.name}")
    if view.doing == _LANDING:
        landing = StepView("Landing", "now", f"being landed onto {pool.branch.name}")
    elif view.doing == _TESTED:
        landing = StepView("Landing", "now", view.text.removeprefix("Not mergeable. "))
    elif pool.halted:
        landing = StepView("Landing", "stop", "the branch is halted")
    elif stopping:
        landing = StepView("Landing", "stop", f"the branch is blocked by {stopping}")
    elif view.in_pool and view.tone != "success":
        landing = StepView("Landing", "ahead", view.text.removeprefix("Not mergeable. "))
    elif view.in_pool:
        landing = StepView("Landing", "ahead", "next" if view.place == 1 else f"after {view.place - 1} before it")
    if view.in_pool:
        return StepView("Pool", "done", f"place {view.place} of {len(pool.members)}"), landing
    if first is not None:
        return StepView("Pool", "stop", _said(first, view.reasons, others)), landing
    return StepView("Pool", "ahead", "when what is before is done"), landing


def _tested(record: HistoryRecord) -> str:
    """What was tested of a commit that landed (D3); empty for one that did not."""
    if record.landed_sha is None:
        return ""
    if record.tested_tree is None:
        return "not tested together"
    return "landed as tested" if record.tested_tree == record.landed_tree else "another tree than was tested"


def _web_address(api_url: str) -> str:
    """Where GitHub's pages are, given its API: ``https://HOST/api/v3`` or ``https://api.HOST``."""
    return api_url.removesuffix("/api/v3") if api_url.endswith("/api/v3") else api_url.replace("://api.", "://", 1)


def _link(url: str) -> str:
    """An address that may stand in a page: http and https, nothing that a browser would run."""
    return url if urlsplit(url).scheme in {"http", "https"} else ""
