"""Checkpoints know of which training they are, and say in what another one differs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.config import parse_config
from tamis.errors import InputError, RequestError, StoppedError
from tamis.pipeline.checkpoints import Checkpoints, check_checkpoints, remove_checkpoints
from tamis.pipeline.preparation import prepare

Make = Callable[..., dict[str, Any]]
TRAINING = {"epochs": 3, "batch_size": 64, "early_stopping": None}


def test_the_same_training_is_opened_again_and_another_is_refused(two_classes: Make, tmp_path: Path) -> None:
    config = parse_config(two_classes(200, training=TRAINING))
    prepared, folder = prepare(config), tmp_path / "run" / "checkpoints"
    Checkpoints(folder).open(config, prepared)
    Checkpoints(folder).open(config, prepared)
    for change, said in (
        ({"seed": 7}, "seed was 0 and is 7"),
        ({"split": {"test": 0.3}}, r"split.test was \S+ and is 0.3"),
        ({"training": {**TRAINING, "epochs": 4}}, "training.epochs was 3 and is 4"),
    ):
        other = parse_config(two_classes(200, **{"training": TRAINING, "seed": 0, **change}))
        with pytest.raises(RequestError, match=said):
            Checkpoints(folder).open(other, prepared)
    # what is evaluated and drawn, and where the files lie, changes no training
    harmless = parse_config(
        two_classes(
            200,
            training=TRAINING,
            evaluation={"working_points": [0.3]},
            report={"figures": False},
            name="other",
        )
    )
    Checkpoints(folder).open(harmless, prepared)


def test_other_events_are_refused_with_what_has_changed(two_classes: Make, tmp_path: Path) -> None:
    config = parse_config(two_classes(200, training=TRAINING))
    folder = tmp_path / "checkpoints"
    Checkpoints(folder).open(config, prepare(config))
    two_classes(201, training=TRAINING)
    with pytest.raises(RequestError):
        Checkpoints(folder).open(config, prepare(config))
    Checkpoints(folder, overwrite=True).open(config, prepare(config))
    Checkpoints(folder).open(config, prepare(config))


def test_a_damaged_record_is_refused_unless_the_training_is_exactly_that_of_the_checkpoints(
    two_classes: Make, tmp_path: Path
) -> None:
    config = parse_config(two_classes(200, training=TRAINING))
    begun(config, tmp_path / "c")
    prepared = prepare(config)
    other = parse_config(two_classes(200, training=TRAINING, evaluation={"working_points": [0.3]}))
    for name in ("training.json", "config.yaml"):
        path = tmp_path / "c" / name
        content = path.read_bytes()
        for position in np.linspace(0, len(content) - 1, 20).astype(int):
            path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            with pytest.raises(RequestError):
                Checkpoints(tmp_path / "c").open(other, prepared)
            Checkpoints(tmp_path / "c").open(config, prepared)
            assert path.read_bytes() == content


def test_another_configuration_is_refused_before_the_input_is_read(two_classes: Make, tmp_path: Path) -> None:
    values = two_classes(200, training=TRAINING)
    begun(parse_config(values), tmp_path / "c")
    for path in Path(values["data"]).glob("*.root"):
        path.unlink()
    with pytest.raises(RequestError, match="seed was 0 and is 7"):
        tamis.train(parse_config({**values, "seed": 7}), checkpoints=Checkpoints(tmp_path / "c"))


def test_a_stop_keeps_the_progress_of_every_network(two_classes: Make, tmp_path: Path) -> None:
    config = parse_config(two_classes(200, training={**TRAINING, "ensemble": 2}))
    whole = tamis.train(config)
    asked = iter(["", "SIGTERM"])
    with pytest.raises(StoppedError):
        tamis.train(config, checkpoints=Checkpoints(tmp_path / "c", stop=lambda: next(asked, "SIGTERM")))
    messages: list[str] = []
    # a repeated command with --overwrite resumes as well, and names the folder to remove for a new start
    resuming = Checkpoints(tmp_path / "c", overwrite=True, notify=messages.append)
    found = tamis.train(config, checkpoints=resuming)
    np.testing.assert_array_equal(found.splits["test"].scores, whole.splits["test"].scores)
    assert any("resuming after " in message and str(tmp_path / "c") in message for message in messages)


def begun(config: Any, folder: Path, **more: Any) -> None:
    """Train one epoch and stop."""
    asked = iter([""])
    with pytest.raises(StoppedError):
        tamis.train(config, checkpoints=Checkpoints(folder, stop=lambda: next(asked, "SIGTERM"), **more))


@pytest.mark.parametrize("lost", ["training.json", "config.yaml", "both"])
def test_progress_without_what_says_of_which_training_it_is_is_not_continued(
    lost: str, two_classes: Make, tmp_path: Path
) -> None:
    config = parse_config(two_classes(200, training=TRAINING))
    begun(config, tmp_path / "c")
    for name in ("training.json", "config.yaml") if lost == "both" else (lost,):
        (tmp_path / "c" / name).unlink()
    other = parse_config(two_classes(200, training={**TRAINING, "epochs": 2}, seed=5))
    with pytest.raises(RequestError):
        tamis.train(other, checkpoints=Checkpoints(tmp_path / "c"))
    found = tamis.train(other, checkpoints=Checkpoints(tmp_path / "c", overwrite=True))
    np.testing.assert_array_equal(found.splits["test"].scores, tamis.train(other).splits["test"].scores)


def test_progress_of_another_training_among_this_one_is_not_continued(
    two_classes: Make, tmp_path: Path
) -> None:
    config = parse_config(two_classes(200, training=TRAINING))
    other = parse_config(two_classes(200, training=TRAINING, seed=5))
    for each, name in ((config, "c"), (other, "d")):
        begun(each, tmp_path / name)
    shutil.rmtree(tmp_path / "c" / "network-1")
    (tmp_path / "d" / "network-1").rename(tmp_path / "c" / "network-1")
    with pytest.raises(RequestError):
        tamis.train(config, checkpoints=Checkpoints(tmp_path / "c"))
    found = tamis.train(config, checkpoints=Checkpoints(tmp_path / "c", overwrite=True))
    np.testing.assert_array_equal(found.splits["test"].scores, tamis.train(config).splits["test"].scores)


def test_an_older_version_of_the_format_is_refused_and_can_be_replaced(
    two_classes: Make, tmp_path: Path
) -> None:
    config = parse_config(two_classes(200, training=TRAINING))
    begun(config, tmp_path / "c")
    (path,) = (tmp_path / "c" / "network-1").glob("*.json")
    older = {**json.loads(path.read_text()), "version": 2}
    del older["sha256"]
    signature = hashlib.sha256(json.dumps(older, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**older, "sha256": signature}))
    with pytest.raises(InputError):
        Checkpoints(tmp_path / "c").open(config, prepare(config))
    Checkpoints(tmp_path / "c", overwrite=True).open(config, prepare(config))
    assert not (tmp_path / "c" / "network-1").exists()


def test_checkpoints_that_cannot_be_removed_stop_the_work(
    two_classes: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config(two_classes(200, training=TRAINING))
    begun(config, tmp_path / "c")
    other = parse_config(two_classes(200, training=TRAINING, seed=5))

    def refuse(path: Path, *_args: Any, **_more: Any) -> None:
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("tamis.pipeline.checkpoints.shutil.rmtree", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            tamis.train(other, checkpoints=Checkpoints(tmp_path / "c", overwrite=True))
    with pytest.raises(RequestError):
        tamis.train(other, checkpoints=Checkpoints(tmp_path / "c"))


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    (tmp_path / "network-1").mkdir()
    (tmp_path / "network-1" / "epoch-000001.json").write_text("")
    check_checkpoints(tmp_path)
    (tmp_path / "network-1" / "thesis.tex").write_text("")
    with pytest.raises(RequestError):
        remove_checkpoints(tmp_path)
    assert (tmp_path / "network-1" / "thesis.tex").exists()
