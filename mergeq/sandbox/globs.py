"""Matching branch names against globs."""

from __future__ import annotations

import re
from collections.abc import Iterable


def matches_any(branch: str, globs: Iterable[str]) -> bool:
    """Whether a branch name matches one of the globs: ``*`` stays within a segment, ``**`` crosses them."""
    return any(re.fullmatch(_pattern(glob), branch) for glob in globs)


def _pattern(glob: str) -> str:
    parts = re.split(r"(\*\*|\*|\?)", glob)
    special = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(special.get(part, re.escape(part)) for part in parts)
