"""Go's templates: what they say, where they fail, and what is refused when they are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.go_values import Moment, Nil, Struct, Value
from mergeq.core.message import CommitTemplate, record_of, templated
from mergeq.core.pull import Result
from mergeq.core.template import Rendering, Unparsable, parse, render
from tests.builders import context, green, pr
from tests.core.trials import trials

DATA = Struct(
    {
        "Title": 'Ünï "x"',
        "Number": 7,
        "Open": True,
        "Body": "one\ntwo",
        "Labels": ("kind/bug", "lgtm"),
        "None": (),
        "Milestone": Nil("*tide.Milestone", frozenset({"Title"})),
        "GitHub": Struct({"Login": "ana", "Milestone": Struct({"Title": "v1"}, is_pointer=True)}, is_pointer=True),
        "At": Moment("2026-01-05 10:00:00 +0000 UTC"),
        "Owner": Struct({"Login": "acme", "Age": 3}),
    }
)


def said(source: str, data: Value = DATA) -> str:
    done = render(parse(source), data)
    assert not done.failure, done.failure
    return done.text


def failure(source: str, data: Value = DATA) -> str:
    done = render(parse(source), data)
    assert done == Rendering(failure=done.failure)
    return done.failure


def refusal(source: str) -> str:
    with pytest.raises(Unparsable) as refused:
        parse(source)
    return str(refused.value)


def of_pull(title: str = "", body: str = "") -> tuple[str, str, int]:
    """Title and body for pull request 1 of T11.79, and how many templates failed."""
    pull = pr(1, head_sha="SHA", title="my commit title", body="my commit body")
    done = templated(CommitTemplate(parse(title) if title else None, parse(body) if body else None), pull)
    return done.title, done.body, len(done.failures)


# What a pull request's templates say


def test_a_template_with_only_a_title_leaves_the_body_to_github() -> None:
    """T11.75."""
    assert of_pull(title="static title") == ("static title", "", 0)


@pytest.mark.parametrize("part", ["title", "body"])
def test_an_unclosed_action_is_refused(part: str) -> None:
    """T11.76."""
    assert refusal(f"{part}\n{{{{ .Title") == "2: unclosed action"


def test_a_text_without_actions_is_said_as_it_stands() -> None:
    """T11.78."""
    assert of_pull("static title", "static body }} %s") == ("static title", "static body }} %s", 0)


def test_fields_are_put_in_their_places() -> None:
    """T11.79."""
    assert of_pull("{{ .Number }}: {{ .Title }}", "{{ .HeadRefOID }} - {{ .Body }}") == (
        "1: my commit title",
        "SHA - my commit body",
        0,
    )


def test_a_template_that_fails_is_left_out_and_the_other_one_is_not() -> None:
    """T11.80, T1.46."""
    assert of_pull("{{.Hello}}", "{{.World}}") == ("", "", 2)
    assert of_pull("{{.Hello}}", "{{.Number}}") == ("", "1", 1)
    assert of_pull("{{.Number}} {{.Author.Login}}", "x") == ("", "x", 1)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{.NameWithOwner}} {{.Org}}/{{.Repo}}#{{.Number}}", "acme/rocket acme/rocket#1"),
        ("{{.BaseRefPrefix}}{{.BaseRefName}} {{.HeadRefName}}", "refs/heads/main patch-1"),
        ("{{.AuthorLogin}} {{.GitHub.Author.Login}} {{.Mergeable}}", "dependabot dependabot MERGEABLE"),
        ("{{.UpdatedAtTime}}|{{.GitHub.UpdatedAt}}", "2026-01-05 10:00:00 +0000 UTC|2026-01-05 10:00:00 +0000 UTC"),
        ("{{range .GitHub.Labels.Nodes}}{{.Name}} {{end}}", "lgtm approved "),
        ("{{with .GitHub.Milestone}}{{.Title}}{{else}}none{{end}}", "v1"),
        ("{{.GitHub.Repository.Owner.Login}} {{.GitHub.Repository.NameWithOwner}}", "acme acme/rocket"),
        ("{{.GitHub.BaseRef}} {{.GitHub.ReviewDecision}} {{.GitHub.CanBeRebased}}", "{main refs/heads/} APPROVED true"),
        (
            "{{range .GitHub.Commits.Nodes}}{{range .Commit.Status.Contexts}}{{.Context}}={{.State}}{{end}}{{end}}",
            "ci/test=SUCCESS",
        ),
        (
            "{{with index .GitHub.Commits.Nodes 0}}{{len .Commit.OID}} {{.Commit.StatusCheckRollup.Contexts}}{{end}}",
            "40 {[{{e2e SUCCESS COMPLETED}} {{ci  IN_PROGRESS}}]}",
        ),
        ("{{if .Gerrit}}yes{{else}}no{{end}} {{.Gerrit}}", "no <nil>"),
    ],
)
def test_the_record_is_tides_with_githubs_below_it(source: str, text: str) -> None:
    """T1.45."""
    runs = (green("e2e", app="actions"), context("ci", Result.PENDING, app="actions"))
    pull = pr(
        1,
        author="dependabot[bot]",
        is_bot=True,
        milestone="v1",
        review_decision="APPROVED",
        updated_at=1767607200.0,
        contexts=(green(), *runs),
    )

    assert said(source, record_of(pull)) == text


def test_what_is_not_known_of_a_pull_request_is_empty() -> None:
    record = record_of(pr(1, contexts=None, title="half \ud83d of a pair"))

    assert said("{{.GitHub.Milestone}}{{.GitHub.ReviewDecision}}", record) == "<nil>"
    assert said("{{range .GitHub.Commits.Nodes}}{{.Commit.Status.Contexts}}{{end}}", record) == "[]"
    assert said("{{.Title}}", record) == "half ? of a pair"


# The language


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a {{- . -}} b", "a7b"),
        ("a {{- /* comment */ -}} b", "ab"),
        ("a {{/* comment */}} b", "a  b"),
        ("a\n{{-  7  -}}\nb", "a7b"),
        ("{{3 }}{{-3}}{{ -3 }}{{+3}}", "3-3-33"),
        ("{{$}}{{.}}", "77"),
        ("{{$x := .}}{{$x}}{{$x = 8}}{{$x}}", "78"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{$x := 3}}{{$x}}{{end}}{{$x}}", "32"),
        ("{{$ := 2}}{{$}}", "2"),
        ("{{with $x := 5}}{{$x}}{{.}}{{$}}{{end}}", "557"),
        ("{{. |}}", "7"),
        ("{{(print (len (print 1 2)))}}", "3"),
        ("{{if (and true (eq . 7))}}yes{{end}}", "yes"),
    ],
)
def test_actions_and_variables(source: str, text: str) -> None:
    assert said(source, 7) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{1}} {{-1}} {{0x1F}} {{0X_f}} {{017}} {{0o17}} {{0b11}} {{1_000}} {{0}}", "1 -1 31 15 15 15 3 1000 0"),
        ("{{1.5}} {{.5}} {{1.}} {{1e3}} {{1e6}} {{123456.75}} {{0.00001}} {{-0.5}} {{0.0}} {{100000.0}}",
         "1.5 0.5 1 1000 1e+06 123456.75 1e-05 -0.5 0 100000"),
        ("{{1.25e21}} {{12345678.0}}", "1.25e+21 1.2345678e+07"),
        (r"{{'a'}} {{'\n'}} {{'\''}} {{'\x41'}} {{'\u00e9'}} {{'é'}} {{'\xff'}}", "97 10 39 65 233 233 255"),
        ('{{`raw "\\n" text`}} {{"a\\tb"}} {{"\\""}}', 'raw "\\n" text a\tb "'),
        (r'{{"\101\x42\u00e9\U0001F600\\"}}', "ABé😀\\"),
        ('{{"\\xff"}}{{"\\303\\251"}}', "�é"),
        ("{{true}} {{false}}", "true false"),
        ("{{`a\r\nb`}}", "a\nb"),
    ],
)  # fmt: skip
def test_constants(source: str, text: str) -> None:
    assert said(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{if .Number}}a{{else if .Title}}b{{else}}c{{end}}", "a"),
        ("{{if .None}}a{{else if .Title}}b{{else}}c{{end}}", "b"),
        ("{{if .None}}a{{else if .Milestone}}b{{else}}c{{end}}", "c"),
        ("{{if .None}}a{{end}}", ""),
        ("{{range .Labels}}<{{.}}>{{else}}none{{end}}", "<kind/bug><lgtm>"),
        ("{{range .None}}<{{.}}>{{else}}none{{end}}", "none"),
        ("{{range $i, $e := .Labels}}{{if $i}}, {{end}}{{$i}}={{$e}}{{end}}", "0=kind/bug, 1=lgtm"),
        ("{{range $e := .Labels}}{{$e}} {{end}}", "kind/bug lgtm "),
        ("{{$i := 9}}{{$e := 9}}{{range $i, $e = .Labels}}{{end}}{{$i}} {{$e}}", "1 lgtm"),
        ("{{$e := 9}}{{range $e = .Labels}}{{end}}{{$e}}", "lgtm"),
        ("{{range 3}}{{.}}{{end}} {{range $i := 2}}{{$i}}{{end}} {{range 0}}x{{else}}none{{end}}", "012 01 none"),
        ("{{range (and nil)}}x{{else}}none{{end}}", "none"),
        ("{{range 9}}{{if eq . 4}}{{break}}{{end}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}", "023"),
        ("{{range 2}}{{range 3}}{{break}}{{end}}{{.}}{{end}}", "01"),
        ("{{with .Owner}}{{.Login}} {{$.Number}}{{end}}", "acme 7"),
        ("{{with .Milestone}}{{.Title}}{{else with .Title}}{{.}}{{else}}none{{end}}", 'Ünï "x"'),
        ("{{with .Milestone}}{{.Title}}{{else}}none{{end}}", "none"),
    ],
)  # fmt: skip
def test_control(source: str, text: str) -> None:
    assert said(source) == text


@pytest.mark.parametrize(
    "truth",
    [".Number", ".Title", ".Open", ".Labels", ".GitHub", ".Owner", ".At", "1", "-1", "0.5", '"0"', "true"],
)
def test_what_is_not_empty_is_true(truth: str) -> None:
    assert said(f"{{{{if {truth}}}}}yes{{{{end}}}}{{{{not {truth}}}}}") == "yesfalse"


@pytest.mark.parametrize("untruth", [".None", ".Milestone", "0", "0.0", '""', "false", "(and nil)", "nil"])
def test_what_is_empty_is_not(untruth: str) -> None:
    assert said(f"{{{{not {untruth}}}}}") == "true"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{len .Title}} {{len .Labels}} {{len .None}}", "9 2 0"),
        ("{{index .Labels 1}} {{index .Title 0}} {{index .Labels 0 0}} {{index .Number}}", "lgtm 195 107 7"),
        ('{{slice "abcdef" 1 3}} {{slice "abcdef" 4}} {{slice "abc"}} {{slice .Labels 1}} {{slice .Labels 0 1 2}}',
         "bc ef abc [lgtm] [kind/bug]"),
        ('{{slice "é" 0 1 | printf "%q"}} {{print (slice "é" 0 1) (slice "é" 1)}}', r'"\xc3" é'),
        ("{{eq 1 1}} {{eq 1 2}} {{eq 1 2 3 1}} {{ne 1 2}} {{eq .Title .Title}} {{eq 1.5 1.5}} {{eq true true}}",
         "true false true true true true true"),
        ("{{eq .Milestone nil}} {{eq .GitHub nil}} {{eq .GitHub .GitHub}} {{eq .GitHub .Milestone}}",
         "true false true false"),
        ("{{eq .At .At}} {{eq nil nil}}", "true true"),
        ("{{eq 1 nil}} {{eq nil .Labels}}", "false false"),
        ("{{lt 1 2}} {{lt 2 2}} {{le 2 2}} {{le 3 2}} {{gt 3 2}} {{gt 2 2}} {{ge 2 2}} {{ge 1 2}} {{lt 1.5 2.5}}",
         "true false true false true false true false true"),
        ('{{lt "a" "b"}} {{lt "z" "é"}} {{lt "\\uffff" "\\U00010000"}}', "true true true"),
        ("{{and 1 0 .Nothing}} {{and 1 2}} {{or 0 2 .Nothing}} {{or 0 .None}} {{and nil 1}} {{0 | or 0}} {{2 | and 1}}",
         "0 2 2 [] <no value> 0 2"),
        ('{{print 1 2 "a" 3 4}} {{print "a" "b"}} {{print nil true .Labels}} {{print}}',
         "1 2a3 4 ab <nil> true [kind/bug lgtm] "),
        ('{{println 1 "a" nil}}{{println}}', "1 a <nil>\n\n"),
        ('{{.Title | printf "%s-%d" 1}}|{{1 | printf "%d-%s" 2}}', "%!s(int=1)-%!d(string=Ünï \"x\")|2-%!s(int=1)"),
        ("{{(index .Labels 0) | len}} {{(.Owner).Login}} {{$x := .Owner}}{{$x.Login}} {{(and nil).Any.Thing}}",
         "8 acme acme <no value>"),
        ("{{.Owner}} {{.GitHub.Milestone}} {{print .GitHub.Milestone}} {{.At}} {{.Milestone}}",
         "{acme 3} {v1} &{v1} 2026-01-05 10:00:00 +0000 UTC <nil>"),
    ],
)  # fmt: skip
def test_functions(source: str, text: str) -> None:
    assert said(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('"%05d|%-5d|%5d|%+d|% d|%x|%X|%#x" 42 42 42 42 42 42 42 42', "00042|42   |   42|+42| 42|2a|2A|0x2a"),
        ('"%o|%#o|%b|%c|%q" 42 42 5 65 65', "52|052|101|A|'A'"),
        ('"%05d|%+06d|%-06d|%.4d|%8.4d" -42 42 42 42 -42', "-0042|+00042|42    |0042|   -0042"),
        ('"%.0d|%3.0d|%#.3o" 0 0 8', "|   |010"),
        ('"%c%q%c" 1114112 10 55296', "�'\\n'�"),
        ('"%s|%10s|%-10s|%.2s|%q|%x|%X" "é€" "é€" "é€" "é€a" "é€" "é" "é"',
         'é€|        é€|é€        |é€|"é€"|c3a9|C3A9'),
        ('"%05s|% x|%#x|%# X|%.1x" "ab" "ab" "ab" "ab" "ab"', "000ab|61 62|0x6162|0X61 0X62|61"),
        ('"%q %+q %#q %#q %q" "\\a\\"\\\\\\x01\\x7f\\u00ad\\U000e0001" "é" "a`b" "ab" "\\xff"',
         r'"\a\"\\\x01\x7f\u00ad\U000e0001" "\u00e9" "a`b" `ab` "\xff"'),
        ('"%t|%v|%6t|%-6v|" true false true true', "true|false|  true|true  |"),
        ('"%v|%s|%q" .Labels .Labels .Labels', '[kind/bug lgtm]|[kind/bug lgtm]|["kind/bug" "lgtm"]'),
        ('"%d|%x|%+v|%5v" .None .Labels .Owner .None', "[]|[6b696e642f627567 6c67746d]|{Login:acme Age:3}|[]"),
        ('"%v %d %s" .Owner .Owner .GitHub.Milestone', "{acme 3} {%!d(string=acme) 3} &{v1}"),
        ('"%f|%.2f|%8.3f|%08.3f|%-8.1f" 3.14159 3.14159 3.14159 -3.14159 3.14159',
         "3.141590|3.14|   3.142|-003.142|3.1     "),
        ('"%e|%g|%.3g|%G|%E|%+.1f|% f" 1234.5 0.1 1234567.0 1e-7 1.5 2.0 1.5',
         "1.234500e+03|0.1|1.23e+06|1E-07|1.500000E+00|+2.0| 1.500000"),
        ('"%d%%|%5%|%s %v %d" 5 nil nil nil', "5%|%|%!s(<nil>) <nil> %!d(<nil>)"),
        ('"%s|%s|%t|%5d" 3 true "x" "x"', "%!s(int=3)|%!s(bool=true)|%!t(string=x)|%!d(string=    x)"),
        ('"%+v|%+t" 3 3', "3|%!t(int=+3)"),
        ('"%d|%f|%d" true 1 1.5', "%!d(bool=true)|%!f(int=1)|%!d(float64=1.5)"),
        ('"%s|%q" .At .At', '2026-01-05 10:00:00 +0000 UTC|"2026-01-05 10:00:00 +0000 UTC"'),
        ('"%v|%s" .Milestone .Milestone', "<nil>|%!s(*tide.Milestone=<nil>)"),
        ('"%s %s" "a"', "a %!s(MISSING)"),
        ('"x" 1 "b" nil', "x%!(EXTRA int=1, string=b, <nil>)"),
        ('"%" 1', "%!(NOVERB)%!(EXTRA int=1)"),
        ('"%5" ', "%!(NOVERB)"),
    ],
)  # fmt: skip
def test_printf_writes_what_go_writes(source: str, text: str) -> None:
    assert said(f"{{{{printf {source}}}}}") == text


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{.Nothing}}", "can't evaluate field Nothing in a struct"),
        ("{{.Title.Nothing}}", "can't evaluate field Nothing in str"),
        ("{{.Labels.Nothing}}", "can't evaluate field Nothing in a list"),
        ("{{.At.Year}}", "can't evaluate field Year in a time"),
        ("{{.Milestone.Title}}", "nil pointer evaluating *tide.Milestone.Title"),
        ("{{.Milestone.Nothing}}", "can't evaluate field Nothing in nil of type *tide.Milestone"),
        ("{{.__class__}}", "can't evaluate field __class__"),
        ("{{.Title .Body}}", "Title has arguments but cannot be invoked as function"),
        ('{{"x" | .Title}}', "Title has arguments"),
        ('{{.ExtractContent "(?im)^Issue:.+" .Body}}', "can't evaluate field ExtractContent"),
        ('{{1 2}}', "can't give an argument"),
        ("{{$ 1}}", "can't give an argument"),
        ("{{nil}}", "nil is not a command"),
        ("{{eq 1 `a`}}", "incompatible types for comparison"),
        ("{{eq 1 1.0}}", "incompatible types for comparison"),
        ("{{eq 1}}", "missing argument for comparison"),
        ("{{eq .Labels .Labels}}", "non-comparable types"),
        ("{{eq .GitHub .Owner}}", "non-comparable types"),
        ("{{lt 1 `a`}}", "incompatible types"),
        ("{{lt true true}}", "incompatible types"),
        ("{{lt .Owner .Owner}}", "invalid type for comparison"),
        ("{{len 3}}", "len of int 3"),
        ("{{len nil}}", "len of nil"),
        ("{{len}}", "wrong number of args for len: got 0"),
        ("{{len `a` `b`}}", "wrong number of args"),
        ("{{print len}}", "wrong number of args"),
        ("{{index .Labels 2}}", "index out of range: 2"),
        ("{{index .Labels -1}}", "index out of range: -1"),
        ("{{index .Labels `a`}}", "cannot index by str a"),
        ("{{index .Labels true}}", "cannot index by bool true"),
        ("{{index nil 0}}", "index of untyped nil"),
        ("{{index 1 0}}", "can't index int 1"),
        ("{{slice .Labels 2 1}}", "invalid slice index: 2, 1"),
        ("{{slice .Labels 0 2 1}}", "invalid slice index"),
        ("{{slice .Labels 3}}", "index out of range: 3"),
        ("{{slice `abc` 0 1 2}}", "cannot 3-index slice a string"),
        ("{{slice 1}}", "can't slice int 1"),
        ("{{printf 1}}", "expected string"),
        ("{{`%#v` | printf}}", "format '%#v' is not supported"),
        ("{{printf `%d` .At}}", "a time is not printed by %d"),
        ("{{print .}}", "only an address"),
        ("{{printf `x` .Labels}}", "known to Go alone"),
        ("{{range .Title}}{{end}}", "range can't iterate over str"),
        ("{{range true}}{{end}}", "range can't iterate over bool"),
        ("{{range $i, $e := 3}}{{end}}", "can't use 3 to iterate over more than one variable"),
        ("{{$x = 1}}", "undefined variable: $x"),
        ("{{and 0 ($x := 1)}}{{$x}}", "undefined variable: $x"),
        ("{{range 1000000000000}}{{end}}", "it takes too long"),
        ("{{$a := `aaaaaaaaaa`}}{{range 99}}{{$a = print $a $a}}{{end}}", "it writes too much"),
        ("{{$a := printf `%9999d` 1}}{{range 99}}{{$a}}{{end}}", "it writes too much"),
    ],
)  # fmt: skip
def test_where_go_fails_it_fails(source: str, why: str) -> None:
    assert why in failure(source)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{}}", "1: missing value for command"),
        ("{{if}}x{{end}}", "1: missing value for if"),
        ("{{()}}", "1: missing value for parenthesized pipeline"),
        ("{{$x :=}}", "1: missing value for command"),
        ("a\nb\n{{.X}} {{ upper .X }}", "3: function 'upper' not defined"),
        ("{{html .X}}", "1: function 'html' is not supported"),
        ('{{define "a"}}{{end}}', "1: {{define}} is not supported"),
        ('{{template "a"}}', "1: {{template}} is not supported"),
        ("{{if .X}}", "1: unexpected EOF"),
        ("{{if .X}}a{{else}}b", "1: unexpected EOF"),
        ("{{end}}", "1: unexpected {{end}}"),
        ("{{else}}", "1: unexpected {{else}}"),
        ("{{if .X}}{{else}}{{else}}{{end}}", "1: expected end; found {{else}}"),
        ("{{range .X}}{{else if .Y}}{{end}}", "1: unexpected 'if' in else"),
        ("{{if .X}}{{end .Y}}", "1: unexpected '.Y' in end"),
        ("{{break}}", "1: {{break}} outside {{range}}"),
        ("{{range .X}}{{end}}{{continue}}", "1: {{continue}} outside {{range}}"),
        ("{{$x}}", "1: undefined variable '$x'"),
        ("{{if $x := 1}}{{end}}{{$x}}", "1: undefined variable '$x'"),
        ("{{$x, $y := .X}}", "1: too many declarations in command"),
        ("{{range $x, $y, $z := .X}}{{end}}", "1: too many declarations in range"),
        ("{{range $x, .X}}{{end}}", "1: range can only initialize variables"),
        ("{{$y := 1}}{{range $x, $y}}{{end}}", "1: range can only initialize variables"),
        ("{{.X | `a`}}", "1: non executable command in pipeline stage 2"),
        ("{{.X | nil}}", "1: non executable command in pipeline stage 2"),
        ("{{| print}}", "1: unexpected '|' in command"),
        ("{{print `a``b`}}", "1: unexpected '`b`' in operand"),
        ("{{print, 1}}", "1: unexpected ',' in operand"),
        ("{{print 1 := 2}}", "1: unexpected ':=' in operand"),
        ("{{1.X}}", "1: bad number syntax: '1.X'"),
        ("{{(1).X.Y}}{{true.X}}", "1: unexpected . after term 'true'"),
        ("{{`a`.X}}", "1: unexpected . after term '`a`'"),
        ("{{(.X}}", "1: unclosed left paren"),
        ("{{.X)}}", "1: unexpected right paren"),
        ("{{/* a }}", "1: unclosed comment"),
        ("{{/* a */ .X}}", "1: comment ends before closing delimiter"),
        ('{{"a\nb"}}', "1: unterminated quoted string"),
        ("{{`a}}", "1: unterminated raw quoted string"),
        ("{{'a}}", "1: unterminated character"),
        ("{{'ab'}}", "1: malformed character constant: 'ab'"),
        ("{{''}}", "1: malformed character constant: ''"),
        (r'{{"\z"}}', "1: invalid syntax in the constant"),
        (r'{{"\'"}}', "1: invalid syntax in the constant"),
        (r'{{"\ud800"}}', "1: invalid syntax in the constant"),
        (r'{{"\777"}}', "1: invalid syntax in the constant"),
        ("{{9223372036854775808}}", "1: integer overflow"),
        ("{{" + "1" * 5000 + "}}", "1: integer overflow"),
        ("{{08}}", "1: bad number syntax: '08'"),
        ("{{1i}}", "1: bad number syntax: '1i'"),
        ("{{1e999}}", "1: bad number syntax: '1e999'"),
        ("{{.X#}}", "1: unexpected '.' in action"),
        ("{{#}}", "1: unexpected '#' in action"),
        ("{{printf `%#v` 1}}", "1: format '%#v' is not supported"),
        ("{{printf `%*d` 1 2}}", "1: format '%*' is not supported"),
        ("{{printf `%[1]d` 1}}", "1: format '%[' is not supported"),
        ("{{printf `%9999d%9999d` 1 2}}", "1: format '%9999d' is too wide"),
        ("{{.UpdatedAtTime.Year}}", "1: methods of a time are not supported"),
        ("{{(.GitHub).UpdatedAt.Format `2006`}}", "1: methods of a time are not supported"),
        ("{{" + "(" * 51 + "1" + ")" * 51 + "}}", "1: is nested deeper than 50"),
        ("{{if 1}}" * 51 + "{{end}}" * 51, "1: is nested deeper than 50"),
    ],
)  # fmt: skip
def test_what_is_no_template_or_beyond_ours_is_refused_with_its_line(source: str, why: str) -> None:
    assert refusal(source).startswith(why)


WORDS = st.sampled_from(
    ["{{", "}}", "{{-", "-}}", " ", ".", ".Title", ".GitHub", ".Labels", "$", "$x", ":=", "=", "|", ",", "(", ")", "if",
     "else", "end", "range", "with", "break", "continue", "print", "printf", "len", "index", "slice", "eq", "lt", "and",
     "or", "not", "nil", "true", "1", "-1", "1.5", "0x", '"a"', '"%5d"', "`%s`", "'a'", "/*", "*/", "text", "\n", "é"]
)  # fmt: skip
SOURCES = st.one_of(st.text(), st.lists(WORDS).map("".join), st.lists(WORDS).map(" ".join))
ACTIONS = st.lists(st.sampled_from(
    ["{{.Title}}", "{{range .Labels}}", "{{range 9}}", "{{if .Open}}", "{{with .Owner}}", "{{else}}", "{{end}}",
     "{{.}}", "{{$x := print .}}", "{{printf `%9d%v` . .}}", "{{range 99999}}", "{{$.Body}}"]
)).map("".join)  # fmt: skip


@trials(100)
@given(st.one_of(SOURCES, ACTIONS))
def test_whatever_is_given_is_refused_or_rendered_within_bounds(source: str) -> None:
    try:
        template = parse(source)
    except Unparsable:
        return

    done = render(template, DATA)

    assert len(done.text) <= 262_144
    done.text.encode()
