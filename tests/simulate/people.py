"""What people do all day: open, push, label, review, close, block, move bases and rewind them; and GitHub's moods."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mergeq.core.pull import Branch
from mergeq.sandbox import RefusedError, merging, refs
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.records import Issue, Pull, Repo
from mergeq.sandbox.world import World
from tests.simulate.ci import FickleCi
from tests.simulate.plan import BLOCKER, HOLD, METHODS, READY, Plan

Act = Callable[[], str]
_AUTHORS = ("ana", "ben", "eve")
_MOODS: Sequence[tuple[str, dict[str, Any]]] = (
    ("merge.lie_merged", {}),
    ("merge.5xx_nop", {}),
    ("merge.base_modified", {}),
    ("merge.head_push", {}),
    ("merge.race_push", {}),
    ("merge.reset", {"landed": True}),
    ("merge.reset", {"landed": False}),
    ("merge.landed_pr_open", {"delay": 120_000}),
    ("mergeable.lazy", {"reads": 3}),
    ("mergeable.stuck", {}),
    ("mergestate.wrong", {}),
    ("update_branch.async", {"ms": 90_000}),
    ("update_branch.422", {"kind": "sha"}),
    ("refs.opaque422", {}),
    ("refs.false_nonff", {}),
    ("merges.409_auth", {}),
    ("git.replica_lag", {"ms": 5_000}),
    ("detect.merge_delay", {"ms": 60_000}),
    ("detect.merge_never", {}),
    ("merge.wrong_tree", {}),
    ("graphql.5xx", {"code": 502}),
    ("graphql.timeout", {}),
    ("graphql.untyped", {}),
    ("status.5xx", {}),
    ("http.5xx", {"code": 503}),
    ("http.reset", {}),
    ("http.reset", {"handled": True}),
    ("http.slow", {"delay": 4_000}),
    ("http.slow", {"delay": 40_000}),
    ("http.truncated", {}),
    ("read.lag", {"delay": 30_000}),
    ("read.lag", {"delay": 30_000, "checks": True}),
    ("read.stale_head", {"delay": 30_000}),
    ("search.drop", {}),
    ("search.lag", {"ms": 30_000}),
    ("commits.shuffle", {}),
    ("limit.secondary", {}),
    ("hook.drop", {}),
    ("hook.dup", {"n": 2}),
    ("hook.shuffle", {"window": 20}),
    ("hook.badsig", {}),
)


class People:
    """Everybody but mergeq. Each act is a sentence about what was done, empty where nothing could be."""

    def __init__(self, world: World, ci: FickleCi, plan: Plan, seed: str) -> None:
        self.world, self.ci, self.plan = world, ci, plan
        self.dice = random.Random(seed)
        self.blockers: list[Issue] = []
        self._texts = 0
        self._meant: Pull | None = None
        self._at_once: Sequence[Act] = (self.push, self.force_push, self.close, self.push_base, self.rewind_base)
        self._acts: Sequence[tuple[int, Act]] = (
            (14, self.open_pull),
            (7, self.push),
            (4, self.force_push),
            (12, self.flip_label),
            (4, self.approve),
            (3, self.toggle_draft),
            (2, self.close),
            (3, self.reopen),
            (2, self.retarget),
            (3, self.push_base),
            (1, self.rewind_base),
            (2, self.block),
            (4, self.unblock),
            (6, self.rerun),
            (2, self.take_in_base),
            (1, self.edit_title),
        )

    def act(self, *, at_once: bool = False) -> str:
        """Somebody does something; `at_once`: what a landing under way is guarded against by itself."""
        weights = [weight for weight, _ in self._acts]
        (chosen,) = self.dice.choices([act for _, act in self._acts], weights)
        chosen = self.dice.choice(self._at_once) if at_once else chosen
        with suppress(RefusedError, GitError):
            return chosen()
        return ""

    def disturb(self, pull: Pull) -> str:
        """Somebody does something to a pull request that is about to land."""
        self._meant = pull
        acts = (self.push, self.force_push, self.close, self.toggle_draft, self.hold, self.hold)
        try:
            with suppress(RefusedError, GitError):
                return self.dice.choice(acts)()
        finally:
            self._meant = None
        return ""

    def hold(self) -> str:
        """What was ready is not to land."""
        pull = self._pull()
        self.world.add_label(pull, HOLD, by="maintainer")
        return f"{HOLD} is put on {_name(pull)}"

    def moods(self) -> str:
        """GitHub is to do something odd soon."""
        name, args = self.dice.choice(_MOODS)
        times = self.dice.choice((1, 1, 1, 2, 3))
        self.world.faults.add(name, times=times, after=self.dice.choice((0, 0, 1, 4)), args=args)
        return f"GitHub is switched to {name} {args or ''} {times} times"

    def _base(self) -> Branch:
        return self.dice.choice(list(self.plan.rules))

    def _repo(self) -> Repo:
        return self.world.repo(self._base().full_repo)

    def pulls(self, *, are_open: bool = True) -> list[Pull]:
        """Pull requests that are open, or closed without having been merged."""
        repos = dict.fromkeys(branch.full_repo for branch in self.plan.rules)
        every = (pull for repo in repos for pull in self.world.repo(repo).pulls.values())
        return [pull for pull in every if pull.is_open is are_open and not pull.merged]

    def _pull(self, *, is_open: bool = True) -> Pull:
        if self._meant is not None:
            return self._meant
        there = self.pulls(are_open=is_open)
        if not there:
            raise RefusedError(404, "there is none")
        return self.dice.choice(there)

    def _files(self, *, bad: float) -> dict[str, str]:
        self._texts += 1
        files = {}
        for _ in range(self.dice.choice((1, 1, 2))):
            path, text = f"f{self.dice.randrange(24)}", f"v{self._texts}"
            luck = self.dice.random()
            if luck < bad:
                text += " " + self.dice.choice(("broken", "broken", "ugly", "unsigned", "slow"))
            elif luck < bad + 0.12:
                text += f" clashes:f{self.dice.randrange(24)}"
            files[path] = f"{text}\n"
        return files

    def open_pull(self) -> str:
        """A pull request, most often ready."""
        if len(self.pulls()) > 12:
            return ""
        branch, dice = self._base(), self.dice
        steps = [self._files(bad=0.08) for _ in range(dice.choice((1, 1, 1, 2)))]
        labels = [label for label in READY if dice.random() < 0.9]
        labels += [HOLD] if dice.random() < 0.08 else []
        labels += [dice.choice(METHODS)] if dice.random() < 0.3 else []
        author, number = dice.choice(_AUTHORS), self._texts
        pull = self.world.open_pull(
            branch.full_repo,
            title=f"Change {number}",
            commits=steps,
            author=author,
            head=f"{author}-{number}",
            base=branch.name,
            labels=labels,
            draft=dice.random() < 0.08,
            fork=author if dice.random() < 0.06 else None,
        )
        if dice.random() < 0.6:
            self.world.review(pull, by="maintainer")
        return f"{author} opens {_name(pull)} into {branch.name} with {', '.join(labels) or 'no labels'}: {steps}"

    def push(self) -> str:
        """A new commit on a head."""
        pull, files = self._pull(), self._files(bad=0.05)
        self.world.push_to_pull(pull, files)
        return f"{pull.author} pushes {files} to {_name(pull)}"

    def force_push(self) -> str:
        """A head that starts over from its base."""
        pull, files = self._pull(), self._files(bad=0.05)
        tip = self.world.repo_of(pull).git.tip(pull.base_ref)
        if pull.is_cross_repository or tip is None:
            return ""
        self.world.push_to_pull(pull, files, force_onto=tip)
        return f"{pull.author} force-pushes {files} to {_name(pull)}"

    def flip_label(self) -> str:
        """A label comes or goes."""
        pull = self._pull()
        label = self.dice.choice((*READY, *READY, HOLD, HOLD, *METHODS))
        if pull.has_label(label):
            self.world.remove_label(pull, label, "maintainer")
            return f"{label} is taken off {_name(pull)}"
        self.world.add_label(pull, label, "maintainer")
        return f"{label} is put on {_name(pull)}"

    def approve(self) -> str:
        """A review."""
        pull, state = self._pull(), self.dice.choice(("APPROVED", "APPROVED", "CHANGES_REQUESTED", "DISMISSED"))
        self.world.review(pull, by="maintainer", state=state)
        return f"maintainer's review of {_name(pull)} is {state}"

    def toggle_draft(self) -> str:
        """A draft, or no more."""
        pull = self._pull()
        self.world.set_draft(pull, not pull.draft)
        return f"{_name(pull)} {'is a draft' if pull.draft else 'is ready for review'}"

    def close(self) -> str:
        """Closed."""
        pull = self._pull()
        self.world.close_pull(pull, "maintainer")
        return f"{_name(pull)} is closed"

    def reopen(self) -> str:
        """Open again."""
        pull = self._pull(is_open=False)
        self.world.reopen_pull(pull, "maintainer")
        return f"{_name(pull)} is reopened"

    def retarget(self) -> str:
        """Another base."""
        pull = self._pull()
        base = self.dice.choice(self.plan.names(pull.repo))
        self.world.retarget(pull, base)
        return f"{_name(pull)} is retargeted to {base}"

    def push_base(self) -> str:
        """Somebody pushes past the queue."""
        branch, files = self._base(), self._files(bad=0.02)
        self.world.push(branch.full_repo, branch.name, files, author="maintainer")
        return f"maintainer pushes {files} to {branch}"

    def rewind_base(self) -> str:
        """The last commit of a base is taken away by force."""
        branch = self._base()
        repo = self.world.repo(branch.full_repo)
        tip = repo.git.tip(branch.name)
        parents = repo.git.commit(tip).parents if tip else ()
        if not parents:
            return ""
        with self.world.lock:
            repo.git.place(HEADS + branch.name, parents[0])
            refs.moved(self.world, repo, HEADS + branch.name, str(tip), parents[0], "maintainer")
        return f"maintainer rewinds {branch} to {parents[0][:7]}"

    def block(self) -> str:
        """An issue that stops a branch, or all of them."""
        if len(self.blockers) > 1:
            return ""
        branch = self._base()
        where = self.dice.choice(("", f"branch:{branch.name}"))
        self.blockers.append(self.world.open_issue(branch.full_repo, f"Stop everything {where}", [BLOCKER]))
        return f"a blocker for {branch.full_repo} is opened {where}"

    def unblock(self) -> str:
        """It is mended."""
        if not self.blockers:
            return ""
        issue = self.blockers.pop(self.dice.randrange(len(self.blockers)))
        self.world.close_issue(issue)
        return f"the blocker {issue.repo}#{issue.number} is closed"

    def rerun(self) -> str:
        """What is not green is run once more."""
        pull = self._pull()
        self.ci.rerun(self.world.repo_of(pull), pull.head_sha)
        return f"CI is asked to test {_name(pull)} again"

    def take_in_base(self) -> str:
        """An author merges the base into their branch."""
        pull = self._pull()
        if pull.is_cross_repository:
            return ""
        with self.world.lock:
            repo = self.world.repo_of(pull)
            merging.merge_branch(self.world, repo, pull.head_ref, pull.base_ref, message=None, by=pull.author)
        return f"{pull.author} merges {pull.base_ref} into {_name(pull)}"

    def edit_title(self) -> str:
        """Another title."""
        pull = self._pull()
        self.world.edit_title(pull, f"{pull.title} [skip ci]"[:60])
        return f"{_name(pull)} gets another title"

    def help(self) -> None:
        """Do all that a pull request could still wait for."""
        while self.blockers:
            self.unblock()
        for pull in self.pulls():
            with suppress(RefusedError):
                self.help_one(pull)

    def help_one(self, pull: Pull) -> None:
        """Give one pull request all that people can give."""
        world = self.world
        world.set_draft(pull, draft=False)
        if pull.has_label(HOLD):
            world.remove_label(pull, HOLD)
        for method in METHODS:
            if all(pull.has_label(one) for one in METHODS):
                world.remove_label(pull, method)
        for label in READY:
            if pull.has_label(label):
                world.remove_label(pull, label)
            world.add_label(pull, label)
        world.review(pull, by="maintainer")
        self.ci.rerun(world.repo_of(pull), pull.head_sha)


def _name(pull: Pull) -> str:
    return f"{pull.repo}#{pull.number}"
