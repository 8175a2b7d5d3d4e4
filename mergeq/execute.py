"""Carry out one action: look again, write down the intent, ask GitHub once, find out what happened, record it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, assert_never

from mergeq.bootstrap import Services
from mergeq.core.batch import Run, RunState, verdict
from mergeq.core.budget import Purpose
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.landing import Choice, Staged, Way, choose, obstacles, obstacles_of
from mergeq.core.message import Message, to_ask_for
from mergeq.core.pool import Landed, Refusal, Standing, assess, circumstances, stands_back
from mergeq.core.pull import Branch, Method, Protection, PullRequest, Repository
from mergeq.core.queue import Landing as Wanted
from mergeq.core.refusal import failed_merges
from mergeq.core.status import Status, shown
from mergeq.github import HeldBack, Landing, LastLook, MergeAnswer, MergeVerdict, Refused, Unreadable, is_about_base
from mergeq.store import Declined, Intent, Lease, Reading, SavedPool
from mergeq.sync import remember, set_status, squashed_commits, target_of

_PARKED_SECONDS = 300.0
_WAITING_SECONDS = 60.0  # for what may come at any moment
_DOUBTED_SECONDS = 600.0  # after that an unknown outcome is recorded as unknown, and that pull request stands back
_DOUBT_PARKED_SECONDS = 86400.0
_RACE_WAITS = (4.0, 8.0)  # seconds before asking again when GitHub says the base was modified (T5.5)
_UNNOTICED_SECONDS = 60.0  # how long GitHub is given to mark as merged what was pushed to a base (Q76)
_GREEN = Status("success", "In merge pool.")
_DOUBT_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between reads after an answer that says nothing (D6)
_STILL_SECONDS = 10.0  # that GitHub may go on with what it was asked, though the connection is gone (REST, "Timeouts")


@dataclass(frozen=True, slots=True)
class _Landed:
    """How the attempt to land one pull request ended. `landing` only when it is on the base."""

    outcome: Outcome
    err: str = ""
    landing: Landing | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A pull request as it was right before landing, its repository with its GraphQL id, what binds its branch, the tip
    of the base, and our login.
    """

    pull: PullRequest
    repository: Repository
    protection: Protection
    base_sha: str
    node: str
    speaks_as: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is to land, in order, and the run that tested it, None where heads alone were tested. Of the run's members
    the first `skip` are on the base already.
    """

    saved: SavedPool
    chosen: tuple[Standing, ...]
    run: Run | None
    skip: int = 0

    @classmethod
    def of(cls, saved: SavedPool) -> Self:
        run = next((run for run in saved.runs if run.id == saved.run), None)
        found = (saved.pool.standing(number) for number in saved.targets)
        chosen = tuple(standing for standing in found if standing is not None)
        numbers = [member.number for member in run.members] if run else []
        is_tail = bool(chosen) and chosen[0].pull.number in numbers
        return cls(saved, chosen, run, numbers.index(chosen[0].pull.number) if is_tail else 0)

    @property
    def base(self) -> str | None:
        """Where the tip of the base must be; None where it does not matter."""
        return self.saved.pool.base_sha if self.run else None

    @property
    def onto(self) -> str:
        """The commit on which the first was staged; empty where it is not known."""
        if self.run is None or self.skip > len(self.run.commits):
            return ""
        return self.run.commits[self.skip - 1] if self.skip else self.run.base_sha

    @property
    def numbers(self) -> list[int]:
        return [standing.pull.number for standing in self.chosen]

    @property
    def top(self) -> str:
        """The commit that was made for the last; what has tested its tree may have been another."""
        return self.run.commits[-1] if self.run and self.run.commits else ""

    def depth(self, index: int) -> int:
        """How many commits one of the chosen adds to the base's first-parent line."""
        return self.run.members[self.skip + index].steps if self.run else 1


