"""Whose reading of the same facts: ours, or for comparison Tide's to the letter (D20). Never set by configuration."""

from enum import StrEnum


class Compat(StrEnum):
    """MERGEQ has the repairs of T13.2 and of D3, D17 and D18; under TIDE they are off."""

    MERGEQ = "mergeq"
    TIDE = "tide"

    def same(self, name: str) -> str:
        """What two names of labels or contexts have in common when they are the same: GitHub ignores case, Tide does
        not.
        """
        return name if self is Compat.TIDE else name.lower()
