"""What the simulation's repositories answer by themselves is what git answers."""

import random
from itertools import product
from pathlib import Path

from mergeq.sandbox.git import HEADS, ZERO, Draft, GitRepo
from mergeq.sandbox.users import person
from tests.simulate.git import QuickGit


def grown(folder: Path, seed: int) -> tuple[QuickGit, list[str]]:
    """A repository with commits, branches and merges at random; all its commits."""
    dice, quick, ana = random.Random(seed), QuickGit.create(folder / f"{seed}.git", "main"), person("ana")
    assert isinstance(quick, QuickGit)
    shas = [*quick.write(f"{HEADS}main", None, [Draft({"README": "1\n"}, "Start", ana)], 1.0)]
    for step in range(24):
        one, other, branch = dice.choice(shas), dice.choice(shas), f"{HEADS}b{step % 5}"
        tree = quick.merge_tree(one, other)
        if dice.random() < 0.3 and tree is not None:
            shas.append(quick.commit_tree(tree, (one, other), "Merge", author=ana, when=2.0))
            quick.move(branch, shas[-1])
        else:
            files = {f"f{dice.randrange(8)}": f"{step}\n" for _ in range(dice.choice((1, 2)))}
            shas += quick.write(branch, one, [Draft(files, f"Step {step}\n\nMore.", ana)], 2.0)
    return quick, shas


def test_history_trees_and_merges_are_those_of_git(tmp_path: Path) -> None:
    for seed in range(2):
        quick, shas = grown(tmp_path, seed)
        git = GitRepo(quick.git_dir)

        assert quick.refs() == git.refs()
        assert quick.commits(shas) == git.commits(shas)
        for one, other in product(shas[::5], shas[::3]):
            assert quick.is_ancestor(one, other) == git.is_ancestor(one, other)
            assert {sha for sha, _ in quick.new_commits(one, other)} == {sha for sha, _ in git.new_commits(one, other)}
            assert quick.merge_tree(one, other) == git.merge_tree(one, other)
            if len(quick.merge_bases(one, other)) == 1:
                assert quick.merge_base(one, other) == git.merge_base(one, other)
                assert quick.changes(one, other) == git.changes(one, other)
        for sha in shas[::5]:
            assert quick.entry_at(sha, "f1") == git.entry_at(sha, "f1")
            assert quick.text_at(sha, "f2") == git.text_at(sha, "f2")
            assert quick.belongs(sha) == git.belongs(sha)
            assert quick.with_file(quick.commit(sha).tree, "new", "1\n") == git.with_file(
                git.commit(sha).tree, "new", "1\n"
            )


def test_a_ref_moves_only_from_where_it_is_believed_to_be(tmp_path: Path) -> None:
    quick, shas = grown(tmp_path, 9)
    moves: list[tuple[str, str, str]] = []
    quick.watch = lambda _git, ref, old, new: moves.append((ref, old, new))

    quick.move_all([(f"{HEADS}new", ZERO, shas[0]), (f"{HEADS}main", shas[0], shas[3])])
    quick.drop(f"{HEADS}new")

    assert moves == [
        (f"{HEADS}new", ZERO, shas[0]),
        (f"{HEADS}main", shas[0], shas[3]),
        (f"{HEADS}new", shas[0], ZERO),
    ]
    assert GitRepo(quick.git_dir).tip("main") == shas[3] == quick.tip("main")
