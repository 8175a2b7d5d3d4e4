"""Code owners: the file that names them, and whose word a change needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mergeq.sandbox.records import Pull, Repo

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
Owners = frozenset[str]


def owners_of(repo: Repo, pull: Pull) -> frozenset[Owners]:
    """For each changed file that has owners, the logins and ``ORG/TEAM`` names of them, as the base names them."""
    tip = repo.git.tip(pull.base_ref)
    text = next((found for place in PLACES if tip and (found := repo.git.text_at(tip, place)) is not None), None)
    if text is None:
        return frozenset()
    entries = _entries(text)
    changed = repo.git.changes(pull.base_sha, pull.head_sha)
    needed = (_owners(entries, change.path) for change in changed)
    return frozenset(owners for owners in needed if owners)


def waited_for(repo: Repo, pull: Pull, approvers: Iterable[str]) -> tuple[str, ...]:
    """The owners of those files that none of their owners has approved, in order of their names."""
    approving = set(approvers)
    open_ones = [owners for owners in owners_of(repo, pull) if not approving & _people(repo, owners)]
    return tuple(sorted({owner for owners in open_ones for owner in owners}))


def _people(repo: Repo, owners: Owners) -> set[str]:
    teams = (repo.people.teams.get(owner.partition("/")[2], set()) for owner in owners if "/" in owner)
    return set(owners).union(*teams)


@lru_cache(maxsize=64)
def _entries(text: str) -> tuple[tuple[re.Pattern[str], Owners], ...]:
    """Patterns and owners, the last line first, for that is the one that counts."""
    found = []
    for line in text.splitlines():
        pattern, *owners = line.partition("#")[0].split() or [""]
        if pattern:
            found.append((_compiled(pattern), frozenset(o.removeprefix("@") for o in owners if o.startswith("@"))))
    return tuple(reversed(found))


def _owners(entries: Iterable[tuple[re.Pattern[str], Owners]], path: str) -> Owners:
    return next((owners for pattern, owners in entries if pattern.fullmatch(path)), frozenset())


def _compiled(pattern: str) -> re.Pattern[str]:
    """A line's pattern, read as in a .gitignore: anchored by a slash before its end, a folder means all in it."""
    anchored = "/" in pattern.rstrip("/")
    body = pattern.lstrip("/")
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", body.rstrip("/"))
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    written = "".join(special.get(part, re.escape(part)) for part in parts)
    below = "/.*" if pattern.endswith("/") else "" if body.endswith("/*") else "(?:/.*)?"
    return re.compile(("" if anchored else "(?:.*/)?") + written + below)
