"""An organization in the sandbox, large and cheap: copies of a few repositories, whose pull requests then differ.

Of twenty pull requests two are ready but for something, which nobody mends; most of the others lack `lgtm`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mergeq.bootstrap import Services
from mergeq.core.pool import Standing
from mergeq.core.reason import Clause
from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import PASSING, CheckStatus, Pull, Repo, StatusState
from tests.conftest import READY

HOLD = "do-not-merge/hold"
BLOCKER = "tide/merge-blocker"
LAST, OURS = "ci/test", "tide"
"""The context that everybody waits for, and mergeq's own."""

_FILES = {"README.md": "# A part\n", "ci.sh": "! grep -q BROKEN *.txt\n"}
_STATUSES = (LAST, "ci/lint", "dco")
_SHAPE = (1, 1, 1, 2, 2, 3, 5, 7, 10, 18)
"""How unevenly pull requests are spread: of each ten repositories, out of fifty."""
_AGE = 431.0
"""Seconds between one pull request and the next."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes a pull request differ from one that nobody has labelled and all contexts of which are green; and the
    state and description of mergeq's own status, where it has one.
    """

    labels: tuple[str, ...] = ("size/M", "kind/bug")
    reported: Mapping[str, str] = field(default_factory=dict)
    draft: bool = False
    told: Sequence[str] = ()


_PLAIN = Kind()
READY_BUT_FOR_LAST = Kind(("size/S", *READY), {LAST: "pending"})
KINDS = (
    *(_PLAIN,) * 6,
    *(Kind(("size/L", "approved")),) * 4,
    *(Kind(("size/L", "approved"), {LAST: "failure"}),) * 2,
    *(Kind(reported={"ci/lint": "failure"}),) * 3,
    *(Kind(("kind/cleanup",), {LAST: "failure", "dco": "error"}),),
    *(Kind(draft=True),) * 2,
    Kind((*READY, "size/S"), {"ci/lint": "failure"}),
    Kind((*READY, "size/S", HOLD)),
)


def found(
    github: Sandbox,
    repos: int,
    pulls: int,
    kinds: Sequence[Kind] = KINDS,
    *,
    prefix: str = "acme/part",
    even: bool = False,
) -> list[Pull]:
    """Make so many repositories with so many open pull requests in all, oldest first; nothing is announced.

    Unless they shall be `even`, some have many pull requests, and one in fifty is frozen by an issue. `main` is
    protected as it is by most.
    """
    world = github.world
    made: list[Pull] = []
    sources: dict[int, Repo] = {}
    for index, count in enumerate(_counts(repos, pulls, (1,) if even else _SHAPE)):
        if count not in sources:
            sources[count] = _source(github, f"quarry/{prefix.partition('/')[2]}-{count}", count)
        repo = world.copy_repo(sources[count], f"{prefix}-{index}")
        world.protect(repo, "main", [LAST])
        if not even and index % 50 == 49:
            world.open_issue(repo, "Wait for the release", [BLOCKER])
        for pull in repo.pulls.values():
            _make(github, repo, pull, kinds[len(made) % len(kinds)])
            pull.created_at = pull.updated_at = world.now() - (pulls - len(made)) * _AGE
            made.append(pull)
    return made


def _counts(repos: int, pulls: int, shape: Sequence[int]) -> Iterator[int]:
    """How many pull requests each repository has."""
    weights = [shape[index % len(shape)] for index in range(repos)]
    total, so_far, given = sum(weights), 0, 0
    for weight in weights:
        so_far += weight
        until = round(so_far * pulls / total)
        yield until - given
        given = until


def _source(github: Sandbox, name: str, count: int) -> Repo:
    """What repositories with so many pull requests are copies of; it is of another organization."""
    world = github.world
    repo = world.create_repo(name, files=_FILES, ci=None)
    for number in range(1, count + 1):
        title = f"Change part {number}"
        pull = world.open_pull(repo, title=title, files={f"part-{number}.txt": "one\n"}, author=f"dev-{number % 7}")
        for context in _STATUSES:
            world.set_status(repo, pull.head_sha, context=context)
        world.set_check_run(repo, pull.head_sha, name="build", conclusion="success", app="github-actions")
        repo.git.merge_tree(str(repo.git.tip("main")), pull.head_sha)
    return repo


def _make(github: Sandbox, repo: Repo, pull: Pull, kind: Kind) -> None:
    pull.draft = kind.draft
    for label in kind.labels:
        github.world.add_label(pull, label)
    for context, state in kind.reported.items():
        github.world.set_status(repo, pull.head_sha, context=context, state=state)
    if kind.told:
        state, description = kind.told
        github.world.set_status(repo, pull.head_sha, context=OURS, state=state, description=description)


def lacking(repo: Repo, pull: Pull) -> frozenset[str]:
    """What a pull request lacks by `CONFIG`, reckoned from GitHub's own records: labels and contexts by name."""
    wanted = {label for label in READY if label not in pull.labels} | ({HOLD} & {*pull.labels})
    statuses = {one.context for one in repo.latest_statuses(pull.head_sha) if one.state is not StatusState.SUCCESS}
    runs = {
        one.name
        for one in repo.latest_runs(pull.head_sha)
        if one.status is not CheckStatus.COMPLETED or one.conclusion not in PASSING
    }
    return frozenset(wanted | (statuses - {OURS}) | runs | ({Clause.DRAFT.value} if pull.draft else set()))


def misjudged(github: Sandbox, services: Services) -> list[str]:
    """The open pull requests of acme of which mergeq does not say what `lacking` says, and branches it holds free or
    frozen though they are not.
    """
    known: dict[str, Standing] = {}
    frozen = {}
    for saved in services.store.pools():
        frozen[saved.pool.branch.full_repo] = bool(saved.pool.blockers)
        known |= {f"{one.pull.org}/{one.pull.repo}#{one.pull.number}": one for one in saved.pool.standings}
    wrong = []
    for repo in github.world.repos():
        open_pulls = [pull for pull in repo.pulls.values() if pull.is_open]
        if repo.owner != "acme" or not open_pulls:
            continue
        if frozen.get(repo.full_name) is not any(BLOCKER in one.labels for one in repo.issues.values()):
            wrong.append(repo.full_name)
        for pull in open_pulls:
            standing = known.get(f"{repo.full_name}#{pull.number}")
            if standing is None or _said(standing) != lacking(repo, pull):
                wrong.append(f"{repo.full_name}#{pull.number}")
    return wrong


def _said(standing: Standing) -> frozenset[str]:
    return frozenset(item for reason in standing.reasons for item in (reason.items or (reason.clause.value,)))
