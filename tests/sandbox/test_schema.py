from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
)

from mergeq.sandbox.graph_endpoint import schema
from mergeq.sandbox.graph_schema import Resolvers, sdl

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "github-kit" / "schema.graphql"


@pytest.fixture(scope="module")
def github() -> GraphQLSchema:
    if not PUBLISHED.exists():
        pytest.skip("GitHub's published schema is not beside this checkout")
    return build_schema(PUBLISHED.read_text(encoding="utf-8"), assume_valid=True, assume_valid_sdl=True)


def test_every_line_of_the_schema_agrees_with_the_one_github_publishes(github: GraphQLSchema) -> None:
    ours = build_schema(sdl())
    differences: list[str] = []
    for name, mine in ours.type_map.items():
        theirs = github.type_map.get(name)
        if name.startswith("__") or name in ("String", "Int", "Boolean", "ID", "Float"):
            continue
        if type(theirs) is not type(mine):
            differences.append(f"{name}: {type(theirs).__name__}, not {type(mine).__name__}")
        else:
            differences += [f"{name}.{difference}" for difference in _differences(mine, theirs)]
    assert differences == []


def _differences(mine: Any, theirs: Any) -> list[str]:
    match mine:
        case GraphQLObjectType() | GraphQLInterfaceType():
            extra = {i.name for i in mine.interfaces} - {i.name for i in theirs.interfaces}
            return [f"implements {name}" for name in extra] + _field_differences(mine, theirs)
        case GraphQLInputObjectType():
            same = {name: (str(f.type), f.default_value) for name, f in mine.fields.items()}
            published = {name: (str(f.type), f.default_value) for name, f in theirs.fields.items()}
            return [] if same == published else ["input fields"]
        case GraphQLEnumType():
            return sorted(mine.values.keys() - theirs.values.keys())
        case GraphQLUnionType():
            return sorted({t.name for t in mine.types} - {t.name for t in theirs.types})
    return []


def _field_differences(mine: Any, theirs: Any) -> list[str]:
    found = []
    for name, field in mine.fields.items():
        published = theirs.fields.get(name)
        if published is None or str(published.type) != str(field.type):
            found.append(f"{name}: {published and published.type}")
            continue
        arguments = {key: (str(a.type), a.default_value) for key, a in published.args.items()}
        found += [
            f"{name}({key})" for key, a in field.args.items() if arguments.get(key) != (str(a.type), a.default_value)
        ]
        required = {key for key, (type_, _) in arguments.items() if type_.endswith("!")}
        found += [f"{name}({key}) is missing" for key in required - field.args.keys()]
    return found


def test_every_field_is_answered_by_something_but_those_of_which_there_is_never_one() -> None:
    fields = {
        f"{name}.{field_name}": field
        for name, type_ in schema().type_map.items()
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__")
        for field_name, field in type_.fields.items()
    }

    assert len(fields) > 400
    assert {name.partition(".")[0] for name, field in fields.items() if field.resolve is None} == {
        *("MergeQueue", "MergeQueueEntry", "Workflow", "WorkflowRun"),
        *("Project", "ProjectCard", "ProjectColumn", "ProjectV2", "ProjectV2Item"),
    }


def test_a_field_nothing_answers_is_named_when_the_schema_is_built() -> None:
    with pytest.raises(LookupError, match=r"nothing answers \w+\.\w+"):
        Resolvers().schema()