def land(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord:
    """Land what `saved` chose: one pull request on the strength of its own head, or members of a green run in order,
    to the last.

    Every way this can end is a history record with its reason; raises LeaseLost, and HeldBack where GitHub's limits end
    it before anything landed, or before it is known. Nothing lands unless the same evaluation that admitted it admits
    it once more under a fresh read, for every member that is still to come (D23).
    What was tested is pushed itself where nothing stands against that, else each is merged by itself (D5). After each
    write the base is compared with what was tested (D22): another first parent ends it as RACED, another tree halts the
    branch.
    """
    services, attempt, done = services.on(Purpose.LANDING), _Attempt.of(saved), list[_Landed]()
    choice = _choice(services, lease, attempt, saved.pool.protection)
    if changed := _not_green_any_more(services, attempt):
        done = [_Landed(Outcome.STALE, changed)]
    elif choice.way is Way.FAST_FORWARD:
        choice, done = _push(services, lease, attempt)
    services.log.info("landing", branch=str(lease.branch), pulls=attempt.numbers, way=choice.way, why=choice.why)
    if choice.way is None and not done:
        done = _hold(services, lease, attempt, f"it cannot be done by fast-forward, since {choice.why}")
    return _finish(services, lease, attempt, done or _one_by_one(services, lease, attempt, str(choice)), str(choice))


def settle_intent(services: Services, lease: Lease) -> HistoryRecord | None:
    """Find out what became of a landing whose worker died, and record it; None when there is no such landing. Raises
    LeaseLost.

    While GitHub's answers do not agree the intent stays, and the branch does nothing else: raises Unreadable. After ten
    minutes the pull request stands back until it is pushed to, and the branch goes on. Raises HeldBack, and the time
    that GitHub cannot be asked does not count.
    """
    services = services.on(Purpose.LANDING)
    intent = services.store.intent(lease.branch)
    if intent is None:
        return None
    attempt = _Attempt.of(intent.saved)
    index = attempt.numbers.index(intent.number) if intent.number in attempt.numbers else 0
    steps = [_Landed(Outcome.LANDED) for _ in range(index)]
    if index and (run := attempt.run) is not None:  # in a run each is asked for on what the one before it landed as
        tree = run.trees[attempt.skip + index - 1]
        before = Landing(True, False, "", "", landed_sha=intent.base_sha, landed_tree=tree)
        steps[-1] = _Landed(Outcome.LANDED, landing=before)
    try:
        if intent.after:
            steps += _pushed_or_not(services, lease, attempt, "the worker ended before the base was moved", intent.at)
        else:
            landing = _resolve(services, lease, intent.number, intent.base_sha, attempt.depth(index), intent.at)
            if landing.merged:
                steps.append(_compare(services, lease, landing, attempt, index, intent.base_sha))
            else:
                steps.append(_Landed(Outcome.STALE, "the worker ended before GitHub merged it"))
    except HeldBack:
        services.store.intend(lease, replace(intent, at=services.now()))
        raise
    except Unreadable as error:
        if services.now() - intent.at < _DOUBTED_SECONDS:
            raise
        for standing in attempt.chosen if intent.after else attempt.chosen[index : index + 1]:
            _stand_back(services, lease, standing, str(error), _DOUBT_PARKED_SECONDS)
        steps.append(_Landed(Outcome.STALE, str(error)))
    if steps[-1].outcome is Outcome.LANDED and len(steps) < len(attempt.chosen):
        steps.append(_Landed(Outcome.STALE, "the worker ended before it was its turn"))
    return _finish(services, lease, attempt, steps, intent.way)


def see_off(services: Services, lease: Lease) -> None:
    """Look again at what landed by fast-forward and was not seen to be marked as merged by GitHub (Q76): what is still
    open after a minute, and certainly on the base, is told so and closed. Raises LeaseLost, Unreadable and HeldBack.
    """
    services, branch, now = services.on(Purpose.LANDING), lease.branch, services.now()
    due = {n: one for n, one in services.store.unnoticed(branch).items() if now - one.at >= _UNNOTICED_SECONDS}
    landings = services.github.landings(branch, list(due)) if due else []
    for (number, landed), read in zip(due.items(), landings, strict=True):
        pull = f"{branch.full_repo}#{number}"
        try:
            if read.is_open and (read.head_sha, read.base) == (landed.head_sha, branch.name):
                _close(services, branch, number, landed, read.base_sha)
            elif not read.is_open and not read.merged:
                services.log.info("closed without being marked as merged", pull=pull, landed=landed.sha)
        except Refused as error:
            services.log.warning("landed, and could not be closed", pull=pull, error=str(error))
            services.store.note_unnoticed(lease, {number: replace(landed, at=now)})
            services.store.look_later(branch, [str(number)], now + _UNNOTICED_SECONDS)
        else:
            services.store.forget_unnoticed(lease, number)


def _close(services: Services, branch: Branch, number: int, landed: Landed, tip: str) -> None:
    """Tell a pull request that it has landed, once, and close it; one that is not on the base after all stays open."""
    if services.github.lacks(branch, tip, landed.head_sha):
        services.log.error("landed, and is not on the base any more", pull=f"{branch.full_repo}#{number}", base=tip)
        return
    body = (
        f"This has landed on `{branch.name}` as {landed.sha}. GitHub did not mark it as merged, so it is closed here."
    )
    services.github.say_once(branch, number, body, landed.at)
    services.github.close_pull(branch, number)
    services.log.info("closed, since it has landed", pull=f"{branch.full_repo}#{number}", landed=landed.sha)


def _not_green_any_more(services: Services, attempt: _Attempt) -> str:
    """What CI says of the tested commit by now, if it is not green any more or cannot be read (D23, Q39)."""
    run, pool = attempt.run, attempt.saved.pool
    if run is None or run.on_head:  # whose head is looked at with everything else of it
        return ""
    settings = services.config.held_to(pool.branch, pool.protection)
    try:
        contexts = services.github.staged(pool.branch, [run.staged_sha])[0]
    except Unreadable as error:
        return str(error)
    said = verdict(replace(run, contexts=contexts, ended=None), settings, services.now())
    return "" if said.state is RunState.GREEN else f"{run.staged_sha[:7]} is not green any more: {said.why}"


def _choice(
    services: Services, lease: Lease, attempt: _Attempt, protection: Protection, seen: _Seen | None = None
) -> Choice:
    """How to land, by what is known of protection; with what was `seen` right before it, for good."""
    branch, run = lease.branch, attempt.run
    settings = services.config.for_branch(branch)
    queue = settings.queue
    members = [(standing.pull.number, standing.method) for standing in attempt.chosen]
    against = list(obstacles(members, protection, queue))
    declined = services.store.declined(branch)
    if declined is not None and declined.holds(protection, services.now()):
        against.append(f"GitHub refused it under these rules: {declined.text}")
    if run is not None and not against and queue.landing is not Wanted.PULL_REQUEST:
        staged = Staged(attempt.top, attempt.onto, run.contexts)
        if seen is not None:
            staged = _looked_up(services, branch, staged, seen)
        else:
            protection = replace(protection, required=())  # what is green is read right before it lands
        against += obstacles_of(staged, attempt.saved.pool.base_sha, protection, settings.status_context)
    return choose(queue.landing, against)


def _looked_up(services: Services, branch: Branch, staged: Staged, seen: _Seen) -> Staged:
    """All that counts of a staged commit, as it is now; what cannot be read is against it."""
    github = services.github
    try:
        return replace(
            staged,
            contexts=github.staged(branch, [staged.sha])[0] if seen.protection.required else (),
            unsigned=github.unsigned(branch, seen.base_sha, staged.sha) if seen.protection.signatures else (),
            hidden=github.hidden_rules(branch, ""),
            speaks_as=seen.speaks_as,
        )
    except (Refused, Unreadable) as error:
        return replace(staged, hidden=(f"they could not be read, {error}",))


def _push(services: Services, lease: Lease, attempt: _Attempt) -> tuple[Choice, list[_Landed]]:
    """Move the base to the tested commit; nothing, and another choice, where that turns out not to be for us."""
    branch, waits = lease.branch, iter(_RACE_WAITS)
    name = services.config.for_branch(branch).status_context
    while True:
        try:
            seen = _objection(services, branch, attempt, 0, attempt.base)
            if isinstance(seen, str):
                return Choice(Way.FAST_FORWARD, ""), [_Landed(Outcome.STALE, seen)]
            choice = _choice(services, lease, attempt, seen.protection, seen)
            if choice.way is not Way.FAST_FORWARD:
                return choice, []
            if name.lower() in {required.lower() for required, _ in seen.protection.required}:
                services.github.set_status(branch, attempt.top, name, _GREEN, "")
            for standing in attempt.chosen:  # nothing depends on those, but people see them for ever
                if problem := _announce(services, branch, standing.pull):
                    services.log.warning("status not written", pull=str(standing.pull), error=problem)
            services.store.extend(lease, services.now())
            services.store.intend(lease, _intent_to_push(services, attempt, seen.base_sha, choice))
            answer = services.github.push(branch, seen.node, before=seen.base_sha, after=attempt.top)
        except HeldBack:
            services.store.withdraw(lease)
            raise
        services.log.info("push asked for", branch=str(branch), verdict=answer.verdict.value, answer=answer.text)
        match answer.verdict:
            case MergeVerdict.MERGED | MergeVerdict.UNKNOWN:
                otherwise, is_sure = f"{answer.text}; GitHub did not move the base", answer.sha is not None
                return choice, _pushed_or_not(services, lease, attempt, otherwise, services.now(), is_sure=is_sure)
            case MergeVerdict.RACED:
                if (wait := next(waits, None)) is None:
                    return choice, [_Landed(Outcome.STALE, answer.refusal.told(answer.text))]
                services.sleep(wait)
            case _:
                _decline(services, lease, seen.protection, answer)
                services.store.withdraw(lease)
                return _choice(services, lease, attempt, seen.protection, seen), []


def _decline(services: Services, lease: Lease, protection: Protection, answer: MergeAnswer) -> None:
    """Remember that GitHub would not move the base: for good where it named a rule or a right, else for longer each
    time.
    """
    before, until = services.store.declined(lease.branch), None
    tries = before.tries + 1 if before is not None and before.protection == protection else 1
    if answer.verdict is not MergeVerdict.STOPPED:
        until = services.now() + stands_back(tries, _PARKED_SECONDS)
    services.store.decline(lease, Declined(protection, answer.text, until, tries))


def _intent_to_push(services: Services, attempt: _Attempt, base_sha: str, choice: Choice) -> Intent:
    first, now = attempt.chosen[0], services.now()
    number, head = first.pull.number, first.pull.head_sha
    return Intent(attempt.saved, number, head, Method.MERGE, base_sha, now, attempt.top, str(choice))


def _pushed_or_not(
    services: Services, lease: Lease, attempt: _Attempt, otherwise: str, asked_at: float, *, is_sure: bool = False
) -> list[_Landed]:
    """What became of a push, read until two readings agree (D6), and not before GitHub has certainly ended what it was
    `asked_at`: that the base has the staged commit is believed when it is seen, and where GitHub said so (`is_sure`)
    though it is not seen (Q12). Raises Unreadable when they do not agree.
    """
    branch, base, after = lease.branch, attempt.saved.pool.base_sha, attempt.top
    label = services.config.blocker_label
    reads: list[Landing] = []
    agreed = 0
    for wait in (*_DOUBT_WAITS, None):
        services.store.extend(lease, services.now())
        at = services.now()
        try:
            reads = services.github.landings(branch, attempt.numbers, 1, after, label)
            tip = reads[0].base_sha
            if tip == after or (tip != base and not services.github.lacks(branch, tip, after)):
                return _pushed(services, lease, attempt, reads, at)
        except (Refused, Unreadable):
            agreed = 0
        else:
            agreed += 1
            if agreed > 1 and at - asked_at >= _STILL_SECONDS and not is_sure:
                return [_Landed(Outcome.STALE, otherwise)]
        if wait is not None:
            services.sleep(wait)
    if is_sure and reads:
        return _pushed(services, lease, attempt, reads, services.now())
    raise Unreadable(f"{branch}: GitHub's answers do not agree on whether it was moved to {after[:7]}")


def _pushed(services: Services, lease: Lease, attempt: _Attempt, reads: Sequence[Landing], at: float) -> list[_Landed]:
    """All that was chosen is on the base, by one push; what GitHub was seen to know of it need not be read again."""
    repo, known = lease.branch.full_repo, reads[0].state
    merged = [Reading(repo, number, None) for number, read in zip(attempt.numbers, reads, strict=True) if read.merged]
    services.store.keep(merged, [known] if known and known.base_sha == attempt.top else [], at)
    base = attempt.saved.pool.base_sha  # which the push was bound to, and the staged commit is made on
    landings = [replace(read, landed_sha=attempt.top, line=(base,)) for read in reads]
    last = _compare(services, lease, landings[-1], attempt, len(landings) - 1, base)
    return [*(_Landed(Outcome.LANDED, landing=one) for one in landings[:-1]), last]


def _one_by_one(services: Services, lease: Lease, attempt: _Attempt, way: str) -> list[_Landed]:
    """Merge each by itself, until one does not land as it should."""
    base, done = attempt.base, list[_Landed]()
    for index, standing in enumerate(attempt.chosen):
        step = _land_next(services, lease, attempt, index, base, way)
        done.append(step)
        if step.outcome is not Outcome.LANDED or step.landing is None:
            break
        base = step.landing.landed_sha if attempt.run else None
        services.log.info("landed", pull=str(standing.pull), commit=step.landing.landed_sha)
    return done


def _land_next(services: Services, lease: Lease, attempt: _Attempt, index: int, base: str | None, way: str) -> _Landed:
    """Merge one of those chosen: ask GitHub once for each time it is certain that nothing happened."""
    branch, chosen, saved = lease.branch, attempt.chosen[index], attempt.saved
    number, head, method = chosen.pull.number, chosen.pull.head_sha, chosen.method
    if method is None:
        return _Landed(Outcome.STALE, "its labels ask for several merge methods")
    waits = iter(_RACE_WAITS)
    while True:
        try:
            seen = _objection(services, branch, attempt, index, base)
            if isinstance(seen, str):
                return _Landed(Outcome.STALE, seen)
            if held := _passable(services, branch, seen, method):
                _stand_back(services, lease, chosen, held, is_ours=True)
                return _Landed(Outcome.REFUSED, held)
            base_sha = seen.base_sha
            message = _message(services, branch, seen, method)
            if problem := _announce(services, branch, chosen.pull):
                text = f"the status could not be set before merging: {problem}"
                _stand_back(services, lease, chosen, text)
                return _Landed(Outcome.REFUSED, text)
            services.store.extend(lease, services.now())
            services.store.intend(lease, Intent(saved, number, head, method, base_sha, services.now(), way=way))
            answer = services.github.merge(branch, number, head_sha=head, method=method, message=message)
        except HeldBack as error:
            if index:
                return _Landed(Outcome.STALE, str(error))
            services.store.withdraw(lease)
            raise
        services.log.info("merge asked for", pull=str(chosen.pull), verdict=answer.verdict.value, answer=answer.text)
        match answer.verdict:
            case MergeVerdict.MERGED:
                landing = _landed(services, lease, chosen, answer.sha, attempt.depth(index))
                return _compare(services, lease, landing, attempt, index, base_sha)
            case MergeVerdict.UNKNOWN:
                landing = _resolve(services, lease, number, base_sha, attempt.depth(index), services.now())
                if landing.merged:
                    return _compare(services, lease, landing, attempt, index, base_sha)
                return _Landed(Outcome.STALE, f"{answer.text}; GitHub did not merge it")
            case MergeVerdict.MOVED:
                return _Landed(Outcome.STALE, answer.refusal.told(answer.text))
            case MergeVerdict.RACED if (wait := next(waits, None)) is not None:
                services.sleep(wait)
            case MergeVerdict.WAITS:
                _stand_back(services, lease, chosen, answer.text, _WAITING_SECONDS)
                return _Landed(Outcome.REFUSED, answer.refusal.told(answer.text))
            case MergeVerdict.RACED | MergeVerdict.REFUSED:
                _stand_back(services, lease, chosen, answer.text)
                return _Landed(Outcome.REFUSED, answer.refusal.told(answer.text))
            case MergeVerdict.STOPPED:
                _stop(services, lease, saved, chosen, answer)
                return _Landed(Outcome.REFUSED, answer.refusal.told(answer.text))
            case _:
                assert_never(answer.verdict)


def _message(services: Services, branch: Branch, seen: _Seen, method: Method) -> Message:
    """What to tell GitHub of the message; a template that fails is told to the log alone (T1.46)."""
    template = services.config.commit_template(branch)
    commits = () if template.title and template.body else squashed_commits(services, seen.pull, method)
    message = to_ask_for(template, seen.pull, method, seen.repository, commits)
    for why in message.failures:
        services.log.warning("GitHub's default text is used", pull=str(seen.pull), why=why)
    return message


def _announce(services: Services, branch: Branch, pull: PullRequest) -> str:
    """Make our own context green before merging, for protection may require it (T5.2, T5.3); what went wrong, if so."""
    name = services.config.for_branch(branch).status_context
    mine = shown(pull.contexts or (), name)
    if mine is not None and mine.state == "success":
        return ""
    return set_status(services, pull, name, mine, _GREEN)


def _objection(services: Services, branch: Branch, attempt: _Attempt, index: int, base: str | None) -> str | _Seen:
    """Why none of those chosen, from one on, must land now, else what was seen of that one (D23).

    `base`, where tested content lands, is where the tip of the base must be.
    """
    services.follow()
    remaining, numbers = attempt.chosen[index:], attempt.numbers[index:]
    try:
        looks = services.github.last_looks(branch, numbers, services.config.blocker_label)
    except Unreadable as error:
        return str(error)
    seen: list[_Seen] = []
    for standing, look in zip(remaining, looks, strict=True):
        said = _judged_again(services, branch, attempt.saved, standing, look)
        if isinstance(said, str):
            return said if len(remaining) == 1 else f"#{standing.pull.number}: {said}"
        seen.append(said)
    tip = looks[-1].base_sha
    if base is not None and tip != base:
        return f"the base is at {tip[:7]}, not at the tested {base[:7]}"
    return replace(seen[0], base_sha=tip)


def _judged_again(
    services: Services, branch: Branch, saved: SavedPool, chosen: Standing, look: LastLook
) -> str | _Seen:
    """Why one pull request must not land after all, else what was seen of it."""
    if halted := services.store.halted(branch):
        return f"the branch is halted: {halted}"
    if look.pull is None or look.blockers is None:
        return "it could not be read in full right before merging"
    if look.pull.head_sha != chosen.pull.head_sha:
        return f"its head is now {look.pull.head_sha[:7]}, not the {chosen.pull.head_sha[:7]} that was judged"
    if look.pull.branch != branch:
        return f"its base is now {look.pull.base}"
    if stopping := [blocker.number for blocker in look.blockers if blocker.applies_to(branch.name)]:
        return "blocked by " + ", ".join(f"issue #{number}" for number in stopping)
    settings = services.config.for_branch(branch)
    base = (saved.pool.base_sha, saved.pool.base_tree)
    memory = remember(services, branch, settings, saved, services.store.runs(branch), *base)
    standing = assess(look.pull, look.repository, look.protection, settings, memory, services.now())
    if standing.method is not chosen.method:
        return f"its merge method is now {standing.method}, not {chosen.method}"
    if standing.reasons:
        return "; ".join(f"needs {reason.needed}, but {reason.observed}" for reason in standing.reasons)
    return _Seen(look.pull, look.repository, look.protection, look.base_sha, look.node, look.speaks_as)


def _passable(services: Services, branch: Branch, seen: _Seen, method: Method) -> str:
    """Why GitHub's own judgement is not enough before a merge, since its rules would not hold us to them (D19); empty
    when it is, or they would.
    """
    pull, github = seen.pull, services.github
    try:
        is_told = not seen.protection.unjudged and pull.merge_state not in {"BLOCKED", "UNKNOWN"}
        if rules := () if is_told else github.hidden_rules(branch, pull.merge_state):
            return (
                f"only GitHub can judge its rules ({', '.join(rules)}), and would let mergeq pass them by; take mergeq"
                " off the ruleset's bypass list"
            )
        if seen.protection.signatures and method is Method.MERGE:
            unsigned = github.unsigned(branch, seen.base_sha, pull.head_sha)
            return f"commits must have verified signatures, and {unsigned[0][:7]} has none" if unsigned else ""
    except Refused as error:
        return f"its rules could not be read: {error}"
    return ""


def _stand_back(
    services: Services,
    lease: Lease,
    standing: Standing,
    text: str,
    seconds: float = _PARKED_SECONDS,
    *,
    is_ours: bool = False,
) -> None:
    """Keep a pull request that GitHub will not merge, or that we will not land, from holding up the others (T12.7):
    longer each time that this head is refused, and not when what could change that has changed.
    """
    store, branch, pull = services.store, lease.branch, standing.pull
    before, saved, state = store.refusals(branch).get(pull.number), store.pool(branch), store.state(branch)
    tries = before.tries + 1 if before and before.head_sha == pull.head_sha else 1
    about, base_sha = "", ""
    if saved and state:
        about = circumstances(pull, state.repository, saved.pool.protection, services.config.status_context)
        base_sha = saved.pool.base_sha if is_about_base(text) else ""
    until = services.now() + stands_back(tries, seconds)
    store.refuse(lease, pull.number, Refusal(pull.head_sha, text, until, is_ours, about, base_sha, tries))


def _hold(services: Services, lease: Lease, attempt: _Attempt, text: str) -> list[_Landed]:
    """Land nothing of what was chosen: it would have to be landed otherwise than is configured."""
    for standing in attempt.chosen:
        _stand_back(services, lease, standing, text, is_ours=True)
    return [_Landed(Outcome.REFUSED, text)]


def _stop(services: Services, lease: Lease, saved: SavedPool, chosen: Standing, answer: MergeAnswer) -> None:
    """GitHub's no to everything that would land like this: all of it stands back, and administrators are told what to
    do (T5.9, T5.10). One is tried again after that, so that nobody has to say when it is mended.
    """
    text = f"{answer.text} To mend it, {answer.remedy}"
    for standing in saved.pool.members:
        if standing.method is chosen.method or not answer.by_method:
            _stand_back(services, lease, standing, text)
    services.log.error("the branch is stopped", branch=str(lease.branch), pull=str(chosen.pull), why=text)


def _compare(
    services: Services, lease: Lease, landing: Landing, attempt: _Attempt, index: int, base_sha: str
) -> _Landed:
    """Hold what landed against what was tested (D22); in head mode nothing was tested together, so nothing is held."""
    if attempt.run is None:
        return _Landed(Outcome.LANDED, landing=landing)
    if landing.landed_tree is None or not landing.line:
        why = f"what landed as {(landing.landed_sha or '')[:7]} could not be read back"
        services.store.halt(lease, why, services.now())
        return _Landed(Outcome.WRONG_TREE, why, landing)
    if landing.line[-1] != base_sha:
        why = f"it landed on {landing.line[-1][:7]}, not on the tested {base_sha[:7]}: somebody pushed in between"
        return _Landed(Outcome.RACED, why, landing)
    expected = attempt.run.trees[attempt.skip + index]
    if landing.landed_tree != expected:
        landed, tested = landing.landed_tree[:7], expected[:7]
        why = f"{(landing.landed_sha or '')[:7]} has the tree {landed}, not the tested {tested}"
        services.store.halt(lease, why, services.now())
        services.log.error("wrong tree landed; the branch is halted", branch=str(lease.branch), why=why)
        return _Landed(Outcome.WRONG_TREE, why, landing)
    return _Landed(Outcome.LANDED, landing=landing)


def _landed(services: Services, lease: Lease, chosen: Standing, sha: str | None, depth: int) -> Landing:
    """What landed, read back; GitHub may lag behind its own answer, which is believed (Q12).

    A pull request that still reads as open after all is kept from being landed once more. What of the branch is so by
    this landing is known then, and need not be read again.
    """
    number, lagging = chosen.pull.number, Landing(merged=True, is_open=False, head_sha="", base_sha="", landed_sha=sha)
    for wait in (*_DOUBT_WAITS, None):
        at = services.now()
        try:
            landing = services.github.landing(lease.branch, number, depth, sha, services.config.blocker_label)
        except Unreadable:
            landing = None
        if landing and landing.landed_sha == sha:
            lagging = replace(landing, merged=True)
            if landing.merged:
                if landing.state is not None and landing.state.base_sha == sha:
                    services.store.keep([Reading(lease.branch.full_repo, number, None)], [landing.state], at)
                return landing
        if wait is not None:
            services.sleep(wait)
    text = f"it was merged as {(sha or '')[:7]}, which GitHub does not show yet"
    refusal = Refusal(chosen.pull.head_sha, text, services.now() + _DOUBT_PARKED_SECONDS)
    services.store.refuse(lease, number, refusal)
    return lagging


def _resolve(services: Services, lease: Lease, number: int, base_sha: str, depth: int, asked_at: float) -> Landing:
    """Decide an unknown outcome by reading until two readings agree (D6). Raises Unreadable when they do not.

    Merged is believed when it is seen. Not merged is believed only when the pull request is seen open and the base
    where it was, twice in a row, and not before GitHub has certainly ended what it was `asked_at`: a base that moved
    while the pull request still reads as open may be this very landing (Q9).
    """
    agreed = 0
    for wait in (*_DOUBT_WAITS, None):
        services.store.extend(lease, services.now())
        at = services.now()
        try:
            landing = services.github.landing(lease.branch, number, depth)
        except Unreadable:
            agreed = 0
        else:
            if landing.merged and landing.landed_sha:
                return landing
            agreed = agreed + 1 if landing.base_sha == base_sha and not landing.merged else 0
            if agreed > 1 and at - asked_at >= _STILL_SECONDS:
                return landing
        if wait is not None:
            services.sleep(wait)
    raise Unreadable(f"{lease.branch.full_repo}#{number}: GitHub's answers do not agree on whether it was merged")


def _finish(services: Services, lease: Lease, attempt: _Attempt, done: Sequence[_Landed], way: str) -> HistoryRecord:
    """Record how it ended; the record closes the intent. A run of which something landed stays evidence for what it
    tested; none is one whose landing is not what it tested. A base that nobody tested is noted, to be tested alone
    (D22).
    """
    saved, run, now = attempt.saved, attempt.run, services.now()
    landed = [step for step in done if step.landing is not None or step.outcome is Outcome.LANDED]
    last = done[-1]
    partly = len(landed) > 0 and last.outcome in {Outcome.STALE, Outcome.REFUSED}
    outcome = Outcome.PARTIAL if partly else last.outcome
    landing = next((step.landing for step in reversed(done) if step.landing), None)
    record = HistoryRecord(
        id=saved.id,
        branch=str(lease.branch),
        time=now,
        action=saved.action,
        base_sha=saved.pool.base_sha,
        targets=tuple(target_of(standing.pull) for standing in attempt.chosen),
        outcome=outcome,
        err=_error(attempt.numbers, done),
        landed_sha=landing.landed_sha if landing else None,
        landed_tree=landing.landed_tree if landing else None,
        tested_tree=_tested_tree(services, attempt, len(landed)) if landed else None,
        approvers=tuple(dict.fromkeys(name for standing in attempt.chosen for name in standing.pull.approvers)),
        config=saved.config,
        way=way,
    )
    if run and landing and landing.landed_sha and (outcome is Outcome.RACED or (partly and not record.tested_tree)):
        services.store.doubt(lease, landing.landed_sha, f"{outcome}: what is on the base was not tested as it is")
    unnoticed, closed = _not_merged(lease.branch, attempt, done, now)
    is_void = outcome in {Outcome.RACED, Outcome.WRONG_TREE}
    proved = replace(run, ended=RunState.GREEN, ended_at=now) if run and landed and not is_void else None
    services.store.record(
        lease,
        record,
        *_after_close(services, record, closed),
        keep=proved,
        drop=run if is_void else None,
        unnoticed=unnoticed,
    )
    if unnoticed:
        services.store.look_later(lease.branch, [str(number) for number in unnoticed], now + _UNNOTICED_SECONDS)
    labels = {"org": lease.branch.org, "repo": lease.branch.repo, "branch": lease.branch.name}
    if landed:
        services.store.count("merges", len(landed), **labels)
    services.store.count("mergeq_actions_total", outcome=outcome.value, **labels)
    services.log.info(
        "action ended", branch=str(lease.branch), action=saved.action, outcome=outcome.value, why=record.err or None
    )
    return record


def _tested_tree(services: Services, attempt: _Attempt, count: int) -> str | None:
    """The tree that was tested of what has landed; None when that is the beginning of a run alone, and no run of its
    own has tested it.
    """
    if attempt.run is None:
        return None
    members, tree = attempt.skip + count, attempt.run.trees[attempt.skip + count - 1]
    if members == len(attempt.run.members):
        return tree
    pool = attempt.saved.pool
    settings = services.config.held_to(pool.branch, pool.protection)
    others = (run for run in attempt.saved.runs if run.trees and run.trees[-1] == tree)
    is_green = any(verdict(run, settings, services.now()).state is RunState.GREEN for run in others)
    return tree if is_green else None


def _not_merged(
    branch: Branch, attempt: _Attempt, done: Sequence[_Landed], now: float
) -> tuple[dict[int, Landed], list[Standing]]:
    """Of what is on the base now: what GitHub was not seen to have marked as merged, and what was closed, or wanted to
    reach another branch, when it landed.
    """
    unnoticed, closed = dict[int, Landed](), list[Standing]()
    for standing, step in zip(attempt.chosen, done, strict=False):
        if (read := step.landing) is not None and not read.merged:
            if read.is_open and read.base == branch.name:
                unnoticed[standing.pull.number] = Landed(standing.pull.head_sha, read.landed_sha or "", now)
            else:
                closed.append(standing)
    return unnoticed, closed


def _after_close(services: Services, record: HistoryRecord, closed: Sequence[Standing]) -> list[HistoryRecord]:
    """A record of each that has landed although it was withdrawn in the last moment, which administrators are told."""
    found = []
    for standing in closed:
        why = "it was closed, or got another base, between the last look and the push that landed it"
        services.log.error("landed after it was closed", pull=str(standing.pull), landed=record.landed_sha, why=why)
        labels = {"org": standing.pull.org, "repo": standing.pull.repo, "branch": standing.pull.base}
        services.store.count("mergeq_actions_total", outcome=Outcome.LANDED_AFTER_CLOSE.value, **labels)
        target = target_of(standing.pull)
        found.append(
            replace(
                record,
                id=f"{record.id}-{target.number}",
                action="MERGE",
                targets=(target,),
                outcome=Outcome.LANDED_AFTER_CLOSE,
                err=why,
            )
        )
    return found


def _error(numbers: Sequence[int], done: Sequence[_Landed]) -> str:
    """What went wrong: of those that did not land in Tide's words (T5.14), of one that landed wrongly in ours."""
    last = done[-1]
    if last.landing is not None or last.outcome is Outcome.LANDED:
        return last.err
    return failed_merges(numbers, numbers[: len(done) - 1], {numbers[len(done) - 1]: last.err})
