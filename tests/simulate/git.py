"""The sandbox's repositories with everyday questions answered in this process: git itself takes a process for each.

Objects and refs lie on the disk as git has them, so that git can be asked for whatever is not answered here.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mergeq.sandbox.git import HEADS, ZERO, Draft, GitRepo, RefMovedError
from mergeq.sandbox.git_objects import CommitInfo, FileChange, GitError, TreeEntry, commit_text, parse_commit

Files = dict[str, tuple[str, str]]
"""A tree without folders: mode and object by name."""

Watch = Callable[["QuickGit", str, str, str], None]
"""Told right before a ref moves by an API: the repository, the ref, and where it was and will be (ZERO: nowhere)."""


class QuickGit(GitRepo):
    """A bare repository whose trees have no folders, and whose files have one line each: of such a file two changes
    always conflict.
    """

    watch: Watch = staticmethod(lambda _git, _ref, _old, _new: None)

    def __init__(self, git_dir: Path) -> None:
        super().__init__(git_dir)
        self._objects: dict[str, tuple[str, bytes]] = {}
        self._order: list[str] = []
        self._lines: dict[str, int] = {}
        self._refs = {}

    # objects

    def _keep(self, kind: str, content: bytes) -> str:
        whole = b"%b %d\0%b" % (kind.encode(), len(content), content)
        sha = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        if sha not in self._objects:
            self._objects[sha] = (kind, content)
            path = self.git_dir / "objects" / sha[:2] / sha[2:]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(whole, 1))
        return sha

    def _keep_commit(self, text: str) -> str:
        sha = self._keep("commit", text.encode())
        if sha not in self._commits:
            self._commits[sha] = parse_commit(sha, text)
        return sha

    def _object(self, sha: str) -> tuple[str, bytes] | None:
        if sha not in self._objects:
            path = self.git_dir / "objects" / sha[:2] / sha[2:]
            if not path.is_file():
                return None
            head, _, content = zlib.decompress(path.read_bytes()).partition(b"\0")
            self._objects[sha] = (head.split(b" ")[0].decode(), content)
        return self._objects[sha]

    def kind(self, sha: str) -> str | None:
        found = self._object(sha)
        return None if found is None else found[0]

    def commits(self, shas: Sequence[str]) -> tuple[CommitInfo, ...]:
        for sha in shas:
            if sha not in self._commits:
                found = self._object(sha)
                if found is None or found[0] != "commit":
                    raise GitError(f"{sha} is not a commit here")
                self._commits[sha] = parse_commit(sha, found[1].decode())
        return tuple(self._commits[sha] for sha in shas)

    def files(self, sha: str) -> Files:
        """What a commit or a tree holds."""
        kind, content = self._object(sha) or ("", b"")
        if kind == "commit":
            return self.files(self.commit(sha).tree)
        if kind != "tree":
            raise GitError(f"{sha} is no tree here")
        found: Files = {}
        while content:
            head, _, rest = content.partition(b"\0")
            mode, _, name = head.decode().partition(" ")
            found[name], content = (mode, rest[:20].hex()), rest[20:]
        return found

    def texts(self, sha: str) -> dict[str, str]:
        """What every file of a commit or a tree says."""
        return {path: self.blob(blob).decode() for path, (_, blob) in self.files(sha).items()}

    def _tree(self, files: Files) -> str:
        lines = (f"{mode} {path}\0".encode() + bytes.fromhex(sha) for path, (mode, sha) in sorted(files.items()))
        return self._keep("tree", b"".join(lines))

    def blob(self, sha: str) -> bytes:
        found = self._object(sha)
        if found is None or found[0] != "blob":
            raise GitError(f"{sha} is no file here")
        return found[1]

    def keep_blob(self, content: bytes) -> str:
        return self._keep("blob", content)

    def with_file(self, tree: str, name: str, text: str) -> str:
        return self._tree({**self.files(tree), name: ("100644", self.keep_blob(text.encode()))})

    def text_at(self, sha: str, path: str) -> str | None:
        found = self.files(sha).get(path)
        return None if found is None else self.blob(found[1]).decode()

    def files_at(self, sha: str, paths: Iterable[str]) -> dict[str, str]:
        there = self.files(sha)
        return {path: there[path][0] for path in paths if path in there}

    def entry_at(self, sha: str, path: str) -> TreeEntry | None:
        wanted = path.strip("/")
        if not wanted:
            return TreeEntry("", "040000", "tree", self.commit(sha).tree, None)
        found = self.files(sha).get(wanted)
        return None if found is None else TreeEntry(wanted, found[0], "blob", found[1], len(self.blob(found[1])))

    def write(self, ref: str, parent: str | None, drafts: Sequence[Draft], when: float) -> tuple[str, ...]:
        shas = []
        for draft in drafts:
            files = self.files(parent) if parent else {}
            for path, text in draft.files.items():
                if text is None:
                    files.pop(path, None)
                else:
                    files[path] = ("100644", self.keep_blob(text.encode()))
            by = (draft.author, when)
            parents = (parent,) if parent else ()
            parent = self._keep_commit(commit_text(self._tree(files), parents, draft.message, by, by, signed=False))
            shas.append(parent)
        self._put(ref, shas[-1])
        return tuple(shas)

    # history

    def _line(self, sha: str) -> int:
        """A number with a bit set for each commit that leads to this one, itself included; older ones come first."""
        todo = [sha]
        while todo:
            if todo[-1] in self._lines:
                todo.pop()
                continue
            parents = self.commit(todo[-1]).parents
            if unknown := [parent for parent in parents if parent not in self._lines]:
                todo.extend(unknown)
                continue
            at = todo.pop()
            found = 1 << len(self._order)
            self._order.append(at)
            for parent in parents:
                found |= self._lines[parent]
            self._lines[at] = found
        return self._lines[sha]

    def _named(self, line: int) -> list[str]:
        found = []
        while line:
            lowest = line & -line
            found.append(self._order[lowest.bit_length() - 1])
            line ^= lowest
        return found

    def is_ancestor(self, older: str, newer: str) -> bool:
        return self._line(older) | self._line(newer) == self._line(newer)

    def merge_bases(self, one: str, other: str) -> list[str]:
        """The newest commits that both histories have, none of which leads to another."""
        common = self._line(one) & self._line(other)
        found = []
        while common:
            newest = self._order[common.bit_length() - 1]
            found.append(newest)
            common &= ~self._line(newest)
        return found

    def merge_base(self, one: str, other: str) -> str | None:
        return next(iter(self.merge_bases(one, other)), None)

    def new_commits(self, since: str, until: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        line = self._line(until) & ~(0 if since == ZERO else self._line(since))
        return tuple((sha, self.commit(sha).parents) for sha in self._named(line))

    def unseen_commits(self, tip: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        line = self._line(tip)
        for sha in self.branches().values():
            line &= ~self._line(sha)
        return tuple((sha, self.commit(sha).parents) for sha in self._named(line))

    def belongs(self, sha: str) -> bool:
        line = self._line(sha)
        heads = (at for ref, at in self.refs().items() if ref.startswith(HEADS) or ref.endswith("/head"))
        return any(self._line(at) & line == line for at in heads)

    def changes(self, base: str, head: str) -> tuple[FileChange, ...]:
        if (base, head) not in self._changes:
            before, after = self.files(self.merge_base(base, head) or base), self.files(head)
            found = []
            for path in sorted(before.keys() | after.keys()):
                if before.get(path) != after.get(path):
                    status = "added" if path not in before else "modified" if path in after else "removed"
                    blob = (after.get(path) or before[path])[1]
                    found.append(FileChange(path, status, blob, path in after, path in before))
            self._changes[base, head] = tuple(found)
        return self._changes[base, head]

    def merge_tree(self, ours: str, theirs: str) -> str | None:
        pair = (ours, theirs)
        if pair not in self._merges:
            bases = self.merge_bases(ours, theirs)
            self._merges[pair] = self._merged(bases[0], *pair) if len(bases) == 1 else super().merge_tree(*pair)
        return self._merges[pair]

    def _merged(self, base: str, ours: str, theirs: str) -> str | None:
        before, here, there = self.files(base), self.files(ours), self.files(theirs)
        merged: Files = {}
        for path in before.keys() | here.keys() | there.keys():
            was, one, other = before.get(path), here.get(path), there.get(path)
            if one != other and was not in (one, other):
                return None
            if (chosen := other if was == one else one) is not None:
                merged[path] = chosen
        return self._tree(merged)

    # refs

    def refs(self) -> Mapping[str, str]:
        return self._refs or {}

    def reload(self) -> None:
        """Nobody else writes here."""

    def resolve(self, name: str) -> str | None:
        refs = self.refs()
        for candidate in (name, f"refs/{name}", f"refs/heads/{name}", f"refs/tags/{name}"):
            if candidate in refs:
                return refs[candidate]
        if self.kind(name) == "commit":
            return name
        return None if len(name) == len(ZERO) else super().resolve(name)

    def _put(self, ref: str, sha: str) -> None:
        known = self._refs if self._refs is not None else {}
        path = self.git_dir / ref
        if sha == ZERO:
            known.pop(ref, None)
            path.unlink(missing_ok=True)
        else:
            known[ref] = sha
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{sha}\n")

    def _check(self, ref: str, old: str | None, new: str) -> None:
        at = self.refs().get(ref, ZERO)
        if old is not None and old != at:
            raise RefMovedError(f"{ref} is at {at} but expected {old}")
        self.watch(self, ref, at, new)

    def move(self, ref: str, new: str, old: str | None = None) -> None:
        self._check(ref, old, new)
        self._put(ref, new)

    def place(self, ref: str, sha: str) -> None:
        self._put(ref, sha)

    def move_all(self, moves: Sequence[tuple[str, str, str]]) -> None:
        for ref, old, new in moves:
            self._check(ref, old, new)
        for ref, _, new in moves:
            self._put(ref, new)

    def drop(self, ref: str) -> None:
        self._check(ref, None, ZERO)
        self._put(ref, ZERO)

    def fetch(self, source: Path, sha: str, ref: str) -> None:
        super().fetch(source, sha, ref)
        self._put(ref, sha)
