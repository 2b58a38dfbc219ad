"""`tamis check` gives one complete report, also of input that is broken in many ways at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import pytest
import uproot
import yaml

from tamis.check import check_input
from tamis.cli import main
from tamis.config import parse_config
from tamis.data.events import Events
from tamis.errors import InputError
from tamis.machine import MemoryLimit
from tamis.pipeline import preparation
from tamis.pipeline.preparation import prepare

Make = Callable[..., dict[str, Any]]
WriteTree = Callable[..., Path]
N = 300
RNG = np.random.default_rng(4)


def columns(**changes: Any) -> dict[str, Any]:
    drawn = {name: RNG.normal(size=N) for name in ("x", "y")}
    return {**drawn, "w": np.ones(N), **changes}


def write_broken(folder: Path, write_tree: WriteTree) -> list[str]:
    """Write files of every kind that cannot be used, beside good ones."""
    (folder / "zero.root").write_bytes(b"")
    (folder / "text.root").write_text("this is not a ROOT file, but long enough to have a header" * 20)
    whole = write_tree("bkg/whole.root", columns()).read_bytes()
    (folder / "cut.root").write_bytes(whole[: len(whole) // 2])
    write_tree("bkg/other_tree.root", columns(), tree="Events")
    write_tree("bkg/no_y.root", {key: value for key, value in columns().items() if key != "y"})
    write_tree("bkg/jagged.root", columns(x=awkward.Array([[1.0, 2.0]] * N)))
    write_tree("bkg/float.root", columns(y=np.ones(N, np.float32)))
    with uproot.recreate(folder / "text_branch.root") as file:
        file["tree"] = {**columns(), "x": awkward.Array(["", "a"] * (N // 2))}
    with uproot.recreate(folder / "histogram.root") as file:
        file["h"] = np.histogram(np.ones(3))
    write_tree("bkg/empty_tree.root", {key: value[:0] for key, value in columns().items()})
    return sorted(
        path.name for path in folder.glob("*.root") if path.name not in ("whole.root", "empty_tree.root")
    )


def configuration(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "broken",
        "data": str(folder),
        "samples": [
            {"name": "bkg", "class": "bkg", "files": "bkg/*.root", "tree": "tree"},
            {"name": "sig", "class": "sig", "files": ["sig.root", "nowhere/*.root"]},
        ],
        "classes": {"bkg": {}, "sig": {"signal": True}},
        "features": ["x", "y"],
        "spectators": ["w"],
        **changes,
    }


@pytest.fixture
def broken(tmp_path: Path, write_tree: WriteTree) -> tuple[dict[str, Any], list[str]]:
    folder = tmp_path / "bkg"
    folder.mkdir()
    names = write_broken(folder, write_tree)
    write_tree("sig.root", columns(x=np.where(np.arange(N) < 7, np.nan, RNG.normal(size=N))))
    return configuration(tmp_path), names


def test_every_broken_file_is_named_once_and_the_rest_is_looked_at(
    broken: tuple[dict[str, Any], list[str]],
) -> None:
    config, names = broken
    result = check_input(parse_config(config))
    told = [Path(problem.where.split(":")[0]).name for problem in result.problems]
    assert [told.count(name) for name in names] == [1] * len(names), result.problems
    rest = [problem for problem in result.problems if Path(problem.where.split(":")[0]).name not in names]
    assert rest[0].where == "sample sig"
    assert "no file matches" in rest[0].message
    assert (
        "feature 'x' (x) is not a finite number of 32 bits in 7 events, first at entry 0" in rest[1].message
    )
    assert len(rest) == 2  # a class whose files are missing is not told to have no events as well
    assert not result.read
    assert result.cutflow is None
    row = result.samples[0]
    assert (row.files, row.empty, row.unusable, row.entries) == (2, 1, len(names), N)
    assert {each.name: each.groups[0].events for each in result.classes} == {"bkg": N, "sig": N}
    assert {each.name: each.missing for each in result.features} == {"x": 7, "y": 0}
    json.dumps(result.to_dict(), allow_nan=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


def strict(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    assert (found["format"], found["version"]) == ("tamis check", 1)
    return dict(found)


def test_json_is_whole_whatever_is_wrong(
    broken: tuple[dict[str, Any], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, names = broken
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config))
    code, out, error = run(capsys, str(path), "--json")
    found = strict(out)
    assert code == 2
    assert "see the problems" in error
    assert not found["ready"]
    assert sum(each["count"] for each in found["problems"]) == len(names) + 2
    for override in ("training.epoch=3", "samples[0].files=absent.root"):
        code, out, _ = run(capsys, str(path), "--json", "--set", override)
        assert code == 2
        assert strict(out)["problems"]
    code, out, _ = run(capsys, str(tmp_path / "absent.yaml"), "--json")
    assert code == 2
    assert "cannot be read" in strict(out)["problems"][0]["message"]


def test_json_of_good_input_is_whole(
    two_classes: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(two_classes(200, spectators=["w"])))
    code, out, _ = run(capsys, str(path), "--json", "--set", "split.folds=2")
    found = strict(out)
    assert code == 0
    assert found["ready"]
    assert found["all_events_read"]
    assert found["cutflow"]["total"]["entries"] == 400
    groups = found["classes"]["sig"]["groups"]
    assert [(each["split"], each["fold"]) for each in groups[:3]] == [
        ("all", None), ("training", None), ("validation", None),
    ]  # fmt: skip
    tested = [each["events"] for each in groups if each["split"] == "test"]
    assert sum(tested) == 200
    assert found["resources"]["memory_bytes"] > 0
    code, out, _ = run(capsys, str(path), "--set", "split.folds=2")
    assert code == 0
    assert "A training needs about" in out


def test_what_is_printed_of_a_thousand_broken_files_is_short(
    two_classes: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = two_classes(200)
    for number in range(1000):
        (tmp_path / f"bkg_{number:04}.root").write_bytes(b"")
    config["samples"][0]["files"] = "bkg*.root"
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config))
    code, out, _ = run(capsys, str(path))
    assert code == 2
    assert "1,000 times" in out
    assert "bkg_0000.root" in out
    assert "bkg_0009.root" not in out
    assert len(out.splitlines()) < 40
    code, out, _ = run(capsys, str(path), "--json")
    (problem,) = strict(out)["problems"]
    assert len(problem["where"]) == problem["count"] == 1000


def test_weights_copies_and_sentinels_are_pointed_at(tmp_path: Path, write_tree: WriteTree) -> None:
    first = columns()
    write_tree("a.root", first)
    write_tree(
        "b.root",
        {**columns(), "w": np.where(np.arange(N) == 5, -40.0, RNG.choice([1.0, -1.0], N, p=[0.6, 0.4]))},
    )
    copied = {key: np.append(RNG.normal(size=N), value[:20]) for key, value in first.items()}
    write_tree(
        "s.root",
        {**copied, "w": np.ones(N + 20), "x": np.where(np.arange(N + 20) > N - 20, copied["x"], -999)},
    )
    config = configuration(
        tmp_path,
        samples=[
            {"name": "bkg", "class": "bkg", "files": ["a.root", "b.root"], "weight": "w"},
            {"name": "sig", "class": "sig", "files": "s.root", "weight": "w"},
        ],
        spectators=[],
    )
    result = check_input(parse_config(config))
    told = {(note.kind, note.where): note.message for note in result.notes}
    assert "one event has 6.3%" in told["large_weight", "class bkg"]
    assert "entry 5 of b.root, weight -40" in told["large_weight", "class bkg"]
    assert "missing: -999" in told["sentinel", "feature x"]
    assert "20 in another class" in told["duplicates", ""]
    assert result.equal is not None
    assert (result.equal.count, result.equal.between_classes) == (20, 20)


def test_one_cause_is_one_problem(
    tmp_path: Path, write_tree: WriteTree, capsys: pytest.CaptureFixture[str]
) -> None:
    """A selection that nothing passes, negative weights in all splits, and a branch that two files lack."""
    for name in ("bkg.root", "sig.root"):
        write_tree(name, columns(w=np.where(name == "bkg.root", -1.0, np.ones(N))))

    def find_problems(sig: dict[str, Any], **changes: Any) -> list[str]:
        samples = [
            {"name": "bkg", "class": "bkg", "files": "bkg.root"},
            {"name": "sig", "class": "sig", "files": "sig.root", **sig},
        ]
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(configuration(tmp_path, samples=samples, spectators=[], **changes)))
        code, out, _ = run(capsys, str(path))
        assert code == 2
        return [*out.split("Problems")[1].split("Notes")[0].strip().splitlines(), out]

    problem, out = find_problems({"selection": "x > 1e9"})
    assert "none of 300 entries passes `x > 1e9`" in problem
    assert "Events" in out
    (problem, _) = find_problems({"weight": "-1000 * w"})
    assert problem.count("sum to") == 3
    (problem, _) = find_problems({}, features=["x", "z"])
    assert ("bkg.root" in problem, "sig.root" in problem) == (True, True)


SPLITS = ("training", "validation", "test")


def changed(events: Events, rows: np.ndarray, how: str) -> Events:
    if how == "none":
        return events.take(~rows)
    weight = np.where(rows, -1.0 if how == "negative" else 0.0, events.weight)
    return Events(**{**vars(events), "weight": weight})


@pytest.mark.parametrize("how", ["none", "negative", "zero"])
@pytest.mark.parametrize(
    ("folds", "part", "fold"),
    [(None, part, None) for part in SPLITS] + [(3, part, fold) for part in SPLITS for fold in (0, 1, 2)],
)
def test_a_class_that_a_network_lacks_is_refused_with_counts(
    module_data: Make,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    folds: int | None,
    part: str,
    fold: int | None,
) -> None:
    """Also by `train`, which prepares before it builds a network."""
    config = parse_config({**module_data(), "split": {"folds": folds}})
    read = preparation.read_events

    def lacking(*arguments: Any, **options: Any) -> Any:
        events, readings = read(*arguments, **options)
        of_part = events.split == SPLITS.index(part)
        if fold is not None:
            of_part = events.fold == fold if part == "test" else of_part & (events.fold != fold)
        return changed(events, of_part & (events.class_index == 1), how), readings

    monkeypatch.setattr(preparation, "read_events", lacking)
    with pytest.raises(InputError) as refused:
        prepare(config)
    where = "class sig" if fold is None else f"class sig, fold {fold}"
    found = [each for each in refused.value.problems if f"{part} " in each.message]
    assert where in [each.where for each in found] or "class sig" in [each.where for each in found]
    assert all(
        ("no events in the" if how == "none" else "expected a positive sum") in each.message for each in found
    )
    told = [each for each in check_input(config).problems if each.where.startswith("class sig")]
    assert told == list(refused.value.problems)


@pytest.fixture(scope="module")
def module_data(module_classes: Make) -> Make:
    made = module_classes(200)
    return lambda: made


def test_a_fold_that_no_event_is_in_is_refused(two_classes: Make) -> None:
    config = two_classes(200, split={"folds": {"number": 4, "by": "event % 2"}})
    with pytest.raises(InputError) as refused:
        prepare(parse_config(config))
    places = [f"class {name}, fold {fold}" for fold in (2, 3) for name in ("bkg", "sig")]
    assert [problem.where for problem in refused.value.problems] == places


def test_too_little_memory_is_told_before_anything_is_read(
    two_classes: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config(two_classes(200))
    monkeypatch.setattr(
        "tamis.pipeline.resources.find_memory_limits", lambda: (MemoryLimit(2**28, "the limit of the test"),)
    )

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("events were read")

    monkeypatch.setattr(preparation, "read_events", never)
    with pytest.raises(InputError):
        prepare(config)
    result = check_input(config)
    assert [problem.where for problem in result.problems] == ["memory"]
    assert [row.entries for row in result.samples] == [200, 200]
