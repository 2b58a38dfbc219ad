"""What values show of themselves in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

import tamis
from tamis.notebook import table
from tamis.runs.write import write_run


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag != "polyline":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def shown(value: Any) -> str:
    tags = Tags()
    tags.feed(value._repr_html_())
    assert tags.open == []
    return tags.text


def test_a_run_a_classifier_and_a_history_show_themselves(
    two_classes: Callable[..., dict[str, Any]], tmp_path: Any
) -> None:
    run = tamis.train(tamis.parse_config(two_classes(300)))
    text = shown(run)
    assert "tamis run small" in text
    assert repr(run.classifier) == "Classifier(1 network, 2 features, classes bkg, sig)"
    numbers = run.results["performance"].splits["test"].balanced
    assert repr(run) == (
        f"Run('small', classes bkg, sig; test events: balanced loss {numbers.loss:.4g}, "
        f"balanced accuracy {numbers.accuracy:.4g})"
    )
    assert f"{run.results['performance'].splits['test'].balanced.loss:.4f}" in text
    assert "vertrain" in text
    assert "bkg" in shown(run.classifier)
    assert "all 3 epochs were trained" in shown(run.members[0].history)
    write_run(run, tmp_path / "small")
    finished = tamis.read_run(tmp_path / "small")
    assert shown(finished) == text
    assert repr(finished) == repr(run)
    with pytest.raises(tamis.RequestError) as refused:
        write_run(finished, tmp_path / "other")
    assert str(tmp_path / "small") in str(refused.value)
    with pytest.raises(tamis.RequestError):
        tamis.train("small.yaml")  # type: ignore[arg-type]


def test_names_are_escaped() -> None:
    assert "<script>" not in table(["<script>"], [["<script>", None, 3, 0.5]])
