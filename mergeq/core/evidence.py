"""Results of jobs as rows (T0.5): what a job said about exact heads on an exact base, and the same read out of the
description of a commit status. Tide's evidence; mergeq's own is a run.
"""

from dataclasses import dataclass

from mergeq.core.pull import Branch, Result


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the job of `context` said with `heads`, (number, head SHA) in this order, merged into `base_sha`.

    `is_batch`: it tests them as a batch, which may have one member, and says nothing about a pull request alone.
    `reporter` is who started it: ``tide`` the queue itself (T4.14), empty somebody else.
    """

    branch: Branch
    base_sha: str
    heads: tuple[tuple[int, str], ...]
    context: str
    result: Result
    is_batch: bool = False
    reporter: str = ""
    url: str = ""
