"""What git's objects say, read and written as bytes: commits with their signatures, trees, and diff summaries."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class GitError(Exception):
    """git refused; the message is what it printed."""


@dataclass(frozen=True, slots=True)
class Person:
    """A name and address as they stand in a commit."""

    name: str
    email: str


GITHUB = Person("GitHub", "noreply@github.com")


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit object; times are whole epoch seconds.

    ``payload`` is what ``signature`` was made over; both are None in a commit that carries no signature.
    """

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    authored_at: int
    committer: Person
    committed_at: int
    message: str
    signature: str | None = None
    payload: str | None = None

    @property
    def headline(self) -> str:
        return self.message.split("\n", 1)[0].strip()

    @property
    def body(self) -> str:
        return self.message.partition("\n")[2].strip()

    @property
    def is_verified(self) -> bool:
        """Whether this GitHub signed it."""
        return self.payload is not None and self.signature == signature_of(self.payload)


@dataclass(frozen=True, slots=True)
class FileChange:
    """One line of a diff's summary; binary files count 0 lines."""

    path: str
    status: str
    blob: str
    additions: int
    deletions: int


@dataclass(frozen=True, slots=True)
class BroughtFile:
    """A file that a commit changes; ``blob`` is what it is then, None if it is gone."""

    path: str
    blob: str | None


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One line of a tree; only a blob has a size."""

    path: str
    mode: str
    kind: str
    sha: str
    size: int | None


def signature_of(payload: str) -> str:
    """What stands for GitHub's signature of a commit: made from its text, so it fits no other commit."""
    digest = base64.b64encode(hashlib.sha512(b"web-flow\0" + payload.encode()).digest()).decode()
    return f"-----BEGIN PGP SIGNATURE-----\n\n{digest}\n-----END PGP SIGNATURE-----"


def commit_text(
    tree: str,
    parents: Sequence[str],
    message: str,
    author: tuple[Person, float],
    committer: tuple[Person, float],
    *,
    signed: bool,
) -> str:
    """A commit object's content; people come with the epoch second at which they acted."""
    head = f"tree {tree}\n" + "".join(f"parent {parent}\n" for parent in parents)
    for role, (person, at) in (("author", author), ("committer", committer)):
        head += f"{role} {person.name} <{person.email}> {int(at)} +0000\n"
    body = f"\n{message.rstrip()}\n"
    if not signed:
        return head + body
    signature = signature_of(head + body).replace("\n", "\n ")
    return f"{head}gpgsig {signature}\n{body}"


def parse_commits(output: bytes) -> Iterable[CommitInfo]:
    """The commits ``git cat-file --batch`` printed; raises GitError naming an object that is none."""
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        words = output[position:end].decode().split(" ")
        if words[-1] == "missing" or words[1] != "commit":
            raise GitError(f"{words[0]} is not a commit here")
        size = int(words[2])
        yield parse_commit(words[0], output[end + 1 : end + 1 + size].decode(errors="replace"))
        position = end + size + 2


def parse_commit(sha: str, text: str) -> CommitInfo:
    """The commit whose content is ``text``."""
    head, _, message = text.partition("\n\n")
    fields: dict[str, list[str]] = {}
    payload: list[str] = []
    key = ""
    for line in head.split("\n"):
        if line.startswith(" "):
            fields[key][-1] += "\n" + line[1:]
        else:
            key, _, value = line.partition(" ")
            fields.setdefault(key, []).append(value)
        if key != "gpgsig":
            payload.append(line)
    author, authored_at = _parse_person(fields["author"][0])
    committer, committed_at = _parse_person(fields["committer"][0])
    signature = fields.get("gpgsig", [None])[0]
    return CommitInfo(
        sha=sha,
        tree=fields["tree"][0],
        parents=tuple(fields.get("parent", ())),
        author=author,
        authored_at=authored_at,
        committer=committer,
        committed_at=committed_at,
        message=message.removesuffix("\n"),
        signature=signature,
        payload=None if signature is None else "\n".join(payload) + f"\n\n{message}",
    )


def _parse_person(text: str) -> tuple[Person, int]:
    name, _, rest = text.partition(" <")
    email, _, stamp = rest.partition("> ")
    return Person(name, email), int(stamp.split(" ")[0])


_DIFF_STATUS = {"A": "added", "D": "removed", "M": "modified", "T": "changed"}


def parse_diff(output: str) -> tuple[FileChange, ...]:
    """What ``git diff --raw --numstat -z`` printed."""
    status: dict[str, tuple[str, str]] = {}
    counts: dict[str, tuple[int, int]] = {}
    entries = iter(output.split("\0"))
    for entry in entries:
        if entry.startswith(":"):
            words = entry.split(" ")
            blob = words[3] if words[4] != "D" else words[2]
            status[next(entries)] = (_DIFF_STATUS[words[4][0]], blob)
        elif entry:
            added, deleted, path = entry.split("\t", 2)
            counts[path] = (0 if added == "-" else int(added), 0 if deleted == "-" else int(deleted))
    return tuple(FileChange(path, *status[path], *counts[path]) for path in status)


def parse_brought(output: str) -> tuple[BroughtFile, ...]:
    """What ``git log -c --raw -z`` printed: of a merge, what is as in none of its parents."""
    entries = iter(entry for entry in output.split("\0") if entry)
    found = []
    for entry in entries:
        *_, blob, status = entry.split(" ")
        found.append(BroughtFile(next(entries), None if "D" in status else blob))
    return tuple(found)


def parse_tree(output: str) -> tuple[TreeEntry, ...]:
    """What ``git ls-tree -l -z`` printed."""
    entries = []
    for line in filter(None, output.split("\0")):
        fields, _, path = line.partition("\t")
        mode, kind, sha, size = fields.split()
        entries.append(TreeEntry(path, mode, kind, sha, int(size) if size.isdigit() else None))
    return tuple(entries)
