"""A plan in words: what protects less first, then every field with what it is, is to be, and who asks for it."""

import pytest

from mergeq.core.plan_text import changed, lines, markdown, said, sides, summary
from mergeq.core.protection import (
    NOBODY,
    Actors,
    Cause,
    Change,
    Check,
    Effect,
    Field,
    Item,
    Kind,
    Mode,
    Plan,
    Source,
    Target,
    Value,
)

CI, LINT = Check("ci/test", "any"), Check("lint", "github-actions")
MAIN, NEXT = Target("acme/rocket", "main"), Target("acme/rocket", "release/*")
ADMINS = Change(Field.ENFORCE_ADMINS, False, True, Effect.STRENGTHEN)
FEWER = Change(Field.CONTEXTS, frozenset({CI, LINT}), frozenset({CI}), Effect.WEAKEN)
SOURCES = {Field.CONTEXTS: (Source("acme", "p.yaml:3"), Source("acme/rocket", "p.yaml:9"))}
LOOSER = Item(
    MAIN, Kind.UPDATE, changes=(FEWER, ADMINS), cause=Cause.CONFIG, mode=Mode.ENFORCE, sources=SOURCES, place="p.yaml:2"
)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (Field.STRICT, True, "true"),
        (Field.STRICT, False, "false"),
        (Field.REVIEWS, 2, "2"),
        (Field.REVIEWS, None, "no pull request needed"),
        (Field.CONTEXTS, None, "none"),
        (Field.CONTEXTS, frozenset(), "none"),
        (Field.CONTEXTS, frozenset({CI, LINT, Check("e2e")}), "ci/test, e2e (as it was), lint (github-actions)"),
        (Field.DEPLOYMENTS, frozenset({"prod"}), "prod"),
        (Field.PUSHERS, NOBODY, "nobody"),
        (
            Field.PUSHERS,
            Actors(frozenset({"ana"}), frozenset({"admins"}), frozenset({"bot"})),
            "@ana, team admins, app bot",
        ),
    ],
)
def test_a_value_is_said_in_a_few_words(name: Field, value: Value, words: str) -> None:
    assert said(name, value) == words


def test_a_single_context_and_what_no_field_can_say_have_their_words_too() -> None:
    assert said(Field.CONTEXTS, LINT) == "lint (github-actions)"
    assert said("merge_queue", "") == ""


def test_of_lists_is_said_what_comes_and_what_goes() -> None:
    assert changed(FEWER) == "-lint (github-actions)"
    assert changed(ADMINS) == "false → true"
    people = Change(Field.BYPASSERS, Actors(users=frozenset({"bob"})), Actors(users=frozenset({"ana"})), Effect.NEUTRAL)
    assert changed(people) == "+@ana, -@bob"
    assert changed(Change(Field.CONTEXTS, None, frozenset({CI}), Effect.STRENGTHEN)) == "none → ci/test"


def test_a_plan_begins_with_what_protects_less() -> None:
    plan = Plan((LOOSER,), ("p.yaml:7: an exemption ends soon",))

    assert lines(plan) == [
        f"plan {plan.hash[:12]}: 1 change in 1 repository, of which 1 protects less",
        "",
        "protects less:",
        "  acme/rocket:main: required_status_checks.contexts -lint (github-actions)",
        "",
        "acme/rocket",
        "  ~ main  update, the configuration changed",
        "      required_status_checks.contexts  -lint (github-actions) (less)  [p.yaml:3, p.yaml:9]",
        "      enforce_admins                   false → true  [p.yaml:2]",
        "",
        "warning: p.yaml:7: an exemption ends soon",
    ]


def test_what_is_not_done_says_why_and_what_is_as_wished_says_nothing() -> None:
    kept = Item(Target("acme/a", "main"), Kind.NOTHING)
    warned = Item(Target("acme/b", "main"), Kind.NOTHING, why="as wished", warnings=("it matches no branch",))
    blocked = Item(Target("acme/c", "main"), Kind.BLOCKED, why="the rule * covers it")

    assert lines(Plan((kept, warned, blocked))) == [
        "nothing to do: 3 branches and patterns looked at",
        "",
        "acme/b",
        "    main  no-op: as wished",
        "      warning: it matches no branch",
        "",
        "acme/c",
        "  ! main  blocked: the rule * covers it",
    ]


def test_what_could_not_be_read_is_not_said_to_need_nothing() -> None:
    unknown = Item(MAIN, Kind.UNKNOWN, why="the rules of acme/rocket could not be read")
    made = Item(NEXT, Kind.CREATE, why="it has no rule", mode=Mode.ENFORCE)

    assert summary(Plan((unknown,))) == "not known: 1 of 1 branch or pattern could not be read"
    assert summary(Plan((made, unknown))).endswith(": 1 change in 1 repository, 1 more not known")


