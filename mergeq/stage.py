"""Make what is tested, on GitHub through its API alone: staged runs (D4); give runs up, and sweep what earlier ones
left behind.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import groupby

from mergeq.bootstrap import Services
from mergeq.core.batch import Conflict, Member, Run, RunState, landed, verdict
from mergeq.core.budget import Purpose
from mergeq.core.checkup import standing_in_the_way
from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.landing import obstacles
from mergeq.core.message import neutral, to_write
from mergeq.core.pool import BranchSettings, Pool, Refusal, Standing, changed_workflow
from mergeq.core.pull import Branch, Method
from mergeq.core.queue import Landing
from mergeq.github import HeldBack, LastLook, Refused, Unreadable
from mergeq.github.survey import Survey
from mergeq.store import REFS, Lease, SavedPool
from mergeq.sync import note_run, squashed_commits, target_of

_SWEEP_SECONDS = 3600.0
_LEFT_SECONDS = 600.0  # at least so long until what could not be swept is looked at again
_HEX = frozenset("0123456789abcdef")
SCRATCH_MESSAGE = "[skip ci] mergeq: scratch merge, thrown away"
_BASE_MESSAGE = "mergeq: the base alone"
_NOT_TAKEN_SECONDS = 3600.0  # until what GitHub did not take is tried again, unless it is pushed to
_UNREAD_SECONDS = 300.0  # the same, for what could not be read of it
_BY_RULE = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass
class _Series:
    """Commits on a base, each as a landing will make it, as far as they are built: who is in it, the tree after each,
    the last commit made for each.
    """

    tip: str
    tip_tree: str
    members: list[Member] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    trees: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)

    def add(self, member: Member, target: Target, tree: str, commit: str) -> None:
        """One more."""
        self.members.append(member)
        self.targets.append(target)
        self.trees.append(tree)
        self.commits.append(commit)
        self.tip, self.tip_tree = commit, tree

    def take_back(self, base: str, base_tree: str) -> None:
        """The last one less; `base` is what comes before the first."""
        for column in (self.members, self.targets, self.trees, self.commits):
            column.pop()
        self.tip, self.tip_tree = (self.commits or [base])[-1], (self.trees or [base_tree])[-1]


def stage(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord | None:
    """Build the run that `saved` chose and push its ref once, fully formed, so that CI starts exactly once.

    What earlier runs have built is built on. None when nothing is to be waited for: conflicts, which are remembered,
    left fewer than were to be tested together; or the tree was tested before, whoever built it. Then the branch is
    decided again. Raises LeaseLost, Refused, Unreadable and HeldBack; what was built until then is swept later.
    """
    services = services.on(Purpose.STAGING)
    branch, pool = lease.branch, saved.pool
    settings = services.config.held_to(branch, pool.protection)
    chosen = [standing for number in saved.targets if (standing := pool.standing(number)) is not None]
    series = _begun(saved, chosen)
    failed = {run.staged_sha for run in saved.runs if run.ended not in {None, RunState.GREEN}}
    if chosen and len(series.members) == len(chosen) and series.tip in failed:
        series.take_back(pool.base_sha, pool.base_tree)  # what CI said of a commit stays with it
        services.sleep(1.0)  # or the new one might be the same
    if facts := _build(services, lease, pool, series, chosen[len(series.members) :]):
        services.store.add_conflicts(lease, facts)
    if len(series.members) < min(len(chosen), 2):
        return None
    services.store.extend(lease, services.now())
    name = fresh_name(branch)
    run = Run(
        id=name.rsplit("-", 1)[1],
        base_sha=pool.base_sha,
        base_tree=pool.base_tree,
        members=tuple(series.members),
        ref="",
        staged_sha="",
        trees=tuple(series.trees),
        commits=tuple(series.commits),
        started_at=services.now(),
        targets=tuple(series.targets),
    )
    if (tested := _tested_before(services, branch, run, saved, chosen, settings)) is not None:
        services.store.save_run(lease, tested)
        services.log.info("tested before", branch=str(branch), run=run.id, commit=tested.staged_sha)
        return None
    if not chosen:
        series.tip = services.github.create_commit(branch, pool.base_tree, [pool.base_sha], _BASE_MESSAGE)
    run = replace(run, ref=settings.queue.staging.prefix + name, staged_sha=series.tip, is_pushed=False)
    services.store.save_run(lease, run)
    return _push(services, lease, run)


def finish_staging(services: Services, lease: Lease) -> None:
    """Push the refs of runs whose worker ended before that was certain; what GitHub refuses is chosen anew. Raises
    LeaseLost, Unreadable and HeldBack.
    """
    services = services.on(Purpose.STAGING)
    for run in services.store.runs(lease.branch):
        if not run.is_pushed and run.ended is None:
            try:
                _push(services, lease, run)
            except Refused as error:
                services.log.warning("not staged", ref=run.ref, error=str(error))


def _push(services: Services, lease: Lease, run: Run) -> HistoryRecord:
    """Create the ref of a run; one that is there already is its own, for names are given once. What GitHub refuses is
    forgotten, and what is not known is pushed again in the next turn (D6).
    """
    services.store.look_later(lease.branch, [REFS], services.now() + _SWEEP_SECONDS)
    try:
        _create_ref(services, lease.branch, run.ref, run.staged_sha)
    except HeldBack:
        raise
    except Refused as error:
        if error.status == 0 or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unreadable(f"whether {run.ref} was created is not known: {error}") from None
        if "already exists" not in error.text.lower():
            services.store.forget_run(lease, run)
            raise
    return note_run(services, lease, replace(run, is_pushed=True), Outcome.TRIGGERED, "")


def _begun(saved: SavedPool, chosen: Sequence[Standing]) -> _Series:
    """The longest beginning of what is to be staged that an earlier run has built on the very tip of the base."""
    pool, best = saved.pool, _Series(saved.pool.base_sha, saved.pool.base_tree)
    wanted = [(one.pull.number, one.pull.head_sha, one.method, one.pull.title) for one in chosen]
    for run in saved.runs:
        start = landed(run, pool.base_sha, pool.base_tree)
        stands_on = run.commits[start - 1] if start and len(run.commits) >= start else run.base_sha
        if run.on_head or start is None or stands_on != pool.base_sha or len(run.commits) != len(run.members):
            continue
        series = _Series(pool.base_sha, pool.base_tree)
        for index in range(start, len(run.members)):
            member, target = run.members[index], run.targets[index]
            is_next = (member.number, member.head_sha, member.method, target.title)
            if is_next not in wanted[index - start : index - start + 1]:
                break
            series.add(member, target, run.trees[index], run.commits[index])
        best = max(best, series, key=lambda one: len(one.members))
    return best


def _build(
    services: Services, lease: Lease, pool: Pool, series: _Series, standings: Sequence[Standing]
) -> list[Conflict]:
    """Add to a series as many of these as merge, by merging them on a scratch ref first; the conflicts met."""
    if not standings:
        return []
    branch = lease.branch
    facts: list[Conflict] = []
    built: list[tuple[Standing, list[tuple[str, str]]]] = []
    prefix = [member.head_sha for member in series.members]
    looked_at = [one.pull.number for one in standings if one.method is not Method.REBASE]
    looks = dict(zip(looked_at, services.github.last_looks(branch, looked_at, "") if looked_at else (), strict=True))
    with scratch_ref(services, branch, series.tip, fresh_name(branch), series.tip_tree) as (scratch, start):
        tip = start
        for is_replayed, group in groupby(standings, key=lambda one: one.method is Method.REBASE):
            members, staged = _stageable(services, lease, list(group), looks)
            if not members:
                continue
            if is_replayed:
                tip, trees = _one_by_one(services, lease, members, scratch, tip, [shas for shas, _ in staged])
            else:
                node, heads = looks[members[0].pull.number].node, [shas[0] for shas, _ in staged]
                tip, trees = _merge(services, lease, members, node, scratch, tip, heads)
            for standing, (_, messages), steps in zip(members, staged, trees, strict=True):
                if steps:
                    prefix.append(standing.pull.head_sha)
                    built.append((standing, list(zip(steps, messages, strict=True))))
                elif steps is not None:
                    facts.append(Conflict(pool.base_sha, tuple(prefix), standing.pull.head_sha))
    for standing, commits in built:
        at = series.tip
        for tree, message in commits:
            parents = [at, standing.pull.head_sha] if standing.method is Method.MERGE else [at]
            at = services.github.create_commit(branch, tree, parents, message)
        pull, method = standing.pull, standing.method or Method.MERGE
        series.add(Member(pull.number, pull.head_sha, method, len(commits)), target_of(pull), commits[-1][0], at)
    return facts


def _tested_before(
    services: Services,
    branch: Branch,
    run: Run,
    saved: SavedPool,
    chosen: Sequence[Standing],
    settings: BranchSettings,
) -> Run | None:
    """A run as it is when its very tree was tested already, or is under test: by an earlier run, by the CI of the only
    pull request in it, whose head contains the base, or by that of the base itself. None when it was not.
    """
    tree, now = run.trees[-1] if run.trees else run.base_tree, services.now()
    itself = _is_to_be_pushed(saved.pool, chosen, settings)
    for one in saved.runs:
        same = not one.on_head and (one.trees[-1] if one.trees else one.base_tree) == tree
        same = same and (not itself or one.staged_sha == run.commits[-1])
        if same and one.staged_sha and verdict(one, settings, now).state in {RunState.GREEN, RunState.PENDING}:
            return replace(run, staged_sha=one.staged_sha, contexts=one.contexts, started_at=one.started_at)
    commit, contexts = "", None
    if not chosen and all(one.staged_sha != run.base_sha for one in saved.runs):
        commit, contexts = run.base_sha, services.github.staged(branch, [run.base_sha])[0]
    elif len(chosen) == 1 and chosen[0].pull.tree == tree and not itself:
        commit, contexts = chosen[0].pull.head_sha, chosen[0].pull.contexts
    known = replace(run, staged_sha=commit, contexts=contexts)
    return known if commit and verdict(known, settings, now).state is RunState.GREEN else None


def _is_to_be_pushed(pool: Pool, chosen: Sequence[Standing], settings: BranchSettings) -> bool:
    """Whether the test of another commit with the same tree is of no use: the commit itself will be pushed, and GitHub
    asks for its own results, or would take nothing but a push.
    """
    queue, protection = settings.queue, pool.protection
    if not chosen or queue.landing is Landing.PULL_REQUEST:
        return False
    asks = bool(protection.required) or protection.up_to_date
    members = [(standing.pull.number, standing.method) for standing in chosen]
    return queue.landing is Landing.FAST_FORWARD or (asks and not obstacles(members, protection, queue))


def abandon(services: Services, lease: Lease, saved: SavedPool) -> None:
    """Give up the runs that `saved` names: their refs go, so that CI need not go on, and history says why. What was
    green stays evidence for its tree. Raises LeaseLost.
    """
    services = services.on(Purpose.STAGING)
    settings = services.config.held_to(lease.branch, saved.pool.protection)
    known = {run.id: run for run in saved.runs}
    for name, why in saved.abandon:
        if (run := known.get(name)) is None:
            continue
        try:
            if run.ref:
                services.github.delete_ref(lease.branch, run.ref)
        except Refused as error:
            services.log.warning("staging ref not deleted", ref=run.ref, error=str(error))
        if verdict(run, settings, services.now()).state is RunState.GREEN and not run.on_head:
            run = replace(run, ended=RunState.GREEN, ended_at=services.now(), why=why)
        note_run(services, lease, run, Outcome.ABANDONED, why)


def sweep_refs(services: Services, lease: Lease) -> int:
    """Delete the staging refs of a branch that are older than `keep` and the scratch refs that are older than an hour,
    unless their run is under way; returns how many. Looks where that is marked, else at most once an hour, and once
    more when the next of those that are left is old enough. Raises Refused.

    Only names that this branch gives are touched: its own, a dash, and twelve hexadecimal digits.
    """
    services = services.on(Purpose.STAGING)
    branch, store, now = lease.branch, services.store, services.now()
    staging = services.config.for_branch(branch).queue.staging
    marks = {field: one for field, one in store.marks(branch).items() if field == REFS}
    if not store.begin_ref_sweep(branch, now, _SWEEP_SECONDS) and not marks:
        return 0
    flat = branch.name.replace("/", "-") + "-"
    kept = {run.ref for run in store.runs(branch) if run.ended is None}
    gone, due = 0, list[float]()
    for prefix, keep in ((staging.prefix, staging.keep), (staging.scratch_prefix, _SWEEP_SECONDS)):
        for ref, at in services.github.refs_under(branch, prefix + flat):
            tail = ref.removeprefix(prefix + flat)
            if len(tail) != 12 or not set(tail) <= _HEX:
                continue
            if ref in kept or now - at < keep:
                due.append(max(at + keep, now + _LEFT_SECONDS))
            else:
                services.github.delete_ref(branch, ref)
                gone += 1
    store.unmark(branch, marks)
    if due:
        store.look_later(branch, [REFS], min(due))
    return gone


def fresh_name(branch: Branch) -> str:
    """A name for refs of one branch, flat and never given before (Q53)."""
    return f"{branch.name.replace('/', '-')}-{secrets.token_hex(6)}"


@contextmanager
def scratch_ref(services: Services, branch: Branch, base: str, name: str, tree: str = "") -> Iterator[tuple[str, str]]:
    """A scratch ref with the content of `base` for as long as something is tried out on it: its name and its tip.

    Its own commit says that CI is to leave it alone. What fails leaves it behind, to be swept.
    """
    github = services.github
    scratch = services.config.for_branch(branch).queue.staging.scratch_prefix + name
    services.store.look_later(branch, [REFS], services.now() + _SWEEP_SECONDS)
    start = github.create_commit(branch, tree or github.tree_of(branch, base), [base], SCRATCH_MESSAGE)
    _create_ref(services, branch, scratch, start)
    yield scratch, start
    github.delete_ref(branch, scratch)


def _create_ref(services: Services, branch: Branch, name: str, sha: str) -> None:
    """Create a ref of ours. Raises Refused, which says what is in the way where that can be seen."""
    try:
        services.github.create_ref(branch, name, sha)
    except Refused as error:
        if error.status not in _BY_RULE or "already exists" in error.text.lower():
            raise
        raise Refused(error.status, _in_the_way(services, branch, name, error.text)) from None


def _in_the_way(services: Services, branch: Branch, name: str, text: str) -> str:
    """Which branch or rulesets may be why GitHub refuses something on a ref of ours, and what to do, with what it said
    itself, which may be nothing (Q52, Q53).
    """
    above = [name[:end] for end, letter in enumerate(name) if letter == "/"]
    if taken := [one for one in above if services.github.has_branch(branch, one)]:
        return f"there is a branch {taken[0]}, below which git can have no other; delete it (GitHub said: {text})"
    staging = services.config.for_branch(branch).queue.staging
    prefix = staging.prefix if name.startswith(staging.prefix) else staging.scratch_prefix
    try:
        rules = Survey(services.github, branch.full_repo).rules_on(name)
    except Unreadable:
        rules = ()
    if known := "; ".join(f"{what}; {remedy}" for what, remedy in standing_in_the_way(rules, prefix)):
        return f"{known} (GitHub said: {text})"
    return f"{text}, though no ruleset seems to cover refs/heads/{prefix}**"


def _stand_back(
    services: Services, lease: Lease, standing: Standing, text: str, seconds: float = _NOT_TAKEN_SECONDS
) -> None:
    """Leave a pull request that GitHub does not take out of what is tested, and say so once (Q58)."""
    if path := changed_workflow(standing.pull):
        text += f" It changes {path}, for which mergeq's credentials may lack workflows: write."
    refusal = Refusal(standing.pull.head_sha, text, services.now() + seconds)
    services.store.refuse(lease, standing.pull.number, refusal)
    services.log.warning("not staged", pull=str(standing.pull), why=text)


def _stageable(
    services: Services, lease: Lease, standings: Sequence[Standing], looks: Mapping[int, LastLook]
) -> tuple[list[Standing], list[tuple[list[str], list[str]]]]:
    """Those that can be staged, and for each what `_to_stage` says; the others stand back for a while, so that nobody
    waits for one that cannot be read.
    """
    members, staged = list[Standing](), list[tuple[list[str], list[str]]]()
    for one in standings:
        try:
            staged.append(_to_stage(services, lease.branch, one, looks.get(one.pull.number)))
        except Unreadable as error:
            _stand_back(services, lease, one, str(error), _UNREAD_SECONDS)
        else:
            members.append(one)
    return members, staged


def _to_stage(
    services: Services, branch: Branch, standing: Standing, look: LastLook | None
) -> tuple[list[str], list[str]]:
    """The commits by which one pull request is staged, and the message that each will have: those of a rebase, which is
    not looked at, keep theirs, else it is the one of its landing (D4). Raises Unreadable.
    """
    number, head = standing.pull.number, standing.pull.head_sha
    if look is None:
        commits = services.github.commits(branch, number, head)
        return [commit.sha for commit in commits], [neutral(commit.message) for commit in commits]
    if look.pull is None or look.pull.head_sha != head:
        raise Unreadable(f"{standing.pull} is another by now, or could not be read in full, right before it was staged")
    method = standing.method or Method.MERGE
    commits = squashed_commits(services, look.pull, method)
    message = to_write(services.config.commit_template(branch), look.pull, method, look.repository, commits)
    for why in message.failures:
        services.log.warning("GitHub's default text is used", pull=str(look.pull), why=why)
    return [head], [str(message)]


def _merge(
    services: Services,
    lease: Lease,
    standings: Sequence[Standing],
    node: str,
    scratch: str,
    tip: str,
    heads: Sequence[str],
) -> tuple[str, list[list[str] | None]]:
    """Merge pull requests into the scratch ref, each as one; the new tip, and for each what `_replay` says of it. Where
    GitHub says no by a rule, one by one will show to which.
    """
    try:
        merged = services.github.merge_all(lease.branch, node, scratch, heads, SCRATCH_MESSAGE)
    except Refused as error:
        if error.status not in _BY_RULE:
            raise
        services.github.reset_ref(lease.branch, scratch, tip)
        return _one_by_one(services, lease, standings, scratch, tip, [[head] for head in heads])
    return next((one[0] for one in reversed(merged) if one), tip), [[one[1]] if one else [] for one in merged]


def _one_by_one(
    services: Services,
    lease: Lease,
    standings: Sequence[Standing],
    scratch: str,
    tip: str,
    series: Sequence[Sequence[str]],
) -> tuple[str, list[list[str] | None]]:
    trees: list[list[str] | None] = []
    for standing, shas in zip(standings, series, strict=True):
        tip, steps = _replay(services, lease, standing, scratch, tip, shas)
        trees.append(steps)
    return tip, trees


def _replay(
    services: Services, lease: Lease, standing: Standing, scratch: str, tip: str, shas: Sequence[str]
) -> tuple[str, list[str] | None]:
    """Merge the commits of one pull request into the scratch ref one by one; the new tip and the tree after each. With
    the ref where it was none if one of them conflicts or adds nothing, and None if GitHub does not take it on any ref:
    then it stands back.
    """
    github, branch = services.github, lease.branch
    at, trees = tip, list[str]()
    for sha in shas:
        refused = ""
        try:
            merged = github.merge_into(branch, scratch, sha, SCRATCH_MESSAGE)
        except Refused as error:
            is_ruled = "rule violation" in error.text.lower()
            if error.status not in _BY_RULE and not is_ruled:
                raise
            refused = _in_the_way(services, branch, scratch, error.text) if is_ruled else error.text
            merged = None
        if merged is None or merged[0] == at:
            if at != tip:
                github.reset_ref(branch, scratch, tip)
            if not refused:
                return tip, []
            _stand_back(services, lease, standing, refused)
            return tip, None
        at, tree = merged
        trees.append(tree)
    return at, trees
