"""Commit messages: what a pull request's author wrote must not steer CI (Q87)."""

import re

_SILENCING = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]", re.IGNORECASE)
_TRAILER = re.compile(r"(skip-checks)\s*:", re.IGNORECASE)


def neutral(text: str) -> str:
    """The text with every marker that silences CI made harmless, readable as before."""
    return _TRAILER.sub(r"\1 =", _SILENCING.sub(r"(\1)", text))
