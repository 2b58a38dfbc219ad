"""Keep the messages of all errors that tests expect in one file, `tests/messages.txt`.

Tests assert which error is raised; the words of its message stand in the file alone, under the name of the test. A test
that raises another message fails and shows the most similar one. `pytest --accept-messages` adds the messages of the
tests that run; `--accept-messages=all`, which `make messages` uses, also removes the messages that the tests that run
do not raise, and the tests that do not exist.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tamis.errors import TamisError

HEADER = "=== "
SEPARATOR = "\n---\n"

VARYING = (
    (re.compile(r"\b[\d.,]+ (?:bytes|kB|MB|GB|[KMGT]iB)\b"), "<size>"),
    (re.compile(r"\bprocess \d+ on [^\s;/]+"), "process <number> on <machine>"),
    (re.compile(r"\b127\.0\.0\.1(:|', )\d+"), r"127.0.0.1\1<port>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    # what rounding, time and the order of a library's hash tables decide
    (re.compile(r"\b[\d,]+ of [\d,]+ events\b"), "<number> of <number> events"),
    (
        re.compile(r"(\bby up to|\bexplains only|\btook|\(by|\ballowed are|\band was) [\d.e+-]*\d\b"),
        r"\1 <number>",
    ),
    (re.compile(r"-?\b\d+\.\d{4,}(e[+-]?\d+)?\b"), "<number>"),  # of a training, for example
    (re.compile(r" is -?[\d.e+-]+ instead of -?[\d.e+-]*\d"), " is <number> instead of <number>"),
    (re.compile(r"\(\d[\d.]* s for the compilation\)"), "(<number> s for the compilation)"),
    (re.compile(r"\bline \d+ column \d+ \(char \d+\)"), "line <number> column <number> (char <number>)"),
    (re.compile(r"\breference event \d+"), "reference event <number>"),
    (re.compile(r"\boffset for tensor `[^`]+`"), "offset for tensor <name>"),
    (re.compile(r"\.[a-z0-9_]{8}\.tmp\b"), ".<random>.tmp"),
)
"""Parts of messages that differ between machines and runs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept-messages", nargs="?", choices=("new", "all"), const="new",
        help="add the messages that the tests raise to tests/messages.txt; `all` also removes those not raised",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Messages(config))


def read_messages(file: Path) -> dict[str, set[str]]:
    """Return the messages of each test function."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    sections = [
        section.partition("\n") for section in re.split(rf"^{HEADER}(?=tests/)", text, flags=re.MULTILINE)[1:]
    ]
    return {name: set(messages.strip("\n").split(SEPARATOR)) for name, _, messages in sections}


def write_messages(file: Path, messages: dict[str, set[str]]) -> None:
    sections = (f"{HEADER}{name}\n{SEPARATOR.join(sorted(messages[name]))}\n" for name in sorted(messages))
    file.write_text("\n".join(sections), encoding="utf-8")


class Messages:
    """Record the messages that `pytest.raises` receives in each test, and compare them with those in the file."""

    def __init__(self, config: pytest.Config) -> None:
        self.file = config.rootpath / "tests" / "messages.txt"
        self.messages = read_messages(self.file)
        self.raised: dict[str, set[str]] = {}
        self.accepts: str | None = config.getoption("accept_messages")
        self.is_worker = hasattr(config, "workerinput")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            raised = record_raised(patch)
            yield
        # hypothesis raises as many messages as it has examples
        is_hypothesis_test = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_hypothesis_test or item.get_closest_marker("varying_messages"):
            return
        texts = [remove_varying_parts(text, item) for text in raised]
        item.user_properties.append(("messages", texts))
        accepted = self.messages.get(function_name(item.nodeid), set())
        for text in texts:
            if text not in accepted and not self.accepts:
                similar = difflib.get_close_matches(text, accepted, n=1, cutoff=0)
                pytest.fail(
                    f"{self.file} does not have this message of the test; if it is right, "
                    f"run the test with --accept-messages:\n\n"
                    f"{text}\n\nThe most similar message there is:\n\n{similar[0] if similar else '(none)'}",
                    pytrace=False,
                )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            for texts in (value for name, value in report.user_properties if name == "messages" and value):
                self.raised.setdefault(function_name(report.nodeid), set()).update(texts)

    def pytest_sessionfinish(self) -> None:
        if self.accepts is None or self.is_worker:
            return
        if self.accepts == "all":
            # tests that were skipped on this machine keep their messages
            earlier = {
                name: texts for name, texts in self.messages.items() if is_test(self.file.parents[1], name)
            }
            write_messages(self.file, earlier | self.raised)
        else:
            names = self.messages.keys() | self.raised.keys()
            write_messages(
                self.file,
                {name: self.messages.get(name, set()) | self.raised.get(name, set()) for name in names},
            )


def function_name(nodeid: str) -> str:
    """Return the name of a test without its parameters."""
    return nodeid.partition("[")[0]


def is_test(root: Path, name: str) -> bool:
    """Return whether a file has a test of this name."""
    path, _, function = name.partition("::")
    file = root / path
    return file.is_file() and f"def {function.rpartition('::')[2]}(" in file.read_text(encoding="utf-8")


def record_raised(patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the message of each error of tamis is added that `pytest.raises` receives."""
    raised: list[str] = []
    fill = pytest.ExceptionInfo.fill_unfilled

    def fill_and_record(
        info: pytest.ExceptionInfo[Any], caught: tuple[type[BaseException], BaseException, TracebackType]
    ) -> None:
        fill(info, caught)
        if isinstance(caught[1], TamisError):
            raised.append(str(caught[1]))

    patch.setattr(pytest.ExceptionInfo, "fill_unfilled", fill_and_record)
    return raised


def remove_varying_parts(message: str, item: pytest.Item) -> str:
    """Return a message without the parts that differ between machines and runs."""
    base = item.config._tmp_path_factory.getbasetemp()
    for folder, name in ((base, "<tmp>"), (base.parent, "<tmp>"), (item.config.rootpath, "<repository>")):
        message = message.replace(str(folder), name)
    return mask_varying_parts(message)


def mask_varying_parts(message: str) -> str:
    message = re.sub(r"<tmp>/([\w-]+?)\d+\b", r"<tmp>/\1", message)  # folders of tests are numbered
    for pattern, name in VARYING:
        message = pattern.sub(name, message)
    return message
