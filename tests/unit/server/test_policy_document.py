"""A policy file: what is in force once it is valid, and where it is wrong."""

from pathlib import Path

import pytest
import yaml

from lethe_server.errors import PolicyError, UnauthenticatedError
from lethe_server.policy import keys
from lethe_server.policy.caller import Caller
from lethe_server.policy.following import MAX_BYTES, PolicyFile, read
from lethe_server.policy.reading import parse
from lethe_vllm.selection import Selection

KEY = keys.generate()
HASH = keys.hashed(KEY)
OTHER = keys.hashed("lethe-other")
ROOT = Path(__file__).resolve().parents[3]


def one(fields: str, sha256: str = HASH) -> str:
    lines = "\n".join(f"    {line}" for line in fields.splitlines())
    return f"version: 1\nkeys:\n  - name: app\n    sha256: {sha256}\n{lines}\n"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("profiles: [a]", Caller("app", frozenset("a"), default=Selection.parse("a"))),
        ("base: true", Caller("app", base=True)),
        ("base: true\ndefault: base", Caller("app", base=True)),
        (
            "profiles: [a, b]\ndefault: b+a\nadapters: [l]",
            Caller(
                "app",
                frozenset("ab"),
                default=Selection.parse("a+b"),
                adapters=frozenset("l"),
            ),
        ),
        (
            'profiles: "*"\ndefault: a\nadmin: true',
            Caller("app", None, default=Selection.parse("a"), admin=True),
        ),
        (
            'profiles: "*"\nbase: true\nadapters: "*"',
            Caller("app", None, base=True, adapters=None),
        ),
    ],
)
def test_a_key_may_do_what_its_fields_say(fields: str, expected: Caller) -> None:
    policy = parse(one(fields))
    assert policy.caller(KEY) == expected
    assert policy.caller(KEY).is_restricted is not (expected.adapters is None and expected.base)
    with pytest.raises(UnauthenticatedError, match="an unknown one"):
        policy.caller("lethe-other")
    with pytest.raises(UnauthenticatedError, match="found none"):
        policy.caller(None)


