"""One bare git repository: reading it, writing commits, and merging trees, all by git itself."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mergeq.sandbox.git_objects import (
    GITHUB,
    BroughtFile,
    CommitInfo,
    FileChange,
    GitError,
    Person,
    TreeEntry,
    commit_text,
    parse_brought,
    parse_commit,
    parse_commits,
    parse_diff,
    parse_tree,
)

ZERO = "0" * 40
HEADS = "refs/heads/"
_FULL_SHA = re.compile(r"[0-9a-f]{40}")
_ALTERNATES = "objects/info/alternates"
_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = false
[http]
\treceivepack = true
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[receive]
\thideRefs = refs/pull
[gc]
\tauto = 0
"""


class RefMovedError(GitError):
    """A ref was not where the caller believed it to be."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to be written: files changed against its parent (None deletes one)."""

    files: Mapping[str, str | None]
    message: str
    author: Person


def clean_environment() -> dict[str, str]:
    """An environment in which no configuration of this machine or user reaches git."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }


class GitRepo:
    """A bare repository. Not thread-safe: the world's lock guards every write.

    Refs are remembered between calls; whoever lets git write by itself calls ``reload`` afterwards.
    """

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self._refs: dict[str, str] | None = None
        self._commits: dict[str, CommitInfo] = {}
        self._ancestry: dict[tuple[str, str], bool] = {}
        self._spans: dict[tuple[str, str], tuple[tuple[str, tuple[str, ...]], ...]] = {}
        self._merges: dict[tuple[str, str], str | None] = {}
        self._texts: dict[tuple[str, str], str | None] = {}
        self._changes: dict[tuple[str, str], tuple[FileChange, ...]] = {}
        self._environment = clean_environment()

    @classmethod
    def create(cls, git_dir: Path, default_branch: str) -> GitRepo:
        """An empty repository, as ``git init --bare`` makes one; what is there already stays."""
        for folder in ("objects/info", "refs/heads"):
            (git_dir / folder).mkdir(parents=True, exist_ok=True)
        (git_dir / "HEAD").write_text(f"ref: {HEADS}{default_branch}\n")
        (git_dir / "config").write_text(_CONFIG)
        return cls(git_dir)

    def share(self, git_dir: Path, default_branch: str) -> GitRepo:
        """Another repository with the same refs, which finds the objects of this one here and writes its own."""
        made = GitRepo.create(git_dir, default_branch)
        (git_dir / _ALTERNATES).write_text(f"{self.git_dir.absolute() / 'objects'}\n")
        refs = dict(sorted(self.refs().items()))
        lines = "".join(f"{sha} {name}\n" for name, sha in refs.items())
        (git_dir / "packed-refs").write_text(f"# pack-refs with: sorted\n{lines}")
        made._refs = refs  # noqa: SLF001 - one of this class
        for known in ("_commits", "_ancestry", "_spans", "_merges", "_texts", "_changes"):
            setattr(made, known, dict(getattr(self, known)))
        return made

    def git(
        self, *args: str, stdin: bytes = b"", ok: tuple[int, ...] = (0,), index: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one git command here, with an index file if one is named; raises GitError unless it exits with ``ok``."""
        command = ("git", f"--git-dir={self.git_dir}", *args)
        environment = self._environment if index is None else {**self._environment, "GIT_INDEX_FILE": index}
        done = subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False)
        if done.returncode not in ok:
            raise GitError(f"git {args[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done

    def _text(self, *args: str) -> str:
        return self.git(*args).stdout.decode(errors="replace").strip()

    def refs(self) -> Mapping[str, str]:
        """Every ref and the object it names."""
        if self._refs is None:
            lines = self._text("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
            self._refs = {name: sha for sha, _, name in (line.partition(" ") for line in lines)}
        return self._refs

    def reload(self) -> None:
        self._refs = None

    def branches(self) -> dict[str, str]:
        return {n.removeprefix(HEADS): sha for n, sha in sorted(self.refs().items()) if n.startswith(HEADS)}

    def tip(self, branch: str) -> str | None:
        return self.refs().get(HEADS + branch)

    def resolve(self, name: str) -> str | None:
        """The commit a branch, tag, full ref or (short) SHA names; None if there is none."""
        refs = self.refs()
        for candidate in (name, f"refs/{name}", f"refs/heads/{name}", f"refs/tags/{name}"):
            if candidate in refs:
                return refs[candidate]
        if name in self._commits:
            return name
        done = self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", ok=(0, 1, 128))
        return done.stdout.decode().strip() or None

    def commit(self, sha: str) -> CommitInfo:
        return self.commits((sha,))[0]

    def commits(self, shas: Sequence[str]) -> tuple[CommitInfo, ...]:
        """The commits named by full SHAs, in that order; objects are immutable, so each is read once."""
        missing = [sha for sha in shas if sha not in self._commits]
        if not all(map(_FULL_SHA.fullmatch, missing)):
            raise GitError(f"not full commit SHAs: {missing}")
        if missing:
            output = self.git("cat-file", "--batch", stdin="\n".join(missing).encode() + b"\n").stdout
            for info in parse_commits(output):
                self._commits[info.sha] = info
        return tuple(self._commits[sha] for sha in shas)

    def kind(self, sha: str) -> str | None:
        """What an object is (commit, tree, blob, tag); None if it is not here."""
        if sha in self._commits:
            return "commit"
        return self.git("cat-file", "-t", sha, ok=(0, 128)).stdout.decode().strip() or None

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether ``newer`` has ``older`` in its history, or is it; each pair is asked about once."""
        pair = (older, newer)
        if pair not in self._ancestry:
            self._ancestry[pair] = self.git("merge-base", "--is-ancestor", *pair, ok=(0, 1)).returncode == 0
        return self._ancestry[pair]

    def merge_base(self, one: str, other: str) -> str | None:
        """The newest commit that both histories have; None when they have nothing in common."""
        return self.git("merge-base", one, other, ok=(0, 1)).stdout.decode().strip() or None

    def belongs(self, sha: str) -> bool:
        """Whether a branch or the head of a pull request has this commit in its history."""
        places = ("refs/heads", "refs/pull/*/head")
        return bool(self.git("for-each-ref", "--count=1", f"--contains={sha}", *places).stdout.strip())

    def take_in(self, pack: IO[bytes]) -> None:
        """Store the objects of a pack that begins where the file is read next; no ref names them yet."""
        os.lseek(pack.fileno(), pack.tell(), os.SEEK_SET)
        command = ("git", f"--git-dir={self.git_dir}", "index-pack", "--stdin", "--fix-thin")
        done = subprocess.run(command, stdin=pack, capture_output=True, env=self._environment, check=False)
        if done.returncode != 0:
            raise GitError(f"git index-pack: {done.stderr.decode(errors='replace').strip()}")

    def new_commits(self, since: str, until: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Commits of ``until`` not in ``since`` with their parents, parents first; each pair is asked about once."""
        pair = (since, until)
        if pair not in self._spans:
            span = (until,) if since == ZERO else (until, f"^{since}")
            lines = self._text("rev-list", "--parents", "--topo-order", "--reverse", *span).splitlines()
            self._spans[pair] = tuple((words[0], tuple(words[1:])) for words in map(str.split, lines))
        return self._spans[pair]

    def unseen_commits(self, tip: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Commits of ``tip`` that no branch has yet, with their parents, parents first."""
        lines = self._text("rev-list", "--parents", "--topo-order", "--reverse", tip, "--not", "--branches")
        return tuple((words[0], tuple(words[1:])) for words in map(str.split, lines.splitlines()))

    def brought(self, tip: str) -> tuple[BroughtFile, ...]:
        """What the commits of ``tip`` that no branch has yet do to files, each by itself, oldest first."""
        flags = ["--reverse", "-c", "--raw", "--no-renames", "--no-abbrev", "-z", "--format="]
        return parse_brought(self.git("log", *flags, tip, "--not", "--branches").stdout.decode(errors="replace"))

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """How many bytes these objects have; those that are elsewhere, as submodules are, have none."""
        wanted = list(dict.fromkeys(blobs))
        asked = "".join(f"{sha}\n" for sha in wanted).encode()
        lines = self.git("cat-file", "--batch-check=%(objectsize)", stdin=asked).stdout.decode().splitlines()
        return {sha: int(line) if line.isdigit() else 0 for sha, line in zip(wanted, lines, strict=True)}

    def changes(self, base: str, head: str) -> tuple[FileChange, ...]:
        """What ``head`` changed since it left ``base``; commits are immutable, so each pair is compared once."""
        if (base, head) not in self._changes:
            span = f"{base}...{head}"
            output = self.git("diff", "--raw", "--numstat", "--no-renames", "--no-abbrev", "-z", span).stdout
            self._changes[base, head] = parse_diff(output.decode(errors="replace"))
        return self._changes[base, head]

    def text_at(self, sha: str, path: str) -> str | None:
        """What a file says in a commit; None if it is not there."""
        if (sha, path) not in self._texts:
            done = self.git("cat-file", "blob", f"{sha}:{path}", ok=(0, 128))
            self._texts[sha, path] = done.stdout.decode(errors="replace") if done.returncode == 0 else None
        return self._texts[sha, path]

    def files_at(self, sha: str, paths: Iterable[str]) -> dict[str, str]:
        """Those of ``paths`` that exist in the commit, with their modes."""
        output = self.git("ls-tree", "-z", "--full-tree", sha, "--", *paths).stdout.decode()
        entries = (entry.partition("\t") for entry in output.split("\0") if entry)
        return {path: fields.split(" ")[0] for fields, _, path in entries}

    def entries(self, tree: str, *, recursive: bool = False) -> tuple[TreeEntry, ...]:
        """What lies directly in a tree, or in a commit's; ``recursive``: and in the trees within."""
        deep = ("-r", "-t") if recursive else ()
        return parse_tree(self.git("ls-tree", "-l", "-z", "--full-tree", *deep, tree).stdout.decode(errors="replace"))

    def write_tree(self, base: str | None, entries: Iterable[tuple[str, str, str | None]]) -> str:
        """A tree like ``base`` with other things at some paths: (path, mode, object), None for what shall go."""
        with tempfile.TemporaryDirectory(prefix="sandbox-index-") as folder:
            index = f"{folder}/index"
            self.git("read-tree", *([base] if base else ["--empty"]), index=index)
            for path, mode, sha in entries:
                inside = self.entries(sha, recursive=True) if mode == "040000" and sha else None
                lines = f"{mode if sha else '0'} {sha or ZERO}\t{path}\0"
                if inside is not None:
                    lines = "".join(f"{e.mode} {e.sha}\t{path}/{e.path}\0" for e in inside if e.kind != "tree")
                self.git("update-index", "-z", "--index-info", stdin=lines.encode(), index=index)
            return self.git("write-tree", index=index).stdout.decode().strip()

    def patch(self, base: str, head: str, form: str) -> str:
        """What ``head`` changed since it left ``base``, as ``diff`` or as ``patch`` (a mail for each commit)."""
        if form == "diff":
            return self.git("diff", f"{base}...{head}").stdout.decode(errors="replace")
        return self.git("format-patch", "--stdout", f"{base}..{head}").stdout.decode(errors="replace")

    def history(self, tip: str, path: str | None = None) -> list[str]:
        """The commits that lead to ``tip``, newest first; with ``path`` those that touched it."""
        where = ("--", path) if path else ()
        return self._text("rev-list", tip, *where).split()

    def entry_at(self, sha: str, path: str) -> TreeEntry | None:
        """What lies at a path of a commit, the root included; None if nothing does."""
        wanted = path.strip("/")
        if not wanted:
            return TreeEntry("", "040000", "tree", self.commit(sha).tree, None)
        found = self.git("ls-tree", "-l", "-z", "--full-tree", sha, "--", wanted).stdout.decode(errors="replace")
        return next(iter(parse_tree(found)), None)

    def blob(self, sha: str) -> bytes:
        """What a file holds; raises GitError if there is no such file."""
        return self.git("cat-file", "blob", sha).stdout

    def keep_blob(self, content: bytes) -> str:
        """Store what a file shall hold."""
        return self.git("hash-object", "-w", "--stdin", stdin=content).stdout.decode().strip()

    def with_file(self, tree: str, name: str, text: str) -> str:
        """A tree like ``tree`` with one more file at its top, or another text in it."""
        blob = self.keep_blob(text.encode())
        kept = [f"{e.mode} {e.kind} {e.sha}\t{e.path}" for e in self.entries(tree) if e.path != name]
        lines = "\0".join([*kept, f"100644 blob {blob}\t{name}"])
        return self.git("mktree", "-z", stdin=f"{lines}\0".encode()).stdout.decode().strip()

    def export(self, sha: str, into: Path) -> None:
        """Write the commit's files into an existing empty folder."""
        archive = self.git("archive", "--format=tar", sha).stdout
        command = ("tar", "-x", "-C", str(into))
        subprocess.run(command, input=archive, check=True, env=self._environment, capture_output=True)

    def write(self, ref: str, parent: str | None, drafts: Sequence[Draft], when: float) -> tuple[str, ...]:
        """Commit ``drafts`` one on top of the other and leave ``ref`` at the last; one import for all of them."""
        modes = self.files_at(parent, {path for d in drafts for path in d.files}) if parent and drafts else {}
        lines: list[bytes] = []
        for position, draft in enumerate(drafts, start=1):
            lines.append(f"commit {ref}\nmark :{position}\n".encode())
            for role, person in (("author", draft.author), ("committer", draft.author)):
                lines.append(f"{role} {person.name} <{person.email}> {int(when)} +0000\n".encode())
            lines.append(_data(draft.message))
            if position == 1 and parent:
                lines.append(f"from {parent}\n".encode())
            lines.extend(_edit(path, text, modes) for path, text in draft.files.items())
            lines.append(b"\n")
        lines.extend(f"get-mark :{position}\n".encode() for position in range(1, len(drafts) + 1))
        output = self.git("fast-import", "--quiet", "--force", "--date-format=raw", stdin=b"".join(lines)).stdout
        shas = tuple(output.decode().split())
        if self._refs is not None:
            self._refs[ref] = shas[-1]
        return shas

    def merge_tree(self, ours: str, theirs: str) -> str | None:
        """The tree of a merge of two commits, or None where they conflict; each pair is merged once."""
        pair = (ours, theirs)
        if pair not in self._merges:
            done = self.git("merge-tree", "--write-tree", "--no-messages", *pair, ok=(0, 1))
            self._merges[pair] = done.stdout.decode().split("\n", 1)[0] if done.returncode == 0 else None
        return self._merges[pair]

    def commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        *,
        author: Person,
        when: float,
        committer: Person = GITHUB,
        authored_at: float | None = None,
        signed: bool = False,
    ) -> str:
        """Write a commit; ``signed`` by GitHub, as those it makes itself are."""
        written = (author, when if authored_at is None else authored_at)
        return self._keep_commit(commit_text(tree, parents, message, written, (committer, when), signed=signed))

    def _keep_commit(self, text: str) -> str:
        """Write a commit object as git would: one file, compressed, in place at once."""
        content = text.encode()
        whole = b"commit %d\0%b" % (len(content), content)
        sha = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        folder = self.git_dir / "objects" / sha[:2]
        folder.mkdir(exist_ok=True)
        _replace(folder / sha[2:], zlib.compress(whole, 1))
        self._commits[sha] = parse_commit(sha, text)
        return sha

    def replay(self, shas: Sequence[str], onto: str, when: float) -> str | None:
        """Cherry-pick commits onto another, keeping authors; merge commits are left out. None on a conflict.

        git 2.39's merge-tree takes no merge base, so each pick is a merge of the commit with a throw-away
        commit that has the tip's tree and the commit's parent.
        """
        tip = onto
        for info in self.commits(shas):
            if len(info.parents) != 1:
                continue
            parent = info.parents[0]
            stand_in = self.commit_tree(self.commit(tip).tree, (parent,), "stand-in", author=GITHUB, when=when)
            tree = (
                info.tree if self.commit(parent).tree == self.commit(tip).tree else self.merge_tree(stand_in, info.sha)
            )
            if tree is None:
                return None
            tip = self.commit_tree(
                tree, (tip,), info.message, author=info.author, when=when, authored_at=info.authored_at
            )
        return tip

    def move(self, ref: str, new: str, old: str | None = None) -> None:
        """Point a ref at ``new``; with ``old`` (ZERO: must not exist) only if it is there now."""
        expected = () if old is None else (old,)
        try:
            self.git("update-ref", ref, new, *expected)
        except GitError as refusal:
            self.reload()
            if old is None:
                raise
            raise RefMovedError(str(refusal)) from refusal
        if self._refs is not None:
            self._refs[ref] = new

    def place(self, ref: str, sha: str) -> None:
        """Write a ref that no other ref's name can be in the way of, such as refs/pull/N/merge."""
        path = self.git_dir / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, f"{sha}\n".encode())
        if self._refs is not None:
            self._refs[ref] = sha

    def move_all(self, moves: Sequence[tuple[str, str, str]]) -> None:
        """Move several refs at once or none: (ref, old, new), ZERO for one that does not or shall not exist."""
        lines = "".join(f"update {ref} {new} {old}\n" for ref, old, new in moves)
        try:
            self.git("update-ref", "--stdin", stdin=f"start\n{lines}prepare\ncommit\n".encode())
        except GitError as refusal:
            raise RefMovedError(str(refusal)) from refusal
        finally:
            self.reload()

    def drop(self, ref: str) -> None:
        self.git("update-ref", "-d", ref)
        if self._refs is not None:
            self._refs.pop(ref, None)

    def fetch(self, source: Path, sha: str, ref: str) -> None:
        """Bring a commit of another repository here and name it ``ref``."""
        self.git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(source), f"+{sha}:{ref}")
        if self._refs is not None:
            self._refs[ref] = sha


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%b\n" % (len(content), content)


def _edit(path: str, text: str | None, modes: Mapping[str, str]) -> bytes:
    quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if text is None:
        return f"D {quoted}\n".encode()
    runnable = path.endswith(".sh") or modes.get(path) == "100755"
    return f"M {'100755' if runnable else '100644'} inline {quoted}\n".encode() + _data(text)


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place so that a reader sees the whole of it or the one before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix="tmp_obj_")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).chmod(0o644)
    Path(name).replace(path)
