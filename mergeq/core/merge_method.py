"""How a pull request is merged: by configuration, or by a label on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergeq.core.compat import Compat
from mergeq.core.contexts import Pattern
from mergeq.core.pull import Branch, Method, PullRequest


@dataclass(frozen=True, slots=True)
class NestedMethods:
    """The nested form below one org: a method for a whole repository (or ``*``), or one per branch expression
    (T1.48).
    """

    whole: Mapping[str, Method] = field(default_factory=dict)
    by_branch: Mapping[str, tuple[tuple[Pattern, Method], ...]] = field(default_factory=dict)

    def entry(self, repo: str) -> str:
        """The key that speaks for `repo`: its own, which hides ``*`` completely (T1.52)."""
        return repo if repo in self.whole or repo in self.by_branch else "*"


@dataclass(frozen=True, slots=True)
class MergeMethods:
    """Everything the configuration says about merge methods.

    `flat` has the keys ``org``, ``org/repo`` and ``org/repo@branch``. An empty label never matches (T1.56).
    """

    flat: Mapping[str, Method] = field(default_factory=dict)
    nested: Mapping[str, NestedMethods] = field(default_factory=dict)
    squash_label: str = ""
    rebase_label: str = ""
    merge_label: str = ""

    def for_branch(self, branch: Branch) -> Method:
        """The configured method of a branch, else merge."""
        return self.configured(branch)[0]

    def configured(self, branch: Branch) -> tuple[Method, tuple[str, ...]]:
        """The method of a branch and the keys under `tide.merge_method` that say so, none when nothing does; the first
        hit of T1.51 wins.
        """
        nested = self.nested.get(branch.org, NestedMethods())
        entry = nested.entry(branch.repo)
        literal = f"{branch.full_repo}@{branch.name}"
        if method := self.flat.get(literal):
            return method, (literal,)
        for pattern, method in nested.by_branch.get(entry, ()):
            if pattern.search(branch.name):
                return method, (branch.org, entry, pattern.pattern)
        if method := self.flat.get(branch.full_repo):
            return method, (branch.full_repo,)
        if method := nested.whole.get(entry):
            return method, (branch.org, entry)
        if method := self.flat.get(branch.org):
            return method, (branch.org,)
        return Method.MERGE, ()

    def on(self, branch: Branch, compat: Compat = Compat.MERGEQ) -> "BranchMethods":
        """The methods on one branch. Where two of the labels are configured alike, the first of squash, rebase, merge
        is meant (T1.57).
        """
        labels = (
            (self.merge_label, Method.MERGE),
            (self.rebase_label, Method.REBASE),
            (self.squash_label, Method.SQUASH),
        )
        by_label = {compat.same(text): method for text, method in labels if text}
        return BranchMethods(self.for_branch(branch), by_label, compat)


@dataclass(frozen=True, slots=True)
class BranchMethods:
    """The methods on one branch: the `usual` one, and those that a label asks for, by what `compat` makes of its
    name.
    """

    usual: Method
    by_label: Mapping[str, Method]
    compat: Compat

    def of(self, pull: PullRequest) -> Method | None:
        """The method for one pull request: a method label beats the usual one; None when labels contradict each other
        (T1.56, T3.8).
        """
        if self.compat.all_of(pull.labels).isdisjoint(self.by_label):
            return self.usual
        chosen = [label for label in map(self.compat.same, pull.labels) if label in self.by_label]
        return self.by_label[chosen[0]] if len(chosen) == 1 else None