def test_without_a_key_a_request_may_do_what_the_anonymous_may() -> None:
    policy = parse("version: 1\nanonymous:\n  profiles: [a]\n")
    assert policy.caller(None).permits(Selection.parse("a"))
    assert not policy.caller(None).permits(Selection.parse("base"))
    with pytest.raises(UnauthenticatedError):
        policy.caller(KEY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, the file: "),
        ("version: [", "expected YAML, found"),
        ("version: 1\n\tkeys: []", "in line 2"),
        ('x: !!int ""', "expected YAML, found"),
        ("x: !!int foo", "expected YAML, found"),
        ("version: !!bool foo", "expected YAML, found"),
        ("version: 2", "line 1, version: expected 1"),
        ("keys: []", "line 1, version: expected this field"),
        ("version: 1\nkey: []", "line 2, (a field of 3 characters): expected a known field"),
        ("version: 1\nversion: 1", "line 2, version: expected it once, found it twice"),
        (one("profiles: [a]\nbase: false\nbase: true"), "line 7, base: expected it once"),
        (
            one("profiles: [a]\nbases: true"),
            "line 6, keys.0.(a field of 5 characters): expected a known field (adapters, admin, ",
        ),
        (one("profiles: [a]\nbase: 'yes'"), "line 6, keys.0.base: expected a valid boolean"),
        (one("profiles: a"), "line 5, keys.0.profiles: expected a list of names, or '*'"),
        (one("profiles: [1984]\ndefault: a"), "line 5, keys.0.profiles.0: expected a valid string"),
        (one("profiles: [a, France]\ndefault: a"), "line 5, keys.0.profiles.1: profile name"),
        (one("profiles: [base]"), "write 'base: true' for the base"),
        (one("profiles: ['a+b']"), "line 5, keys.0.profiles.0: profile name"),
        (one("profiles: [a, b]"), "line 3, keys.0: default: expected one"),
        (one('profiles: "*"'), "line 3, keys.0: default: expected one"),
        (one(""), "default: expected one"),
        (one("profiles: [a]\ndefault: b"), "line 6, keys.0.default: expected what this caller"),
        (one("profiles: [a]\ndefault: a+b"), "line 6, keys.0.default: expected what this caller"),
        (one("profiles: [a]\ndefault: base"), "line 6, keys.0.default: expected what this caller"),
        (one("profiles: [a]\ndefault: a b"), "line 6, keys.0.default: profile: expected NAME"),
        (one("base: true", sha256=KEY), "in lower case, found 49 characters, some of them others"),
        (one("base: true", sha256="abc"), "line 4, keys.0.sha256: expected the 64 hexadecimal"),
        (one("base: true", sha256=f"[{KEY}]"), "found a value of type list"),
        (one(f"base: true\n{KEY}: 1"), "line 6, keys.0.(a field of 49 characters): expected"),
        (one(f"base: true\n{KEY}: 1\n{KEY}: 2"), "line 7, (a field of 49 characters): expected"),
        (one(f"base: true\n? {{{KEY}: 1}}\n: 2"), "expected YAML, found"),
        (one("base: true", sha256=f"*{KEY}"), "expected YAML, found found undefined alias '...'"),
        (one("base: true", sha256=f"!{KEY} x"), "found could not determine a constructor for"),
        (one(f"profiles: [{KEY}, a]\ndefault: a"), "keys.0.profiles.0: profile name"),
        (one(f"profiles: [a]\ndefault: {KEY}"), "keys.0.default: "),
        (one("base: true").replace("app", KEY), "line 3, keys.0.name: expected what the key is"),
        (one("base: true", sha256=HASH.upper()), "line 4, keys.0.sha256: expected the 64"),
        (one("base: true", sha256="123"), "line 4, keys.0.sha256: expected the 64"),
        (one("base: true").replace("app", "a b"), "line 3, keys.0.name: "),
        (one("base: true").replace("app", "anonymous"), "name other than 'anonymous'"),
        (
            one("base: true") + f"  - {{name: app, sha256: {OTHER}, base: true}}",
            "line 3, keys.0.name: expected each name once",
        ),
        (
            one("base: true") + f"  - {{name: b, sha256: {HASH}, base: true}}",
            "line 6, keys.1.sha256: expected each sha256 once",
        ),
        ("version: 1\nanonymous: {base: true, admin: true}", "line 2, anonymous.admin: "),
        ("version: 1\nanonymous: {profiles: [a, b]}", "line 2, anonymous: default: "),
        ("version: 1\nanonymous: {name: x, base: true}", "anonymous.name: expected a known"),
        ("version: 1\n[a, b]: 1\n[a, b]: 2", "expected YAML, found"),
        ("version: 1\nkeys: &a [*a]", "expected"),
        ("version: 1\nkeys: !!python/object:os.system {}", "expected YAML, found"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_line_and_field(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse(text)
    assert said in str(error.value)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("made", ["construct_yaml_timestamp", "construct_yaml_str"])
def test_a_name_may_look_like_a_date_whatever_other_libraries_make_of_dates(
    monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    constructor = getattr(yaml.SafeLoader, made)
    tag = "tag:yaml.org,2002:timestamp"
    monkeypatch.setitem(yaml.SafeLoader.yaml_constructors, tag, constructor)
    policy = parse(one("base: true").replace("name: app", "name: 2026-01-31"))
    assert policy.caller(KEY).name == "2026-01-31"


def test_a_key_in_broken_yaml_is_not_shown() -> None:
    with pytest.raises(PolicyError) as error:
        parse(f"version: 1\nkeys:\n  - sha256: '{KEY}\n")
    assert KEY not in str(error.value)


def test_keys_differ_and_only_their_hash_finds_them() -> None:
    made = {keys.generate() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("lethe-") and len(key) > 40 for key in made)
    known = [(keys.hashed(key), key) for key in made]
    assert all(keys.find(key, known) == key for key in made)
    assert keys.find(keys.hashed(KEY), [(HASH, "app")]) is None


def test_the_time_to_find_a_key_does_not_depend_on_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []

    def compare(digest: str, other: str) -> bool:
        compared.append(other)
        return digest == other

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    known = [(keys.hashed(str(number)), number) for number in range(5)]
    assert [keys.find(key, known) for key in ("0", "4", "none")] == [0, 4, None]
    assert len(compared) == 15


@pytest.mark.parametrize(
    ("authorization", "api_key", "expected"),
    [
        ([], [], None),
        (["Bearer k"], [], "k"),
        (["bearer  k"], [], "k"),
        ([], ["k"], "k"),
        (["Bearer k"], ["k"], "k"),
        (["Bearer"], [], ""),
    ],
)
def test_a_key_is_read_from_either_header(
    authorization: list[str], api_key: list[str], expected: str | None
) -> None:
    assert keys.offered(authorization, api_key) == expected


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (["Bearer a", "Bearer b"], []),
        (["Bearer a"], ["b"]),
        (["Bearer a"], [""]),
        (["Basic a"], []),
        (["a"], []),
        ([""], []),
    ],
)
def test_two_keys_or_another_scheme_are_refused_and_not_shown(
    authorization: list[str], api_key: list[str]
) -> None:
    with pytest.raises(UnauthenticatedError, match="expected"):
        keys.offered(authorization, api_key)


def test_a_file_is_followed_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(one("base: true"))
    file = PolicyFile(path)
    assert file.now().caller(KEY).base
    path.write_text(one("profiles: [france]"))
    assert not file.now().caller(KEY).base
    for spoil in (lambda: path.write_text("version: 3"), path.unlink):
        spoil()
        assert file.now().caller(KEY).profiles == {"france"}
        with pytest.raises(PolicyError, match="the policy of before stays in force"):
            file.reload()
        assert file.now().caller(KEY).profiles == {"france"}
    path.write_text(one("base: true"))
    assert file.now().caller(KEY).base


def test_a_wrong_file_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(one("base: true"))
    file = PolicyFile(path)
    path.write_text("version: 3")
    caplog.set_level("INFO", logger="vllm.lethe")
    for _ in range(5):
        file.now()
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert ["line 1, version" in record.getMessage() for record in errors] == [True]


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="expected a readable file"):
        read(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"version: \xff")
    with pytest.raises(PolicyError, match="expected UTF-8"):
        read(tmp_path / "bytes.yaml")
    (tmp_path / "long.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(PolicyError, match="expected at most"):
        read(tmp_path / "long.yaml")


def test_the_documented_example_is_a_policy() -> None:
    page = (ROOT / "docs" / "policy.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    policy = parse(text)
    restricted = {caller.name: caller.is_restricted for _, caller in policy.keys}
    assert restricted == {"chat-app": True, "evaluation": False, "operator": False}
    assert policy.anonymous is None
    assert [entry["sha256"] for entry in yaml.safe_load(text)["keys"]] == [
        keys.hashed(f"lethe-example-{number}") for number in (1, 2, 3)
    ]