def test_a_rule_that_goes_is_said_to_protect_less() -> None:
    gone = Item(
        NEXT,
        Kind.DELETE,
        changes=(Change(Field.STRICT, True, False, Effect.WEAKEN),),
        cause=Cause.FIRST_RUN,
        why="protect: false",
        exemptions=("rel-1",),
    )
    made = Item(MAIN, Kind.CREATE, why="it has no rule", mode=Mode.ENFORCE)

    told = lines(Plan((made, gone)))

    assert summary(Plan((made, gone))).endswith(
        "2 changes in 1 repository, of which 1 protects less, of which 1 only observed"
    )
    assert told[3] == "  acme/rocket:release/*: its rule is removed"
    assert told[6] == "  + main  create, it has no rule"
    assert told[7] == "  - release/*  delete, protect: false, only observed, exempt by rel-1"
    assert told[8] == "      required_status_checks.strict  true → false (less)"


def test_a_plan_for_a_pull_request_has_nothing_that_markdown_would_take_for_its_own() -> None:
    name = "required\\_pull\\_request\\_reviews.bypass\\_pull\\_request\\_allowances"
    named = Change(Field.BYPASSERS, NOBODY, Actors(users=frozenset({"ana_b"})), Effect.WEAKEN)
    plan = Plan((Item(NEXT, Kind.UPDATE, changes=(named,), why="it differs", warnings=("a `b`",)),), ("<script>",))

    assert markdown(plan) == [
        f"**plan {plan.hash[:12]}: 1 change in 1 repository, of which 1 protects less, of which 1 only observed**",
        "",
        "Protects less:",
        "",
        f"- acme/rocket:release/\\*: {name} +@\u200bana\\_b",
        "",
        "<details><summary>acme/rocket</summary>",
        "",
        "- **release/\\*** update, it differs, only observed",
        "  - `required_pull_request_reviews.bypass_pull_request_allowances`: +@\u200bana\\_b",
        "  - ⚠ a \\`b\\`",
        "",
        "</details>",
        "",
        "⚠ \\<script\\>",
    ]


def test_what_a_branch_or_a_context_is_called_moves_no_cursor_and_turns_no_text() -> None:
    said = Change(Field.CONTEXTS, None, frozenset({Check("ci\x1b[2J\u202e\nheld: no", "any")}), Effect.STRENGTHEN)
    item = Item(Target("acme/a_b", "x\x9b31m&#64;jo"), Kind.UPDATE, changes=(said,), why="it differs")
    plan = Plan((item,))

    assert all(line.isprintable() for line in lines(plan))
    assert markdown(plan)[2] == "<details><summary>acme/a_b</summary>"
    assert markdown(plan)[4].startswith(r"- **x\\x9b31m\&\#64;jo** update")
    assert markdown(plan)[5].endswith(r"none → ci\\x1b\[2J\\u202e\\nheld: no")


def test_what_strengthens_alone_and_what_is_orphaned_need_no_heading() -> None:
    made = Item(MAIN, Kind.CREATE, changes=(ADMINS,), cause=Cause.DRIFT, place="p.yaml:2")
    orphan = Item(NEXT, Kind.ORPHANED, why="nobody asks for it")

    told = markdown(Plan((made, orphan)))

    assert "Protects less:" not in told
    assert "  - `enforce_admins`: false → true (p.yaml:2)" in told
    assert "- **release/\\*** orphaned: nobody asks for it" in told


def test_branches_of_which_the_same_is_to_be_said_are_named_together() -> None:
    alike = [
        Item(Target("acme/rocket", name), Kind.CREATE, changes=(ADMINS,), why="it has no rule", place="p.yaml:2")
        for name in ("main", "next")
    ]

    assert lines(Plan(tuple(alike)))[-3:] == [
        "acme/rocket",
        "  + main, next  create, it has no rule, only observed",
        "      enforce_admins  false → true  [p.yaml:2]",
    ]
    assert "- **main**, **next** create, it has no rule, only observed" in markdown(Plan(tuple(alike)))


def test_so_many_branches_that_they_fill_lines_have_lines_of_their_own() -> None:
    many = [Item(Target("acme/rocket", f"release-{n:02}"), Kind.CREATE, changes=(ADMINS,)) for n in range(20)]

    told = lines(Plan(tuple(many)))

    assert "  + 20 branches and patterns  create" in "\n".join(told)
    assert [line.split(", ")[0].strip() for line in told if "release-" in line] == ["release-00", "release-10"]


def test_what_a_row_of_the_audit_changed_is_told_side_by_side() -> None:
    was = {"enforce_admins": False, "required_status_checks.contexts": [{"context": "ci", "app": "any"}]}
    became = {"enforce_admins": True, "enforcement": "active", "conditions": ["~ALL"], "bypass_actors": []}

    assert list(sides(was, became)) == [
        ("required_status_checks.contexts", "ci", ""),
        ("enforce_admins", "false", "true"),
        ("bypass_actors", "", ""),
        ("conditions", "", '["~ALL"]'),
        ("enforcement", "", "active"),
    ]
    assert list(sides(None, None)) == []
