"""Judging a git push before git sees it: reading what it asks for, and saying no as GitHub's hook does."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from mergeq.sandbox import refs
from mergeq.sandbox.demands import Violation, bindings
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.git import ZERO
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.policy import Ruling
from mergeq.sandbox.records import Repo

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

BY_PROTECTION = "protected branch hook declined"
BY_RULESETS = "push declined due to repository rule violations"
_PUSH_PROTECTION = f"""- GITHUB PUSH PROTECTION
  {"—" * 41}
    Resolve the following violations before pushing again

"""
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


def rulings(world: World, repo: Repo, push: Push, pack: IO[bytes], by: str) -> Mapping[Command, Ruling]:
    """What the rules say to each command that is under any; stores the objects first, for they are judged.

    A command that is not about where its ref is now is left to git, which knows what to say.
    """
    known = repo.git.refs()
    meant = [command for command in push.commands if known.get(command.ref, ZERO) == command.old]
    watched = world.faults.is_on(FaultId.POLICY_NO_WORKFLOWS, repo.full_name)
    ruled = [command for command in meant if watched or bindings(repo, command.ref)]
    if ruled and any(command.new != ZERO for command in push.commands):
        repo.git.take_in(pack)
    return {command: _ruling(world, repo, command, by) for command in ruled}


def _ruling(world: World, repo: Repo, command: Command, by: str) -> Ruling:
    """Workflow files out of a token's reach are told among the violations of rulesets (Q58)."""
    ruling = refs.judged(world, repo, command.ref, command.old, command.new, by)
    workflow = refs.forbidden_workflow(world, repo, command.old, command.new)
    return replace(ruling, rulesets=(*ruling.rulesets, Violation(workflow))) if workflow else ruling


def carry_out_rest(repo: Repo, push: Push, said: Mapping[Command, Ruling], web: str) -> bytes:
    """Move what is not declined, unless all was to move or nothing, and return the answer's body."""
    lines = [b"unpack ok\n"]
    for command in push.commands:
        reason = _declined(said.get(command)) or _moved_or_why(repo, push, command)
        lines.append(f"ng {command.ref} {reason}\n".encode() if reason else f"ok {command.ref}\n".encode())
    report = b"".join(map(_packet, lines)) + _FLUSH
    if "side-band-64k" not in push.capabilities:
        return report
    parts = [told(push, said, web)]
    parts += [_packet(b"\1" + report[start : start + _MAX_BAND]) for start in range(0, len(report), _MAX_BAND)]
    return b"".join(parts) + _FLUSH


def _declined(ruling: Ruling | None) -> str | None:
    if ruling is None or not ruling.message:
        return None
    return BY_RULESETS if ruling.rulesets else BY_PROTECTION


def told(push: Push, said: Mapping[Command, Ruling], web: str) -> bytes:
    """What the client shows with ``remote:`` before it: why a command is declined, or what its sender may break."""
    if "side-band-64k" not in push.capabilities:
        return b""
    words = [_words(command.ref, ruling, web) for command, ruling in said.items()]
    return b"".join(_packet(b"\2" + text.encode()) for text in words if text)


def _words(ref: str, ruling: Ruling, web: str) -> str:
    if ruling.message:
        head = f"error: GH006: Protected branch update failed for {ref}.\n"
        if ruling.rulesets:
            link = f"{web}/rules?ref={quote(ref, safe='')}"
            head = f"error: GH013: Repository rule violations found for {ref}.\nReview all repository rules at {link}\n"
        return head + "\n" + _items(ruling.refused)
    if ruling.bypassed:
        return f"Bypassed rule violations for {ref}:\n\n" + _items(ruling.bypassed)
    return ""


def _items(violations: Iterable[Violation]) -> str:
    """One by one, and what is wrong with pushed files in a part of its own."""
    listed = list(violations)
    items = "".join(_item(violation) for violation in listed if not violation.of_push)
    of_push = "".join(_item(violation) for violation in listed if violation.of_push)
    return items + (_PUSH_PROTECTION + textwrap.indent(of_push, "    ") if of_push else "")


def _item(violation: Violation) -> str:
    found = len(violation.found)
    count = f"  Found {found} violation{'s' if found > 1 else ''}:\n\n" if found else ""
    return f"- {violation.sentence}\n{count}" + "".join(f"  {one}\n" for one in violation.found) + "\n"


def _moved_or_why(repo: Repo, push: Push, command: Command) -> str | None:
    if "atomic" in push.capabilities:
        return "atomic push failure"
    if command.ref.startswith(refs.HIDDEN):
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
