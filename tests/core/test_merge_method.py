"""Merge methods: by configuration, or by a label."""

import re

import pytest

from mergeq.core.merge_method import MergeMethods, NestedMethods
from mergeq.core.pull import Branch, Method
from tests.builders import MAIN, pr

MERGE, SQUASH, REBASE = Method.MERGE, Method.SQUASH, Method.REBASE
LABELLED = MergeMethods(squash_label="m/squash", rebase_label="m/rebase", merge_label="m/merge")


def expressions(*pairs: tuple[str, Method]) -> tuple[tuple[re.Pattern[str], Method], ...]:
    return tuple((re.compile(text), method) for text, method in pairs)


@pytest.mark.parametrize(
    ("methods", "branch", "expected"),
    [
        pytest.param(MergeMethods(), "acme/rocket:main", MERGE, id="T11.52 nothing configured"),
        pytest.param(MergeMethods({"acme": SQUASH}), "acme/rocket:main", SQUASH, id="T11.53 by org"),
        pytest.param(MergeMethods({"acme": SQUASH}), "other/rocket:main", MERGE, id="T11.54 another org"),
        pytest.param(MergeMethods({"acme": REBASE}), "acme/rocket:dev", REBASE, id="T11.55 any branch of the org"),
        pytest.param(MergeMethods({"acme/rocket": SQUASH}), "acme/rocket:main", SQUASH, id="T11.56 by repository"),
        pytest.param(MergeMethods({"acme/rocket": SQUASH}), "acme/other:main", MERGE, id="T11.57 another repository"),
        pytest.param(MergeMethods({"acme/rocket@main": REBASE}), "acme/rocket:main", REBASE, id="T11.59 by branch"),
        pytest.param(MergeMethods({"acme/rocket@main": REBASE}), "acme/rocket:master", MERGE, id="T11.59 other branch"),
        pytest.param(
            MergeMethods({"acme/rocket@main": REBASE}), "acme/rocket:main-2", MERGE, id="T1.48 the branch is literal"
        ),
        pytest.param(
            MergeMethods(nested={"acme": NestedMethods({"rocket": REBASE})}),
            "acme/rocket:main",
            REBASE,
            id="T11.60 nested by repository",
        ),
        pytest.param(
            MergeMethods(nested={"acme": NestedMethods({"rocket": REBASE})}),
            "acme/other:main",
            MERGE,
            id="T11.60 nested, another repository",
        ),
        pytest.param(
            MergeMethods(nested={"acme": NestedMethods({"*": REBASE, "rocket": SQUASH})}),
            "acme/other:main",
            REBASE,
            id="T11.61 any repository",
        ),
        pytest.param(
            MergeMethods(nested={"acme": NestedMethods({"*": REBASE, "rocket": SQUASH})}),
            "acme/rocket:main",
            SQUASH,
            id="T11.61 its own entry hides any",
        ),
        pytest.param(
            MergeMethods(nested={"acme": NestedMethods(by_branch={"rocket": expressions(("master", REBASE))})}),
            "acme/rocket:main",
            MERGE,
            id="T11.62 the expression does not match",
        ),
        pytest.param(
            MergeMethods(
                nested={"acme": NestedMethods(by_branch={"rocket": expressions((r"release-\d+(.\d+)?", SQUASH))})}
            ),
            "acme/rocket:release-0.2",
            SQUASH,
            id="T11.63 an expression",
        ),
        pytest.param(
            MergeMethods(
                nested={"acme": NestedMethods(by_branch={"rocket": expressions(("ma.*", SQUASH), ("mast.*", REBASE))})}
            ),
            "acme/rocket:master",
            SQUASH,
            id="T11.64 the first match wins",
        ),
        pytest.param(
            MergeMethods(nested={"acme": NestedMethods(by_branch={"rocket": expressions(("main", SQUASH))})}),
            "acme/rocket:maintenance",
            SQUASH,
            id="T1.54 expressions are not anchored",
        ),
        pytest.param(
            MergeMethods(nested={"acme": NestedMethods(by_branch={"*": expressions(("main", REBASE))})}),
            "acme/rocket:main",
            REBASE,
            id="T11.65 expressions for any repository",
        ),
        pytest.param(
            MergeMethods(
                {"acme/rocket@main": SQUASH},
                {"acme": NestedMethods(by_branch={"rocket": expressions(("main", REBASE))})},
            ),
            "acme/rocket:main",
            SQUASH,
            id="T11.66 the literal branch beats the expression",
        ),
        pytest.param(
            MergeMethods(
                {"acme/rocket": SQUASH}, {"acme": NestedMethods(by_branch={"rocket": expressions(("main", REBASE))})}
            ),
            "acme/rocket:main",
            REBASE,
            id="T11.67 the expression beats the repository",
        ),
        pytest.param(
            MergeMethods({"acme/rocket": SQUASH}, {"acme": NestedMethods({"rocket": REBASE})}),
            "acme/rocket:main",
            SQUASH,
            id="T11.68 flat beats nested for a repository",
        ),
        pytest.param(
            MergeMethods({"acme/rocket": SQUASH, "acme": REBASE}),
            "acme/rocket:main",
            SQUASH,
            id="T11.69 the repository beats the org",
        ),
        pytest.param(
            MergeMethods({"acme": SQUASH}, {"acme": NestedMethods({"rocket": REBASE})}),
            "acme/rocket:main",
            REBASE,
            id="T1.51 nested by repository beats the org",
        ),
        pytest.param(
            MergeMethods(
                nested={"acme": NestedMethods({"*": REBASE}, by_branch={"rocket": expressions(("main", SQUASH))})}
            ),
            "acme/rocket:dev",
            MERGE,
            id="T11.71 its own expressions hide the entry for any",
        ),
        pytest.param(
            MergeMethods(
                nested={"acme": NestedMethods({"*": REBASE}, by_branch={"rocket": expressions(("main", SQUASH))})}
            ),
            "acme/other:dev",
            REBASE,
            id="T11.71 other repositories keep the entry for any",
        ),
        pytest.param(MergeMethods({"*": SQUASH}), "acme/rocket:main", MERGE, id="T1.53 no wildcard for orgs"),
    ],
)
def test_the_most_specific_configured_method_wins(methods: MergeMethods, branch: str, expected: Method) -> None:
    assert methods.for_branch(Branch.parse(branch)) is expected


