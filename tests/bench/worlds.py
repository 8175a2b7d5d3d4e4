"""Branches full of pull requests, made to fit a configuration: of ten, four are ready and the others lack something."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

from mergeq.config import Configuration, load
from mergeq.core.decide import Situation
from mergeq.core.pool import Arrival, Memory
from mergeq.core.pull import Branch, BranchFacts, Context, Mergeable, Protection, PullRequest, Result
from mergeq.core.query import Query

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "prow-configs"
NOW = 2_000_000.0

_REAL_FILES = (
    REAL / "kubernetes__test-infra/config__prow__config.yaml",
    REAL / "falcosecurity__test-infra/config__backup__aws__prow__config.yaml",
)
_NAMES = ("main", "master", "release-1.37", "release-1.36", "release-1.35", "v1", "v2", "next", "stable", "dev")
_OTHER_LABELS = ("kind/bug", "sig/node", "size/M", "area/kubelet", "ok-to-test")
_OTHER_CONTEXTS = ("EasyCLA", "pull-unit", "pull-e2e", "pull-verify", "build (3.11)")


def configurations() -> tuple[Configuration, ...]:
    """Those of kubernetes and falcosecurity where they are beside this checkout, else the worked example."""
    files = _REAL_FILES if all(file.is_file() for file in _REAL_FILES) else (ROOT / "policies",)
    return tuple(load([file]) for file in files)


def described(found: Sequence[Configuration]) -> str:
    """Whose queries a figure is about."""
    whose = "kubernetes and falcosecurity" if len(found) > 1 else "policies/"
    return f"the {sum(len(one.queries) for one in found)} queries of {whose}"


def branches(config: Configuration, count: int) -> Iterator[Branch]:
    """Branches that the queries speak about: of every repository that is named, and of made-up ones of each org."""
    named = dict.fromkeys(repo for query in config.queries for repo in query.repos)
    orgs = dict.fromkeys(org for query in config.queries for org in query.orgs)
    made_up = [f"{org}/repo-{index}" for index in range(count // 8 // max(len(orgs), 1) + 1) for org in orgs]
    repos = [repo.partition("/") for repo in (*named, *made_up)][: max(count // 4, 1)]
    every = (Branch(org, repo, name) for name in (*_NAMES, *map(str, range(count))) for org, _, repo in repos)
    return (branch for branch, _ in zip(every, range(count), strict=False))


def situation(config: Configuration, branch: Branch, pulls: int, first: int = 0) -> Situation:
    """A branch with that many pull requests, the first of which is the `first` of the ten kinds."""
    settings = config.for_branch(branch)
    query = next((one for one in settings.queries if one.admits_branch(branch.name)), settings.queries[0])
    required = tuple(sorted(settings.contexts.required))
    spoils = cycle((*_SPOILS[first % 10 :], *_SPOILS[: first % 10]))
    crowd = tuple(
        replace(whole, **spoil(whole))
        for spoil, number in zip(spoils, range(1, pulls + 1), strict=False)
        for whole in (_ready(branch, number, query, required),)
    )
    protection = Protection(required=tuple((name, None) for name in required))
    return Situation(
        BranchFacts(branch, f"{first:040x}", crowd, protection=protection),
        Memory(
            entered={(one.number, one.head_sha): NOW - one.number for one in crowd[::2]},
            arrivals={one.number: Arrival(one.head_sha, 1_000_000.0) for one in crowd},
        ),
        now=NOW,
    )


def _ready(branch: Branch, number: int, query: Query, required: tuple[str, ...]) -> PullRequest:
    contexts = tuple(Context(name, Result.SUCCESS, at=1_500_000.0) for name in (*required, *_OTHER_CONTEXTS))
    ours = Context("tide", Result.PENDING, at=1_600_000.0, description="Not mergeable.")
    labels = (*(entry.partition(",")[0] for entry in query.labels), *_OTHER_LABELS, f"area/{branch.repo}-{number}")
    return PullRequest(
        branch.org,
        branch.repo,
        number,
        branch.name,
        f"{number:040x}",
        f"patch-{number}",
        f"Change {number}",
        query.author or "ana",
        labels=labels,
        contexts=(*contexts, ours),
        milestone=query.milestone or None,
        mergeable=Mergeable.MERGEABLE,
        merge_state="CLEAN",
        can_be_rebased=True,
        review_decision="APPROVED" if query.review_approved_required else None,
        label_times=tuple((label.lower(), 1_100_000.0) for label in labels),
        head_owner=branch.org,
    )


def _with_result(pull: PullRequest, result: Result) -> dict[str, Any]:
    contexts = pull.contexts or ()
    return {"contexts": (replace(contexts[0], result=result), *contexts[1:])}


_SPOILS: tuple[Callable[[PullRequest], dict[str, Any]], ...] = (
    lambda _: {},
    lambda pull: {"labels": pull.labels[1:]},
    lambda _: {},
    lambda pull: _with_result(pull, Result.FAILURE),
    lambda pull: {"labels": pull.labels[2:]},
    lambda _: {},
    lambda pull: {"labels": (*pull.labels, "do-not-merge/hold", "do-not-merge/work-in-progress")},
    lambda pull: _with_result(pull, Result.PENDING),
    lambda _: {},
    lambda pull: {"labels": pull.labels[1:], "mergeable": Mergeable.CONFLICTING},
)
"""Ten kinds of pull requests: nothing lacking, or a label, a green context, the absence of a label, a clean merge."""
