"""What must hold whatever happens, by GitHub's own records, git and CI: never by what mergeq says of itself alone."""

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask.testing import FlaskClient
from structlog import DropEvent
from structlog.typing import EventDict

from mergeq.bootstrap import Services
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import Sandbox
from mergeq.sandbox.git import HEADS, ZERO
from mergeq.sandbox.policy import opinions
from mergeq.sandbox.records import Pull, Repo, ReviewState, StatusState, TimelineKind
from mergeq.sandbox.users import BOT
from tests.simulate.ci import SCRATCH, STAGING, FickleCi, passes
from tests.simulate.git import QuickGit
from tests.simulate.plan import BLOCKER, HOLD, READY, Plan, Rules

if TYPE_CHECKING:
    from tests.simulate.run import Asked

_LANDED = {Outcome.LANDED, Outcome.PARTIAL, Outcome.RACED, Outcome.WRONG_TREE, Outcome.LANDED_AFTER_CLOSE}


_SEEN = 60.0  # within so many seconds a landing whose answer was lost is certainly looked for
_KEPT = 26 * 3600.0  # seconds, after which nothing is left of what is kept for a day at most
_LONGEST = 40  # commits that a run can add to a base, and some


class Broken(AssertionError):
    """Laws were broken; `tale` is what had happened until then."""

    def __init__(self, *laws: str) -> None:
        super().__init__("; ".join(laws))
        self.laws = laws
        self.tale: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Landing:
    """What mergeq put on a base: which pull requests with which heads by one write, and from where to where the base
    moved.
    """

    branch: Branch
    numbers: tuple[int, ...]
    heads: tuple[str, ...]
    before: str
    after: str
    at: float


