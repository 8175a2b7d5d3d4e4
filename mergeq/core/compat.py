"""Whose reading of the same facts: ours, or for comparison Tide's to the letter (D20). Never set by configuration."""

import functools
from enum import StrEnum


class Compat(StrEnum):
    """MERGEQ has the repairs of T13.2 and of D3, D17 and D18; under TIDE they are off."""

    MERGEQ = "mergeq"
    TIDE = "tide"

    def same(self, name: str) -> str:
        """What two names of labels or contexts have in common when they are the same: GitHub ignores case, Tide does
        not.
        """
        return name if self is _TIDE else name.lower()

    def all_of(self, names: tuple[str, ...]) -> frozenset[str]:
        """What `same` makes of each name. The labels of one pull request are asked for many times, so it is kept."""
        return frozenset(names) if self is _TIDE else _folded(names)


_TIDE = Compat.TIDE  # here and in what is done for every context and label: a member is looked up slowly in Python 3.11


@functools.lru_cache(maxsize=1024)
def _folded(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(str.lower, names))
