"""What the runner of the golden vectors says and when it fails, shown with lines of our own."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.vectors.__main__ import main, op_of
from tests.vectors.frame import Op, configuration, differences, judge

QUERY = {"orgs": ["acme"]}
CONFIG = "tide: {queries: [{orgs: [acme]}]}"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def written(folder: Path, *lines: dict[str, Any], packed: bool = False) -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = folder / "vectors.jsonl"
    file.write_bytes(gzip.compress(text) if packed else text)
    return file


def test_what_nobody_answers_fails_and_is_named(tmp_path: Path) -> None:
    result = run(written(tmp_path, {"id": "a-1", "op": "moonphase", "expect": 1}))

    assert result.output.splitlines() == ["not available: moonphase (1 failed)", "0 passed, 1 failed"]
    assert result.exit_code == 1


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_left_out_is_said_before_the_last_line(tmp_path: Path, *, packed: bool) -> None:
    call = {"func": "Config.GetTideContextPolicy", "input": {"uses_inrepoconfig": True}}
    result = run(written(tmp_path, {"id": "a-1", **call, "expect": 1}, packed=packed))

    assert result.output.splitlines() == [
        "1 left out: Config.GetTideContextPolicy (tests/README.md says why)",
        "0 passed, 0 failed",
    ]
    assert result.exit_code == 0


def test_broken_vectors_are_one_line(tmp_path: Path) -> None:
    cut = written(tmp_path, {"id": "a-1", "op": "query", "expect": 1}, packed=True)
    cut.write_bytes(cut.read_bytes()[:30])
    (no_json := tmp_path / "no.json").write_text("{", encoding="utf-8")
    (no_line := tmp_path / "none.json").write_text('{"id": "x", "expect": 1}\n', encoding="utf-8")

    for broken in (cut, no_json, no_line, tmp_path / "missing", tmp_path):
        result = run(broken)
        assert result.exit_code == 1
        assert len(result.output.splitlines()) == 1
        assert result.output.startswith(str(broken))


def test_an_id_that_is_not_there_is_not_explained(tmp_path: Path) -> None:
    result = run(written(tmp_path, {"id": "a-1", "op": "moonphase", "expect": 1}), "--explain", "a-2")

    assert (result.output, result.exit_code) == ("a-2: no such id in these files\n", 1)


def test_what_production_answers_otherwise_is_counted_by_operation_and_cause() -> None:
    own = Path(__file__).parent / "own"

    assert run(own / "pools.jsonl", own / "tables.jsonl", "--default").output.splitlines() == [
        "requirement_diff: 1 of 1 differ by default (reading alone 1)",
        "sync: 5 of 5 differ by default (reading alone 5, retest alone 4)",
        "6 of 6 differ by default",
    ]


def test_differences_know_how_go_writes_nothing() -> None:
    assert list(differences({"a": None, "b": []}, {"c": {}})) == []
    assert list(differences({"a": False}, {})) == ["a: expected false, got null"]
    assert list(differences({"a": [1]}, {"a": [True]})) == ["a[0]: expected 1, got true"]
    assert list(differences([1, 2], [2, 1])) == ["[0]: expected 1, got 2", "[1]: expected 2, got 1"]


def test_a_configuration_must_be_refused_exactly_where_tides_is() -> None:
    op = Op(lambda line: len(configuration(line).queries))
    fine = {"id": "a", "op": "n", "config_yaml": CONFIG, "load_error": None, "expect": 1}
    broken = {**fine, "config_yaml": "tide: []"}

    assert judge(op, fine)[1] == ()
    assert judge(op, {**fine, "load_error": "bad", "expect": None})[1] == ('load_error: expected "bad", got none',)
    assert judge(op, broken)[1][0].startswith("load_error: expected none, got")
    assert judge(op, {**broken, "load_error": "bad", "expect": None})[1] == ()


def test_a_function_and_an_operation_of_one_name_are_not_confused() -> None:
    assert op_of({"func": "query"}) is None
