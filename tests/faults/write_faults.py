"""Run with the library of `faults.c` preloaded: does one thing again and again, and each time another change fails.

It prints a line of JSON for each point: the kind of fault, its number, and what came of it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tamis.errors import TamisError

KINDS = {"full": 1, "broken": 2, "kill": 3, "torn": 4}
MARK = "victim"
SHIM = ctypes.CDLL(None)


def arm(point: int, kind: str) -> None:
    SHIM.fault_arm(ctypes.c_char_p(MARK.encode()), ctypes.c_long(point), KINDS[kind])


def disarm() -> int:
    """Give the number of changes until now, and let all further ones pass."""
    SHIM.fault_count.restype = ctypes.c_long
    count = int(SHIM.fault_count())
    SHIM.fault_arm(ctypes.c_char_p(b""), ctypes.c_long(-1), 0)
    return count


def content(folder: Path) -> dict[str, str]:
    """Hash every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def in_a_child(work: Callable[[], None], point: int, kind: str) -> tuple[int, int, str]:
    """Do the work in a process of its own; give its status, its changes and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        arm(point, kind)
        try:
            work()
        except (OSError, TamisError) as error:
            said = f"{type(error).__name__}: {error}"
        with os.fdopen(writing, "w") as file:
            file.write(json.dumps([disarm(), said]))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    count, said = json.loads(text) if text else (-1, "")
    return os.waitstatus_to_exitcode(status), count, said


def checkpoint_faults(folder: Path, kinds: Iterable[str]) -> None:
    """Let every change fail while a checkpoint is written on top of two that are there."""
    import jax

    from tamis.training.checkpoint import read_checkpoint, write_checkpoint
    from tamis.training.history import Epoch, History
    from tamis.training.state import BestWeights, TrainState
    from tamis.training.step import StepState

    rng = np.random.default_rng(1)

    def state(epochs: int) -> TrainState:
        finished = tuple(Epoch(number + 1, 0.5, 0.5, 0.5, 0.5, 0.01, 0.1, 10, 9) for number in range(epochs))
        parameters = rng.normal(size=40_000).astype(np.float32)
        current = StepState(parameters, np.array(epochs, np.int32), np.zeros((1, 2), np.float32))
        return TrainState(current, BestWeights(parameters, None), History(finished, 1, ""), planned_epochs=9)

    before, newest, next_one = state(1), state(2), state(3)
    for kind in kinds:
        for point in range(1000):
            place = folder / MARK
            shutil.rmtree(place, ignore_errors=True)
            write_checkpoint(before, place)
            write_checkpoint(newest, place)
            status, count, said = in_a_child(
                lambda place=place: write_checkpoint(next_one, place), point, kind
            )
            if status == 0 and count <= point:
                break  # there is no such change any more
            found, heard = read_checkpoint(place, like=before)
            right = found is not None and any(
                found.history == each.history
                and all(
                    np.array_equal(a, b)
                    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(each), strict=True)
                )
                for each in (newest, next_one)
            )
            # and the next process goes on
            write_checkpoint(state(4), place)
            last, _ = read_checkpoint(place, like=before)
            goes_on = last is not None and len(last.history.epochs) == 4
            report(kind, point, status=status, said=said, right=right, goes_on=goes_on, heard=heard)


def leave_figures_empty() -> None:
    """Let a run have all its figures with nothing in them: as many files are written, and no time goes into drawing."""
    from matplotlib.figure import Figure

    from tamis.plots.book import Drawing
    from tamis.runs import figures

    chapters_of = figures.chapters_of

    def empty_chapters(run: Any) -> list[tuple[Drawing, ...]]:
        return [
            tuple(Drawing(drawing.name, Figure, {"figsize": (1, 1)}) for drawing in chapter)
            for chapter in chapters_of(run)
        ]

    figures.chapters_of = empty_chapters


def run_faults(folder: Path, kinds: Iterable[str], step: int) -> None:
    """Let changes fail while a finished run takes the place of another."""
    import tamis

    leave_figures_empty()
    run = tamis.train(tamis.load_config(folder / "config.yaml"))
    place = folder / MARK / MARK  # so that what happens to the folder above counts
    tamis.write_run(run, place)
    names = set(content(place))
    for kind in kinds:
        for point in range(0, 100_000, step):
            before = content(place)
            arm(point, kind)
            said = ""
            try:
                said = "; ".join(tamis.write_run(run, place, overwrite=True))
            except (OSError, TamisError) as error:
                said = f"{type(error).__name__}: {error}"
            count = disarm()
            if not said and count <= point:
                break
            after = content(place)
            whole = set(after) == names and bool(tamis.Classifier.load(place / "model"))
            left = [path.name for path in place.parent.iterdir() if path != place]
            for name in left:
                shutil.rmtree(place.parent / name)
            report(kind, point, said=said, intact=after == before, whole=whole, left=left)


def export_faults(folder: Path, kinds: Iterable[str], step: int) -> None:
    """Let changes fail while a form of a saved classifier is written into its folder."""
    from tamis.classifier.manifest import check_manifest
    from tamis.export import export_classifier

    place, model = folder / MARK, folder / "model"
    before = content(model)
    for kind in kinds:
        for point in range(0, 1000, step):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(model, place)
            status, count, said = in_a_child(lambda: export_classifier(place, ["json"]) and None, point, kind)
            if status == 0 and not said and count <= point:
                break
            try:
                check_manifest(place)
                loads = ""
            except TamisError as error:
                loads = str(error)
            after = {
                name: each for name, each in content(place).items() if not Path(name).name.startswith(".")
            }
            kept = all(after.get(name) == each for name, each in before.items() if name != "manifest.json")
            report(kind, point, status=status, said=said, loads=loads, kept=kept)


def report(kind: str, point: int, **found: Any) -> None:
    sys.stdout.write(json.dumps({"kind": kind, "point": point, **found}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    what, where, given, every = sys.argv[1:5]
    if what == "checkpoint":
        checkpoint_faults(Path(where), given.split(","))
    elif what == "export":
        export_faults(Path(where), given.split(","), int(every))
    else:
        run_faults(Path(where), given.split(","), int(every))
