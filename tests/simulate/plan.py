"""A world at random: repositories, branches and how each is configured, all of it from one seed."""

import json
import random
from dataclasses import dataclass
from typing import Any

from mergeq.core.pull import Branch
from tests.simulate.ci import Check

TEST = Check("ci/test", "broken")
LINT = Check("lint", "ugly", is_run=True)
DCO = Check("dco", "unsigned", on_staged=False)
E2E = Check("e2e", "slow", is_run=True, on_heads=False)
HOLD = "do-not-merge/hold"
BLOCKER = "tide/merge-blocker"
READY = ("lgtm", "approved")
METHODS = ("tide/squash", "tide/rebase")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of pull requests into one branch: how it is tested again, which contexts on heads and on what is
    staged, whether the hosting itself demands a review, and whether drafts may land.
    """

    branch: Branch
    retest: str
    head: frozenset[str]
    staged: frozenset[str]
    reviewed: bool = False
    drafts: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a seed decides before anything happens."""

    config: str
    rules: dict[Branch, Rules]
    checks: dict[str, tuple[Check, ...]]
    protected: tuple[Branch, ...]
    listens: bool

    def names(self, full_repo: str) -> list[str]:
        """The branches of a repository that pull requests may land on."""
        return [branch.name for branch in self.rules if branch.full_repo == full_repo]


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    dice = random.Random(f"plan {seed}")
    repos = ["acme/rocket", "acme/probe"][: 1 + (dice.random() < 0.3)]
    orgs: dict[str, Any] = {}
    rules: dict[Branch, Rules] = {}
    checks: dict[str, tuple[Check, ...]] = {}
    protected: list[Branch] = []
    for repo in repos:
        extra = [check for check in (LINT, DCO, E2E) if dice.random() < 0.3]
        checks[repo] = (TEST, *extra)
        head = frozenset(check.name for check in (TEST, *extra) if check.on_heads)
        staged = frozenset(check.name for check in (TEST, *extra) if check.on_staged)
        branches = {}
        for name in ["main", "stable", "next"][: dice.choice((1, 1, 2, 3))]:
            branch = Branch.parse(f"{repo}:{name}")
            retest = dice.choice(("head", "staging", "staging", "update"))
            branches[name] = {"retest": retest, **_queue(dice)}
            reviewed = dice.random() < 0.15
            if LINT in extra or reviewed:
                protected.append(branch)
            rules[branch] = Rules(
                branch,
                retest,
                head if LINT in extra else head - {"lint"},
                staged if LINT in extra else staged - {"lint"},
                reviewed,
                branches[name].get("drafts") == "include",
            )
        orgs[repo.partition("/")[2]] = {
            "head_only_contexts": [check.name for check in extra if check is DCO],
            "staging_contexts": [check.name for check in extra if check is E2E],
            "branches": branches,
        }
    required = {
        repo.partition("/")[2]: {"required-contexts": [check.name for check in checks[repo] if check in (TEST, DCO)]}
        for repo in repos
    }
    config = {
        "tide": {
            "sync_period": "1m",
            "blocker_label": BLOCKER,
            "queries": [{"orgs": ["acme"], "labels": list(READY), "missingLabels": [HOLD]}],
            "squash_label": METHODS[0],
            "rebase_label": METHODS[1],
            "merge_method": {"acme": dice.choice(("merge", "merge", "squash"))},
            "context_options": {"orgs": {"acme": {"repos": required}}},
        },
        "mergeq": {"queue": {"orgs": {"acme": {"repos": orgs}}}},
    }
    return Plan(json.dumps(config, indent=1), rules, checks, tuple(protected), listens=dice.random() < 0.8)


def _queue(dice: random.Random) -> dict[str, Any]:
    values: dict[str, Any] = {
        "batch_size_limit": dice.choice((-1, 0, 2, 3, 8)),
        "slots": dice.choice((1, 2, 2, 3)),
        "landing": dice.choice(("auto", "auto", "pull-request")),
        "update_method": dice.choice(("merge", "merge", "rebase")),
        "order": dice.choice(("entered", "number")),
        "staging": {
            "start_timeout": dice.choice(("5m", "10m")),
            "timeout": dice.choice(("20m", "2h")),
            "retries": dice.choice((0, 1, 2)),
            "keep": dice.choice(("2h", "24h")),
        },
    }
    if dice.random() < 0.2:
        values["drafts"] = "include"
    return values
