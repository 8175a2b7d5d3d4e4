"""Worlds taken down to a file and gone through again: how somebody else sees what mergeq saw, and what it would do."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mergeq import sync
from mergeq.bootstrap import Services
from mergeq.config import ConfigError, Configuration, load, load_texts, texts_of
from mergeq.core.action import targets_of, wire_name
from mergeq.core.compat import Compat
from mergeq.core.decide import Situation, judge
from mergeq.core.explain import Explanation, explain, explained
from mergeq.core.pull import Branch
from mergeq.core.query import is_found
from mergeq.github import HeldBack, Unreadable, saved


@dataclass(frozen=True, slots=True)
class Replay:
    """A saved world with the configuration that it is judged by."""

    situations: tuple[Situation, ...]
    config: Configuration
    compat: Compat = Compat.MERGEQ


def take_down(services: Services, branches: Iterable[Branch]) -> dict[str, Any]:
    """Everything a decision about these branches is made of, with the configuration in force, as one JSON document. A
    branch that cannot be read is left out, and named under `unreadable`. Nothing is written but what is returned.
    """
    seen, unreadable = [], {}
    for branch in branches:
        try:
            seen.append(_searched(sync.look(services, branch, services.store.pool(branch)), services.config))
        except (HeldBack, Unreadable) as error:
            unreadable[str(branch)] = str(error)
    files = (saved.ConfigFile(*one) for one in texts_of(services.settings.config_paths))
    return {**saved.world_json(seen, files), "unreadable": unreadable}


def read(file: Path, paths: tuple[Path, ...], compat: Compat = Compat.MERGEQ) -> Replay:
    """A saved world, or one saved pull request, from a file. The configuration is that of `paths` if there are any,
    else the one that was taken down with it. Raises ConfigError with one line.
    """
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); give a file that was recorded") from error
    except ValueError as error:
        raise ConfigError(f"{file}: is not JSON ({error}); record it again with `mergeq sync --record`") from error
    try:
        return of(_as_world(document), paths, compat)
    except saved.Malformed as error:
        raise ConfigError(f"{file}: {error}; record it again with `mergeq sync --record`") from error


def of(document: Mapping[str, Any], paths: tuple[Path, ...] = (), compat: Compat = Compat.MERGEQ) -> Replay:
    """A world as `take_down` gave it. Raises Malformed, and ConfigError for its configuration."""
    world = saved.world(document, compat)
    if not paths and not world.config:
        raise saved.Malformed("has no configuration of its own; name one with --config PATH")
    texts = [(one.name, one.text, one.is_main) for one in world.config]
    return Replay(world.situations, load(paths) if paths else load_texts(texts, "the saved configuration"), compat)


def explain_now(services: Services, full_repo: str, number: int) -> list[Explanation]:
    """What there is to say about one pull request as it is now; empty when it is not open. Raises ConfigError with one
    line when it cannot be read.
    """
    try:
        branch = services.github.branch_of(full_repo, number)
        seen = sync.look(services, branch, services.store.pool(branch))
    except HeldBack as error:
        raise ConfigError(f"{error}; ask again later") from error
    except Unreadable as error:
        raise ConfigError(f"{error}; check the name, the credentials and GITHUB_API_URL") from error
    found = explain(number, seen, services.config.for_branch(branch))
    if found is None and seen.facts.unread:
        raise ConfigError(f"{full_repo}#{number} could not be read in full; ask again in a moment")
    return [found] if found else []


def explanations(replay: Replay, wanted: tuple[str, int] | None) -> Iterator[Explanation]:
    """What there is to say about the pull requests of a world, or about one, ``(ORG/REPO, N)``."""
    for situation in replay.situations:
        settings = replay.config.for_branch(situation.facts.branch, replay.compat)
        pool, decision = judge(situation, settings)
        for standing in pool.standings:
            if wanted in {None, (pool.branch.full_repo, standing.pull.number)}:
                yield explained(standing, situation, settings, pool, decision)


def decisions(replay: Replay) -> dict[str, Any]:
    """What would be done to each branch of a world, and what is said of each pull request, as one JSON document."""
    return {"compat": replay.compat.value, "branches": [_decision(replay, one) for one in replay.situations]}


def decision_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What `decisions` found, as plain lines for a terminal."""
    for branch in found["branches"]:
        whom = " ".join(f"#{number}" for number in branch["targets"])
        yield f"{branch['branch']}  {branch['action']} {whom}".rstrip() + f": {branch['why']}"
        for one in branch["prs"]:
            number = one["pr"].partition("#")[2]
            yield f"  #{number:<6} {one['state'] or 'no status':<9} {one['description']}"
    if not found["branches"]:
        yield "no branch has an open pull request that is configured here"


def _decision(replay: Replay, situation: Situation) -> dict[str, Any]:
    settings = replay.config.for_branch(situation.facts.branch, replay.compat)
    pool, decision = judge(situation, settings)
    found = [explained(standing, situation, settings, pool, decision) for standing in pool.standings]
    return {
        "branch": str(pool.branch),
        "base_sha": pool.base_sha,
        "action": wire_name(decision.action),
        "targets": list(targets_of(decision.action)),
        "why": decision.action.why,
        "abandon": [{"run": run, "why": why} for run, why in decision.abandon],
        "blockers": [blocker.number for blocker in pool.blockers],
        "prs": [
            {
                "pr": str(one.standing.pull),
                "in_pool": one.standing.in_pool,
                "state": one.status.state,
                "description": one.status.description,
            }
            for one in found
        ],
    }


def _searched(seen: Situation, config: Configuration) -> Situation:
    """A situation with what a search would have found of it: branches are read by listing."""
    settings = config.for_branch(seen.facts.branch)
    pulls = tuple(
        replace(pull, was_found=is_found(settings.queries, pull, settings.demands)) for pull in seen.facts.pulls
    )
    return replace(seen, facts=replace(seen.facts, pulls=pulls))


def _as_world(document: Any) -> Mapping[str, Any]:
    """A document as a world; one pull request alone is a world with a base that nobody knows."""
    if not isinstance(document, dict):
        raise saved.Malformed("is neither a world nor a pull request")
    if "prs" in document or "headRefOid" not in document:
        return document
    pull = saved.pull(document)
    return {"prs": [{"pr": document}], "refs": {f"{pull.org}/{pull.repo} heads/{pull.base}": "0" * 40}}
