"""CI that is as fickle as CI is: slow, flaky, cancelled or silent, on virtual time; and what it really said."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from mergeq.sandbox.ci import _SKIP, Ci
from mergeq.sandbox.records import CiConfig, Pull, Repo
from mergeq.sandbox.world import World
from tests.simulate.git import QuickGit

STAGING, SCRATCH = "mergeq/", "mergeq-scratch/"


@dataclass(frozen=True, slots=True)
class Check:
    """One context and where it reports: on the heads of pull requests, on staged commits."""

    name: str
    word: str
    is_run: bool = False
    on_heads: bool = True
    on_staged: bool = True


@dataclass(slots=True)
class Said:
    """What CI has said of one commit: the tree it tested, the last result of each context, and those that were green
    all at once at some moment.
    """

    tree: str
    last: dict[str, str] = field(default_factory=dict)
    together: set[frozenset[str]] = field(default_factory=set)

    def add(self, name: str, result: str) -> None:
        """Note a result."""
        self.last[name] = result
        self.together.add(frozenset(one for one, said in self.last.items() if said == "success"))

    def was_green(self, names: frozenset[str]) -> bool:
        """Whether all of these were green at once."""
        return any(names <= together for together in self.together)


def passes(texts: Mapping[str, str], word: str) -> bool:
    """Whether what is in a tree is right: no file says the word, and none clashes with another that is there."""
    words = [one for text in texts.values() for one in text.split()]
    return word not in words and not any(one.removeprefix("clashes:") in texts for one in words if ":" in one)


class FickleCi(Ci):
    """Tests every commit once for each check of its repository, and again when somebody asks; `healthy`: it is what it
    should be.
    """

    def __init__(self, world: World, checks: Mapping[str, tuple[Check, ...]], seed: str) -> None:
        super().__init__(world, 1)
        self.checks = checks
        self.said: dict[tuple[str, str], Said] = {}
        self.healthy = False
        self.arrived: dict[tuple[str, int], tuple[str, float]] = {}
        self._begun: set[tuple[str, str, str]] = set()
        self._random = random.Random(seed)

    def branch_pushed(self, repo: Repo, branch: str, sha: str) -> None:
        if not branch.startswith(SCRATCH) and (repo.git.tip(branch) == sha):
            self._test_all(repo, sha, is_staged=branch.startswith(STAGING))

    def pull_updated(self, pull: Pull) -> None:
        if self.arrived.get((pull.repo, pull.number), ("", 0.0))[0] != pull.head_sha:
            self.arrived[pull.repo, pull.number] = (pull.head_sha, self._world.now())
        if pull.is_open:
            self._test_all(self._world.repo_of(pull), pull.head_sha, is_staged=False)

    def rerun(self, repo: Repo, sha: str, *, is_staged: bool = False) -> None:
        """Somebody asks for what is not green on a commit once more."""
        said = self.said.get((repo.full_name, sha))
        for check in self.checks[repo.full_name]:
            if said is None or said.last.get(check.name) != "success":
                self._begun.discard((repo.full_name, check.name, sha))
        self._test_all(repo, sha, is_staged=is_staged)

    def _test_all(self, repo: Repo, sha: str, *, is_staged: bool) -> None:
        if repo.full_name not in self.checks or _SKIP.search(repo.git.commit(sha).message):
            return
        for check in self.checks[repo.full_name]:
            key = (repo.full_name, check.name, sha)
            if (check.on_staged if is_staged else check.on_heads) and key not in self._begun:
                self._begun.add(key)
                self._begin(repo, check, sha)

    def _begin(self, repo: Repo, check: Check, sha: str) -> None:
        git, dice = repo.git, self._random
        assert isinstance(git, QuickGit)
        result = "success" if passes(git.texts(sha), check.word) else "failure"
        begin, end, luck = dice.uniform(1, 30), dice.uniform(20, 400), 1.0 if self.healthy else dice.random()
        if luck < 0.03:
            return
        if luck < 0.06:
            result = "pending"
        elif luck < 0.09:
            result = dice.choice(("cancelled", "timed_out") if check.is_run else ("error",))
        elif luck < 0.14:
            result = "failure"
        self._world.clock.call_later(begin, partial(self._tell, repo, check, sha, "pending"))
        if result != "pending":
            self._world.clock.call_later(begin + end, partial(self._tell, repo, check, sha, result))

    def _tell(self, repo: Repo, check: Check, sha: str, result: str) -> None:
        said = self.said.setdefault((repo.full_name, sha), Said(repo.git.commit(sha).tree))
        said.add(check.name, result)
        if not check.is_run:
            self._world.set_status(repo, sha, context=check.name, state=result, by="sandbox-ci")
        elif result == "pending":
            self._world.set_check_run(repo.full_name, sha, name=check.name, status="in_progress")
        else:
            self._world.set_check_run(repo.full_name, sha, name=check.name, conclusion=result)


NO_SCRIPT = CiConfig(branches=(), pull_requests=False)