@dataclass(slots=True)
class Laws:
    """The laws, and what is kept to judge by them."""

    github: Sandbox
    plan: Plan
    ci: FickleCi
    tell: Callable[[str], None] = print
    asked: "list[Asked]" = field(default_factory=list)
    paused: set[Branch] = field(default_factory=set)
    landings: list[Landing] = field(default_factory=list)
    excused: dict[str, Outcome] = field(default_factory=dict)
    heads: dict[tuple[str, str], int] = field(default_factory=dict)
    taken_back: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def before_move(self, git: QuickGit, ref: str, old: str, new: str) -> None:
        """A ref is about to move by an API; only what mergeq has asked for is its doing."""
        if not self.asked or not ref.startswith(HEADS):
            return
        repo = next(repo for repo in self.github.world.repos() if repo.git is git)
        name = ref.removeprefix(HEADS)
        branch = Branch(repo.owner, repo.name, name)
        if branch in self.plan.rules:
            self._landing(repo, branch, old, new)
        elif not name.startswith((STAGING, SCRATCH)) and not self._is_to_be_updated(repo, name):
            self._break(f"mergeq moved {repo.full_name} {ref}, which is not its own")

    def _is_to_be_updated(self, repo: Repo, head: str) -> bool:
        """Whether a branch is that of a pull request which mergeq may bring up to date."""
        updated = {branch.name for branch, rules in self.plan.rules.items() if rules.retest == "update"}
        return any(pull.head_ref == head and pull.base_ref in updated for pull in repo.pulls.values())

    def heed(self, _log: object, _level: str, event: "EventDict") -> str:
        """Read the log: nothing may fail inside."""
        if error := event.get("exc_info"):
            error = error if isinstance(error, BaseException) else sys.exc_info()[1]
            where = traceback.extract_tb(error.__traceback__)[-1] if error else None
            self._break(
                f"{event['event']}: {type(error).__name__}: {error} ({where and where.name}:{where and where.lineno})"
            )
        raise DropEvent

    def _break(self, sentence: str) -> None:
        """Raised at the end of the step: what is raised within a request would be taken for the sandbox's failure."""
        self.tell(f"BROKEN: {sentence}")
        self.broken.append(sentence)

    def after_step(self, _services: Services) -> None:
        """Raise what was broken during a step."""
        for full_name in self.plan.checks:
            for pull in self.github.world.repo(full_name).pulls.values():
                self.heads[full_name, pull.head_sha] = pull.number
        for one in self.landings[-5:]:
            git = self.github.world.repo(one.branch.full_repo).git
            if self.github.clock.now() - one.at < _SEEN and not git.is_ancestor(
                one.after, git.tip(one.branch.name) or ""
            ):
                self.taken_back.add(one.after)
        if self.github.world.activity.failures:
            raise self.github.world.activity.failures[0]
        if self.broken:
            raise Broken(*self.broken)

    def _landing(self, repo: Repo, branch: Branch, old: str, new: str) -> None:
        git = repo.git
        assert isinstance(git, QuickGit)
        if new == ZERO or not git.is_ancestor(old, new):
            self._break(f"mergeq took {old[:7]} away from {branch}")
            return
        asked = self.asked[-1]
        if asked.merges:
            pulls = [repo.pulls[int(asked.path.split("/")[-2])]]
        else:
            brought = {sha for sha, _ in git.new_commits(old, new)}
            pulls = [pull for pull in repo.pulls.values() if pull.head_sha in brought and pull.is_open]
        numbers = tuple(pull.number for pull in pulls)
        heads = tuple(pull.head_sha for pull in pulls)
        if not pulls:  # whoever was pushed to right before lands as it was, where the base is pushed to (D23)
            known = {sha: number for (name, sha), number in self.heads.items() if name == branch.full_repo}
            heads = tuple(sha for sha, _ in git.new_commits(old, new) if sha in known)
            numbers = tuple(known[sha] for sha in heads)
        self.tell(f"mergeq lands {', '.join(f'#{n}' for n in numbers)} on {branch}: {old[:7]} -> {new[:7]}")
        for pull in pulls:
            before = (one for one in self.landings if one.branch.full_repo == branch.full_repo)
            if any((pull.number, pull.head_sha) in zip(one.numbers, one.heads, strict=True) for one in before):
                self._break(f"{branch.full_repo}#{pull.number} landed twice as {pull.head_sha[:7]}")
            for why in self._objections(repo, pull, self.plan.rules[branch]):
                self._break(f"{branch.full_repo}#{pull.number} landed although {why}")
        self.landings.append(Landing(branch, numbers, heads, old, new, self.github.clock.now()))
        if self.plan.rules[branch].retest == "head":
            return
        if asked.merges and (was := asked.tips.get(branch, old)) != old:
            self.excused[new] = Outcome.RACED
            self.tell(f"{branch} was pushed to right before: it was at {was[:7]}")
        elif "stranger.txt" in git.files(new) and "stranger.txt" not in git.files(old):
            self.excused[new] = Outcome.WRONG_TREE
        elif not self._was_tested(repo, branch, old, new):
            self._break(f"{branch} got the tree {git.commit(new).tree[:7]}, which CI never tested green")

    def _objections(self, repo: Repo, pull: Pull, rules: Rules) -> list[str]:
        """What speaks against a landing at this very moment, as GitHub's records have it."""
        found = []
        if not pull.is_open:
            found.append("it is closed")
        if pull.base_ref != rules.branch.name:
            found.append(f"it is for {pull.base_ref}")
        if pull.draft and not rules.drafts:
            found.append("it is a draft")
        if pull.has_label(HOLD):
            found.append("it is held")
        found += [f"it lacks {label}" for label in READY if not pull.has_label(label)]
        if rules.branch in self.paused:
            found.append("the branch is paused")
        stopping = [
            issue.number
            for issue in repo.issues.values()
            if issue.state == "open" and issue.has_label(BLOCKER)
            if "branch:" not in issue.title or f"branch:{pull.base_ref}" in issue.title
        ]
        if stopping:
            found.append(f"issue #{stopping[0]} blocks")
        if rules.reviewed and not any(r.state is ReviewState.APPROVED for r in opinions(pull).values()):
            found.append("nobody has approved it")
        head, at = self.ci.arrived[pull.repo, pull.number]
        given = [e.at for e in pull.timeline if e.kind is TimelineKind.LABELED and e.label and e.label.name == "lgtm"]
        if pull.last_pusher != BOT and given and given[-1] < at:
            found.append(f"lgtm was given before {head[:7]} came")
        last = self._results(repo, pull.head_sha)
        found += [f"{name} is {last.get(name)} on its head" for name in rules.head if last.get(name) != "success"]
        return found

    def _results(self, repo: Repo, sha: str) -> dict[str, str]:
        """The last result of each context of a commit, as GitHub has it."""
        found = {status.context: status.state.value for status in repo.statuses.get(sha, ())}
        for suite in repo.suites.get(sha, ()):
            found |= {run.name: str(run.conclusion or run.status) for run in suite.latest}
        return found

    def _was_tested(self, repo: Repo, branch: Branch, old: str, new: str) -> bool:
        """Whether CI was green on this very tree, whatever it was built on; or on others behind it, on top of the very
        tree that was there.
        """
        rules, git = self.plan.rules[branch], repo.git
        assert isinstance(git, QuickGit)
        was, now = git.commit(old).tree, git.commit(new).tree
        names = rules.staged if rules.retest == "staging" else rules.head
        for (full_name, sha), said in self.ci.said.items():
            if full_name != repo.full_name or not said.was_green(names):
                continue
            if rules.retest == "update":
                if said.tree == now and git.is_ancestor(old, sha):
                    return True
                continue
            if said.tree == now:
                return True
            trees, at = list[str](), sha
            while len(trees) < _LONGEST:
                trees.append(git.commit(at).tree)
                if not git.commit(at).parents:
                    break
                at = git.commit(at).parents[0]
            if now in trees and was in trees[trees.index(now) :]:
                return True
        return False

    # at the end

    def at_the_end(self, services: Services, pages: FlaskClient) -> None:
        """All that must hold once everything is quiet."""
        for branch, rules in self.plan.rules.items():
            repo = self.github.world.repo(branch.full_repo)
            for pull in repo.pulls.values():
                if pull.is_open and pull.base_ref == branch.name:
                    self._shown_as_it_is(services, pages, repo, pull)
                    if self._should_land(repo, pull, rules):
                        said = [one.description for one in repo.statuses[pull.head_sha] if one.context == "tide"]
                        self._break(f"{pull.repo}#{pull.number} is ready and did not land on {branch}: {said[-1:]}")
        for full_name in self.plan.checks:
            repo = self.github.world.repo(full_name)
            before = self.github.world.now() - _KEPT  # what was red is tried again now and then
            found = repo.git.branches().items()
            left = [name for name, sha in found if name.startswith((STAGING, SCRATCH)) and repo.moved_at[sha] < before]
            if left:
                self._break(f"{repo.full_name} still has {', '.join(left)}")
        self._in_history(services)
        self.after_step(services)

    def _should_land(self, repo: Repo, pull: Pull, rules: Rules) -> bool:
        """Whether a pull request fits the base as it is, and together with it is right."""
        git = repo.git
        assert isinstance(git, QuickGit)
        tip = git.tip(pull.base_ref) or ""
        if self._objections(repo, pull, rules):
            return False
        merged = git.merge_tree(tip, pull.head_sha)
        if merged is None or merged == git.commit(tip).tree:
            return False
        if pull.has_label("tide/rebase") and (
            pull.rebaseable is False or git.replay([s for s, _ in git.new_commits(tip, pull.head_sha)], tip, 0) is None
        ):
            return False
        if rules.retest == "head":
            return True
        texts = git.texts(merged)
        names = rules.staged if rules.retest == "staging" else rules.head
        return all(passes(texts, check.word) for check in self.ci.checks[repo.full_name] if check.name in names)

    def _shown_as_it_is(self, services: Services, pages: FlaskClient, repo: Repo, pull: Pull) -> None:
        """Status, page and pool say the same of a pull request."""
        saved = services.store.pool(Branch(repo.owner, repo.name, pull.base_ref))
        standing = saved.pool.standing(pull.number) if saved else None
        if standing is None:
            self._break(f"{pull.repo}#{pull.number} is open and mergeq does not know it")
            return
        ours = [one for one in repo.statuses.get(pull.head_sha, ()) if one.context == "tide"]
        shown: dict[str, Any] = pages.get(f"/pr/{pull.repo}/{pull.number}.json").get_json()
        said = {"state": ours[-1].state.value, "description": ours[-1].description} if ours else None
        if said != shown.get("status") or (
            ours[-1:] and ours[-1].state is StatusState.SUCCESS and not standing.in_pool
        ):
            self._break(f"{pull.repo}#{pull.number} has the status {said}, and its page says {shown.get('status')}")

    def _in_history(self, services: Services) -> None:
        """Every landing is in history, whole ones once."""
        for landing in self.landings:
            git = self.github.world.repo(landing.branch.full_repo).git
            found = [
                record
                for record in services.store.history(branch=landing.branch)
                if record.outcome in _LANDED and record.landed_sha
                for target in record.targets
                if (target.number, target.sha) in zip(landing.numbers, landing.heads, strict=True)
                and git.is_ancestor(landing.after, record.landed_sha)
            ]
            told = {record.outcome for record in found}
            # what is not on the tested tip is told as that, whatever else is wrong with it
            if (said := self.excused.get(landing.after)) and not told & {said, Outcome.RACED}:
                self._break(f"history does not say that the landing of {landing.numbers} was {said.value}")
            if not found and landing.after not in self.taken_back:  # with its answer lost, nobody can know of it
                self._break(f"history does not know that {landing.numbers} landed on {landing.branch}")
            if sum(record.outcome is Outcome.LANDED for record in found) > len(landing.numbers):
                self._break(f"history has the landing of {landing.numbers} on {landing.branch} twice")
