"""Configurations from strangers: what they may not do, whatever they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tamis.config import load_config, parse_config
from tamis.config.document import LARGEST, MOST_NODES
from tamis.config.fields import check_location
from tamis.config.size import LARGEST as MOST_WEIGHTS
from tamis.data.sources import expand_files
from tamis.errors import ConfigurationError, InputError

HOSTILE = [
    ("a: !!python/object/apply:os.system [id]", r"the tag !!python/object/apply:os\.system is not allowed"),
    ("a: !!python/name:os.system", "the tag !!python/name:os.system is not allowed"),
    ("a: !!python/object/new:type [x]", "the tag !!python/object/new:type is not allowed"),
    ("!!python/module:os {a: 1}", "the tag !!python/module:os is not allowed"),
    ("a: !x%1b[2J 1", r"the tag !x\\x1b"),
    ("a: [x, x]\nb: &b [*b]", "aliases .* are not allowed"),
    ("a: &a [1]\nb: [*a, *a]\n", "aliases .* are not allowed"),
    ("a: 1\nb: 2\na: 3", r"line 10\): this key is given twice, in lines 8 and 10"),
    ("a: {<<: {b: 1}}", "unknown key"),
    ("training: {epochs: 1e400}", "expected auto or a whole number, found inf"),
    ("training: {epochs: 10000000000}", "expected a number of at most 2,147,483,647"),
    ("training: {epochs: 10**9}", "expected auto or a whole number"),
    (f"training: {{epochs: {'9' * 5000}}}", "a number of 5000 digits is too long"),
    (f"seed: 0x{'f' * 5000}", "expected a number of at most 4,294,967,295, found a very large number"),
    ("network: {layers: [{nodes: 10000000000}]}", "expected a number of at most 65,536"),
    (
        "network: {layers: [{nodes: 65536}, {nodes: 65536}]}",
        f"are more than the {MOST_WEIGHTS:,} allowed",
    ),
    ("network: {embedding: {type: periodic, frequencies: 2147483647}}", "are more than the"),
    ("training: {ensemble: 1024}\nsplit: {folds: 100}", "are more than the"),
    (f"network: {{layers: [{'{nodes: 1},' * 101}]}}", "expected at most 100 entries, found more"),
    ("name: ../../etc", "cannot name the folder of the run"),
    ("name: /etc", "cannot name the folder of the run"),
    ("name: .hidden", "cannot name the folder of the run"),
    (f"name: {'a' * 201}", "too long for a name"),
    ("classes: {../x: , s: {signal: true}}", "slashes and invisible characters are not allowed"),
    (f"classes: {{{'x' * 300}: , s: {{signal: true}}}}", "too long for a name"),
    ('classes: {"a\\u202eb": , s: {signal: true}}', "slashes and invisible characters are not allowed"),
    ('features: [pt, {name: m, label: "\\x1b[2J"}]', "control character"),
    ("features: [pt, {name: m, expression: '__import__(1)'}]", "there is no function '__import__'"),
    ("data: reference://x", "is not a supported URL"),
    ("data: a::b", "chains file systems"),
]


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text)
    assert all(problem.line is not None for problem in caught.value.problems if problem.where)
    return str(caught.value)


@pytest.mark.parametrize(("text", "message"), HOSTILE, ids=[text[:40] for text, _ in HOSTILE])
def test_what_is_hostile_is_refused_with_its_line(minimal: str, text: str, message: str) -> None:
    key = text.split(":")[0]
    kept = "".join(f"{part}" for part in re.split(r"(?m)^(?=\w)", minimal) if not part.startswith(f"{key}:"))
    assert re.search(message, refusal(kept + text if not text.startswith("!") else text))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfea\x00:\x00 \x001\x00",
        b"a: \xe4",
        b"a: \x00",
        b"\x00",
        b"a: \x1b[2J",
        b"a: \xed\xa0\x80",
        b"\x80",
        b"PK\x03\x04\x00",
    ],
    ids=repr,
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    (problem,) = caught.value.problems
    assert problem.line == 1


@pytest.mark.slow  # reads as much as is allowed, in processes of their own
@pytest.mark.parametrize(
    "text",
    [
        "x: [" + "a," * MOST_NODES + "a]",
        "".join(f"k{number}: 1\n" for number in range(MOST_NODES // 2)),
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n" for n in range(9)),
        "samples: ["
        + "{class: x}," * 20_000
        + "]\nclasses: {"
        + "".join(f"c{n}: ," for n in range(20_000))
        + "}",
        "features: [" + "[1]," * 40_000 + "]",
        "\n" * (LARGEST - 10),
    ],
    ids=[
        "many values",
        "many keys",
        "a billion laughs",
        "many misspelt classes",
        "many wrong features",
        "many lines",
    ],
)
def test_what_is_endless_ends_within_a_quarter_of_a_gigabyte(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 28, 1 << 28))\n"
        "import sys; from tamis.config import load_config; from tamis.errors import ConfigurationError\n"
        "try: load_config(sys.argv[1])\n"
        "except ConfigurationError as error: sys.stdout.write(f'refused {len(error.problems)} {len(str(error))}')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.yaml")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    word, problems, length = found.stdout.split()
    assert word == "refused"
    assert int(problems) <= 101
    assert int(length) < 10_000_000


@pytest.mark.parametrize(
    "name",
    ["reference://x", "reference://x::https://a/b.json", "a::b", "memory://x", "simplecache::https://a/b.root",
    "zip://a::b.zip", "x://y",
     "python://os", "github://a:b@c/d", "jar://x", "ssh://a/b", "sftp://a/b", "data://x", "local://etc/passwd"],
)  # fmt: skip
def test_only_plain_urls_are_opened(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a supported URL|chains file systems"):
        check_location(name)
    with pytest.raises(InputError):
        expand_files("signal", [name], tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "a.root",
        "../a/*.root",
        "/x/y.root",
        "root://eos//a.root",
        "https://a/b.root",
        "HTTP://a/b",
        "s3://a/b",
    ],
)
def test_paths_and_urls_of_files_are_left_as_they_are(name: str) -> None:
    assert check_location(name) == name


def test_a_home_that_is_not_there_is_no_defect(minimal: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{minimal}data: ~nobody-has-this-name/x\n")
    config = load_config(tmp_path / "a.yaml")
    with pytest.raises(InputError):
        expand_files("signal", ["a.root"], str(config.data))


def test_a_configuration_that_is_a_pipe_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        load_config(tmp_path)
    with pytest.raises(ConfigurationError):
        load_config("/dev/zero")
