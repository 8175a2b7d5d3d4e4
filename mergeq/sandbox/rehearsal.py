"""A rehearsal of somebody's own configuration: its repositories, sample pull requests, and search as the judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mergeq.sandbox import search
from mergeq.sandbox.records import Pull
from mergeq.sandbox.searching import candidate
from mergeq.sandbox.stories import said_by_queue

if TYPE_CHECKING:
    from mergeq.sandbox import Sandbox

_FILES = {"README.md": "# A sample\n"}


class Base(Protocol):
    """Where a pull request wants to go."""

    @property
    def full_repo(self) -> str: ...

    @property
    def name(self) -> str: ...


class Sample(Protocol):
    """A pull request to open: what it has, and what it lacks (``nothing``, or a phrase)."""

    @property
    def branch(self) -> Base: ...

    @property
    def author(self) -> str: ...

    @property
    def labels(self) -> Sequence[str]: ...

    @property
    def milestone(self) -> str: ...

    @property
    def approved(self) -> bool: ...

    @property
    def contexts(self) -> Sequence[str]: ...

    @property
    def lacking(self) -> str: ...


@dataclass(slots=True)
class Rehearsal:
    """Opens samples in a sandbox and judges what became of them."""

    sandbox: Sandbox
    samples: Sequence[Sample]
    searches: Sequence[str]
    _opened: list[tuple[Sample, Pull]] = field(default_factory=list)

    def open(self) -> None:
        """Make the repositories and branches, and open the pull requests with their labels and results."""
        world = self.sandbox.world
        reviewed = {(sample.branch.full_repo, sample.branch.name) for sample in self.samples if sample.approved}
        for full_name in dict.fromkeys(sample.branch.full_repo for sample in self.samples):
            names = dict.fromkeys(one.branch.name for one in self.samples if one.branch.full_repo == full_name)
            world.create_repo(full_name, files=_FILES, branches={name: {} for name in names if name != "main"}, ci=None)
        for full_name, name in reviewed:
            world.protect(full_name, name, required_reviews=1)
        for number, sample in enumerate(self.samples):
            pull = world.open_pull(
                sample.branch.full_repo,
                title=f"Sample {number + 1}: lacks {sample.lacking}",
                head=f"sample-{number}",
                files={f"sample-{number}.md": "text\n"},
                author=sample.author,
                base=sample.branch.name,
                labels=sample.labels,
                milestone=sample.milestone or None,
            )
            if (sample.branch.full_repo, sample.branch.name) in reviewed:
                world.review(pull, by="maintainer")
            for index, context in enumerate(sample.contexts):
                red = index == 0 and sample.lacking == "a green context"
                world.set_status(pull.repo, pull.head_sha, context=context, state="failure" if red else "success")
            self._opened.append((sample, pull))

    def step(self) -> None:
        """Nobody does anything more."""

    def is_quiet(self) -> bool:
        """Whether no webhook is on its way."""
        return self.sandbox.world.activity.wait_idle(0.0)

    def verdict(self) -> dict[str, Any]:
        """How each ended; one should land if a search of the configuration finds it and its contexts are green."""
        with self.sandbox.world.lock:
            rows = [self._judge(sample, pull) for sample, pull in self._opened]
        return {"prs": rows, "rules": [], "ok": all(row["outcome"] == row["expected"] for row in rows)}

    def _judge(self, sample: Sample, pull: Pull) -> dict[str, Any]:
        repo = self.sandbox.world.repo(pull.repo)
        tip = repo.git.tip(pull.base_ref) or ""
        sha = pull.merge_commit_sha if pull.merged else None
        landed = sha is not None and repo.git.is_ancestor(sha, tip)
        said = said_by_queue(self.sandbox.world, pull)
        return {
            "pr": f"{pull.repo}#{pull.number}",
            "story": f"lacks {sample.lacking}",
            "expected": "landed" if self._should_land(sample, pull) else "open",
            "outcome": "landed" if landed else pull.state,
            "reasons": [said] if said else [],
            "landed_sha": sha if landed else None,
            "tested_tree": None,
            "landed_tree": repo.git.commit(sha).tree if landed and sha else None,
        }

    def _should_land(self, sample: Sample, pull: Pull) -> bool:
        return sample.lacking != "a green context" and _found_by(self.searches, self.sandbox, pull)


def _found_by(searches: Iterable[str], sandbox: Sandbox, pull: Pull) -> bool:
    """Whether a search finds a pull request, or found it while it was open."""
    repo = sandbox.world.repo(pull.repo)
    terms = (text.replace("state:open ", "") for text in searches)
    return any(search.matches(search.parse(text), candidate(repo, pull)) for text in terms)