@pytest.mark.parametrize(
    ("branch", "expected"),
    [("k/k:main", MERGE), ("k/kops:main", REBASE), ("helm/monocular:main", SQUASH), ("helm/chartmuseum:main", MERGE)],
)
def test_flat_keys_of_several_orgs_do_not_meet(branch: str, expected: Method) -> None:
    """T11.70."""
    methods = MergeMethods({"k/kops": REBASE, "helm": SQUASH, "helm/chartmuseum": MERGE})

    assert methods.for_branch(Branch.parse(branch)) is expected


@pytest.mark.parametrize(
    ("label", "expected"), [("m/squash", SQUASH), ("m/rebase", REBASE), ("m/merge", MERGE), ("M/Squash", SQUASH)]
)
def test_a_method_label_beats_the_configuration(label: str, expected: Method) -> None:
    """T1.56, T11.148; labels compare without case (D18)."""
    configured = SQUASH if expected is MERGE else MERGE
    methods = MergeMethods({"acme": configured}, {}, "m/Squash", "M/rebase", "m/MERGE")

    assert methods.on(MAIN).of(pr(labels=("lgtm", label))) is expected


def test_without_a_method_label_the_configuration_holds() -> None:
    """T11.148."""
    assert MergeMethods({"acme": SQUASH}, squash_label="m/squash").on(MAIN).of(pr(labels=("lgtm",))) is SQUASH


def test_two_method_labels_leave_no_method() -> None:
    """T3.8, T11.149."""
    assert LABELLED.on(MAIN).of(pr(labels=("m/squash", "m/rebase"))) is None


def test_an_empty_configured_label_never_matches() -> None:
    """T1.56."""
    assert MergeMethods({"acme": REBASE}).on(MAIN).of(pr(labels=("",))) is REBASE


def test_one_label_for_two_methods_means_the_first_and_counts_once() -> None:
    """T1.57."""
    assert MergeMethods(rebase_label="same", merge_label="same").on(MAIN).of(pr(labels=("same",))) is REBASE
