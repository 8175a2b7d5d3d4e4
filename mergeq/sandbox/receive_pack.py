"""Judging a git push before git sees it: reading what it asks for, and saying no as GitHub's hook does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from mergeq.sandbox import policy
from mergeq.sandbox.git import ZERO
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refs import HEADS

DECLINED = "protected branch hook declined"
_HIDDEN = "refs/pull/"
_FLUSH = b"0000"
_MAX_BAND = 60_000


@dataclass(frozen=True, slots=True)
class Command:
    """One ref a push wants moved (ZERO: from or to nowhere)."""

    ref: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Push:
    """What a push asks for, and what its client understands."""

    commands: tuple[Command, ...]
    capabilities: frozenset[str]


def read_push(request: IO[bytes]) -> Push:
    """Read the commands a push begins with; the file is left where its pack starts."""
    commands: list[Command] = []
    capabilities: frozenset[str] = frozenset()
    for line in _packets(request):
        text, _, offered = line.rstrip(b"\n").partition(b"\0")
        if offered:
            capabilities = frozenset(offered.decode().split())
        words = text.decode().split(" ", 2)
        if len(words) == 3:
            commands.append(Command(words[2], words[0], words[1]))
    return Push(tuple(commands), capabilities)


def _packets(request: IO[bytes]) -> Iterator[bytes]:
    while (head := request.read(4)) not in (_FLUSH, b""):
        yield request.read(int(head, 16) - 4)


def refusals(repo: Repo, push: Push, pack: IO[bytes], by: str) -> Mapping[Command, tuple[str, ...]]:
    """The commands that protection declines, with its sentences; stores the objects first, for they are judged.

    A command that is not about where the branch is now is left to git, which knows what to say.
    """
    tips = repo.git.branches()
    judged = [c for c in push.commands if c.ref.startswith(HEADS) and repo.pattern_for(c.ref.removeprefix(HEADS))]
    if not judged:
        return {}
    if any(command.new != ZERO for command in push.commands):
        repo.git.take_in(pack)
    said = {}
    for command in judged:
        branch = command.ref.removeprefix(HEADS)
        if tips.get(branch, ZERO) == command.old:
            said[command] = policy.push_refusals(repo, branch, command.old, command.new, by)
    return {command: sentences for command, sentences in said.items() if sentences}


def carry_out_rest(repo: Repo, push: Push, declined: Mapping[Command, Sequence[str]]) -> bytes:
    """Move what is not declined, unless all was to move or nothing, and return the answer's body."""
    lines = [b"unpack ok\n"]
    for command in push.commands:
        reason = DECLINED if command in declined else _moved_or_why(repo, push, command)
        lines.append(f"ng {command.ref} {reason}\n".encode() if reason else f"ok {command.ref}\n".encode())
    report = b"".join(map(_packet, lines)) + _FLUSH
    words = [
        f"error: {sentence}\n".encode()
        for command, sentences in declined.items()
        for sentence in (f"GH006: Protected branch update failed for {command.ref}.", *sentences)
    ]
    if "side-band-64k" not in push.capabilities:
        return report
    parts = [_packet(b"\2" + word) for word in words]
    parts += [_packet(b"\1" + report[start : start + _MAX_BAND]) for start in range(0, len(report), _MAX_BAND)]
    return b"".join(parts) + _FLUSH


def _moved_or_why(repo: Repo, push: Push, command: Command) -> str | None:
    if "atomic" in push.capabilities:
        return "atomic push failure"
    if command.ref.startswith(_HIDDEN):
        return "deny updating a hidden ref"
    try:
        repo.git.move_all([(command.ref, command.old, command.new)])
    except GitError:
        return "failed to update ref"
    return None


def _packet(content: bytes) -> bytes:
    return f"{len(content) + 4:04x}".encode() + content


def denied(repo: Repo, by: str) -> str | None:
    """Why somebody may not push to a repository at all."""
    if repo.archived:
        return "This repository was archived so it is read-only."
    return None if repo.people.may_write(by) else f"Permission to {repo.full_name}.git denied to {by}."
