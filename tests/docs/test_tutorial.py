"""The tutorial prints what its commands print: the same lines, whose numbers are those of the machine that wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs.test_documents import ROOT, blocks, command_lines

TUTORIAL = ROOT / "docs" / "tutorial.md"
_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


def without_numbers(text: str) -> list[str]:
    """Return the lines without their numbers, and with single spaces."""
    lines = (" ".join(_NUMBER.sub("#", line).split()) for line in text.splitlines())
    return [line for line in lines if line]


def test_numbers_do_not_matter_and_words_do() -> None:
    assert without_numbers("total  97,735  0.0%\n\n[-0.5337, 1e-05]") == ["total # #%", "[#, #]"]
    assert without_numbers("a 1") != without_numbers("b 1")


# trains for some seconds
@pytest.mark.slow
def test_every_line_that_the_tutorial_shows_is_printed(
    inside: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = {
        next((word for word in words if word.startswith("runs/")), words[1]): words
        for words in command_lines(TUTORIAL)
        if words[0] in ("simulate", "train")
    }
    simulate, train = (
        [word.replace("examples/offshell/few", str(tmp_path / "few")) for word in commands[name]]
        for name in ("examples/offshell/few", "runs/few_events")
    )
    assert inside(*simulate)[0] == 0
    status, output, _ = inside(*train, "--no-figures")
    assert status == 0
    printed = without_numbers(output)
    shown = [line for block in blocks(TUTORIAL, "text") for line in without_numbers(block)]
    assert len(shown) > 10
    assert [line for line in shown if line not in printed] == []
