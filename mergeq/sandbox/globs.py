"""Matching branch names against globs: those of CI, and the ones GitHub writes protection and rulesets with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def matches_any(branch: str, globs: Iterable[str]) -> bool:
    """Whether a branch name matches one of the globs: ``*`` stays within a segment, ``**`` crosses them."""
    return any(re.fullmatch(_pattern(glob), branch) for glob in globs)


def _pattern(glob: str) -> str:
    parts = re.split(r"(\*\*|\*|\?)", glob)
    special = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(special.get(part, re.escape(part)) for part in parts)


def fnmatch(glob: str, name: str) -> bool:
    """Ruby's ``File.fnmatch`` with FNM_PATHNAME, which GitHub's documentation names for protection and rulesets.

    ``*`` and ``?`` stay within a segment, and so does ``**`` unless a slash follows it: ``qa/**/*`` is what crosses.
    GitHub takes away from it: no quoting by backslash, no ``[^a]``, no ``{a,b}`` (P6.62).
    """
    return _compiled(glob).fullmatch(name) is not None


_TOKEN = re.compile(r"(?P<deep>(?:(?<=/)|^)(?:\*\*/)+)|(?P<star>\*+)|(?P<one>\?)|\[(?P<negated>!?)(?P<set>[^\]]+)\]")


@lru_cache(maxsize=1024)
def _compiled(glob: str) -> re.Pattern[str]:
    written, at = "", 0
    for token in _TOKEN.finditer(glob):
        written += re.escape(glob[at : token.start()]) + _meaning(token)
        at = token.end()
    return re.compile(written + re.escape(glob[at:]))


def _meaning(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "deep":
            return "(?:[^/]+/)*"
        case "star":
            return "[^/]*"
        case "one":
            return "[^/]"
        case _:
            inside = re.sub(r"([\\\[&~|^])", r"\\\1", token["set"])
            return f"(?!/)[{'^' if token['negated'] else ''}{inside}]"
