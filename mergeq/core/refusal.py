"""What Tide says when GitHub does not merge: the kinds of refusal, and one line about all that failed (T5.6-T5.15)."""

from collections.abc import Mapping, Sequence
from enum import StrEnum


class MergeRefusal(StrEnum):
    """Why GitHub did not merge, as Tide tells it apart (T5.7-T5.12)."""

    HEAD_MODIFIED = "head-modified"
    BASE_CHANGED = "base-changed"
    UNAUTHORIZED = "unauthorized"
    METHOD_FORBIDDEN = "method-forbidden"
    UNMERGEABLE = "unmergeable"
    OTHER = "other"

    def told(self, message: str) -> str:
        """What is recorded: Tide's words, then GitHub's `message`."""
        return _PREFIXES[self] + message

    @property
    def stops_others(self) -> bool:
        """Whether what is wrong is wrong for the branch, so that the next pull request would fare no better."""
        return self in {MergeRefusal.UNAUTHORIZED, MergeRefusal.METHOD_FORBIDDEN}


_PREFIXES = {
    MergeRefusal.HEAD_MODIFIED: "PR was modified: ",
    MergeRefusal.BASE_CHANGED: "base branch was modified: ",
    MergeRefusal.UNAUTHORIZED: "branch needs to be configured to allow this robot to push: ",
    MergeRefusal.METHOD_FORBIDDEN: (
        "Tide needs to be configured to use the 'rebase' merge method for this repo"
        " or the repo needs to allow merge commits: "
    ),
    MergeRefusal.UNMERGEABLE: (
        "PR is unmergable. Do the Tide merge requirements match the GitHub settings for the repo? "
    ),
    MergeRefusal.OTHER: "",
}


def failed_merges(targets: Sequence[int], merged: Sequence[int], failures: Mapping[int, str]) -> str:
    """The one line about pull requests that did not land, given by number what was told of each (T5.14).

    What is empty is for operators alone, whose log has it (T5.15). Empty when nothing failed.
    """
    if not failures:
        return ""
    batch = f" from batch {_listed(targets)}" if len(targets) > 1 else ""
    partly = f", partial merge {_listed(merged)}" if merged else ""
    told = "; ".join(f"#{number}: {text or 'merge error (contact Prow admin)'}" for number, text in failures.items())
    return f"failed merging {_listed(list(failures))}{batch}{partly}: {told}"


def _listed(numbers: Sequence[int]) -> str:
    return f"[{' '.join(map(str, numbers))}]"
