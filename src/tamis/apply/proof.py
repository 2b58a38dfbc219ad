"""Proof that files of scores belong to a model and to their inputs: `tamis apply --verify`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.apply.copying import copied_types
from tamis.apply.folds import AverageOfAll, describe
from tamis.apply.inputs import Shard, find_inputs, output_names
from tamis.apply.model import Model, read_model
from tamis.apply.outputs import KIND, Written, parse_format, read_output, score_endings
from tamis.apply.own import without_scores
from tamis.apply.pair import Pair, Wish, differences, make_pair
from tamis.apply.scoring import score_columns
from tamis.data.chunks import read_range
from tamis.data.schema import SourceFile
from tamis.errors import InputError, ProblemsError, RequestError, TamisError
from tamis.expressions import parse

RUN = 64
"""Consecutive entries that are scored again in one place."""
PLACES = 8
"""Random places where entries are scored again, beside the beginning and the end."""

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Proof:
    """Whether one file of scores belongs to its input and to the model.

    Args:
        file: the input.
        output: the file of scores; empty where there is none.
        entries: its rows; None where it cannot be read.
        rescored: how many of them were scored again.
        findings: what does not match; nothing where the pair belongs together.
        notes: what could not be checked.
    """

    file: str
    output: str
    entries: int | None
    rescored: int
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the pair belongs together."""
        return not self.findings


def _without_scores(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}, where its scores are looked for; give that of `tamis apply` with --output"
    return f"has no scores in {folder}"


def verify_files(
    run: Path | str,
    files: Sequence[str],
    output: Path | str,
    *,
    shard: Shard | None = None,
    tolerance: float = 0.0,
    seed: int | None = None,
    jobs: int = 2,
) -> tuple[Proof, ...]:
    """Prove that the scores of files are those that the model gives them.

    Selection, sentinel and format are those that an output says it was made with. The model, name, size, number of
    entries, first and last event of the input must be those that it names, all its rows must have the hashes that
    were written with them, and entries at the beginning, at the end and in random places must get the same bits when
    they are scored again.

    Args:
        run: a run directory, or a folder `model`.
        files: the inputs: paths, globs or URLs.
        output: the folder of the scores.
        shard: the share of the files that is looked at.
        tolerance: by how much scores may differ, for another processor or other versions.
        seed: of the random places; by default other ones each time.
        jobs: files that are looked at at a time.

    Returns:
        A proof for each output, and one that fails for each input without any.

    Raises:
        RequestError: the request is wrong for all files.
        InputError: the run cannot be read.
    """
    # every output says which selection it was made with, so that none needs to be chosen
    model = read_model(run, selection="true")
    folder = Path(output).absolute()

    def outputs_of(sources: Sequence[SourceFile]) -> Iterator[Path]:
        return (folder / name for names in _names(sources) for name in names)

    sources, _ = without_scores(find_inputs(files), outputs_of)
    pairs = [
        (source, [folder / name for name in names])
        for source, *names in zip(sources, *_names(sources), strict=True)
    ]
    chosen = pairs if shard is None else pairs[shard.number :: shard.of]
    look = partial(_prove_all, model, tolerance, seed)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return tuple(proof for proofs in pool.map(look, chosen) for proof in proofs)


def _names(sources: Sequence[SourceFile]) -> list[tuple[PurePosixPath, ...]]:
    """Give what the outputs would be called in each format, and as copies; some formats may have no different names."""
    found: list[tuple[PurePosixPath, ...]] = []
    for form, copy in (("ttree", False), ("parquet", False), ("ttree", True)):
        try:
            found.append(output_names(sources, score_endings(sources, parse_format(form), copy=copy)))
        except RequestError:
            if copy and not found:
                raise
    return found


def _prove_all(
    model: Model, tolerance: float, seed: int | None, pair: tuple[SourceFile, list[Path]]
) -> list[Proof]:
    source, paths = pair
    there = [path for path in paths if path.exists()]
    there += sorted({each for path in paths for each in _of_trees(source, path)} - set(paths))
    if not there:
        return [Proof(source.path, "", None, 0, (_without_scores(paths[0].parent),))]
    return [_prove(model, tolerance, seed, source, path) for path in there]


def _of_trees(source: SourceFile, output: Path) -> Iterator[Path]:
    """Find the outputs of single trees of a file, which have the names of these before their ending."""
    base, *ending = output.name.rsplit(".", 2)
    for path in output.parent.glob(f"{escape(base)}.*.{'.'.join(ending)}"):
        try:
            score_file = read_output(path)
        except InputError:
            continue  # of which file it is cannot be known
        if score_file is not None and score_file.metadata["input"]["file"] == PurePosixPath(source.path).name:
            yield path


def _prove(model: Model, tolerance: float, seed: int | None, source: SourceFile, path: Path) -> Proof:
    entries, rescored = None, 0
    notes: tuple[str, ...] = ()
    try:
        found = read_output(path)
        if found is None or found.metadata.get("format") != KIND:
            return Proof(source.path, str(path), None, 0, ("was not written by tamis",))
        entries, notes = found.entries, () if found.is_hashed else (_UNHASHED,)
        pair = _same_pair(model, source, found)
        findings = list(differences(pair.belongs(pair.read_ends()), found.metadata, moved=True))
        if entries != pair.schema.entries:
            findings.append(f"it has {entries} rows for {pair.schema.entries} entries")
        else:
            places = list(_places(entries, seed))
            findings += [*found.damage(), *_rescore(pair, found, places, tolerance)]
            rescored = len({row for start, stop in places for row in range(start, stop)})
    except ProblemsError as error:
        findings = [str(problem) for problem in error.problems]
    except (TamisError, OSError) as error:
        findings = [str(error)]
    return Proof(source.path, str(path), entries, rescored, tuple(findings), notes)


_UNHASHED = (
    "an older tamis wrote it, without a hash of its rows: only those that were scored again were looked at"
)


def _same_pair(model: Model, source: SourceFile, found: Written) -> Pair:
    """Look into the input as it was when the scores were made, by what they say of themselves."""
    said = found.metadata
    text = said["selection"]
    applied = replace(
        model,
        selection=None if text is None else parse(text),
        tree=said["input"]["tree"] or None,
        tree_is_wish=True,
    )
    wish = Wish(
        form=parse_format(said["form"]),
        sentinel=float(said["sentinel"]),
        unseen=model.folds is not None and said["folds"] == describe(AverageOfAll()),
        copy=bool(said["copy"]),
    )
    return make_pair(applied, source, wish)


def _places(entries: int, seed: int | None) -> Iterator[tuple[int, int]]:
    """Choose where entries are scored again: first and last ones, and runs that begin at random."""
    last = max(entries - RUN, 0)
    starts = {0, last, *np.random.default_rng(seed).integers(0, last + 1, PLACES).tolist()}
    for start in sorted(starts) if entries else ():
        yield start, min(start + RUN, entries)


def _rescore(
    pair: Pair, found: Written, places: Sequence[tuple[int, int]], tolerance: float
) -> Iterator[str]:
    """Score entries again, and name the first that differs in each column."""
    copied = copied_types(pair.schema, pair.scoring.types, pair.form) if pair.copy else {}
    said: set[str] = set()
    for start, stop in places:
        chunk = read_range(pair.schema, pair.scoring.branches | frozenset(copied), start, stop)
        expected = {**{name: chunk.columns[name] for name in copied}, **pair.scoring.score(chunk).columns}
        written = found.rows(list(expected), start, stop)
        if (
            tolerance
        ):  # scores that are almost alike may have another order, but then the class is that of the order
            expected["predicted"] = _predicted(pair, written, expected["flag"])
        for name, values in expected.items():
            bad = _differing(name, values, written[name], tolerance)
            if len(bad) and name not in said:
                said.add(name)
                row = int(bad[0])
                yield (
                    f"entry {start + row} has {name} {written[name][row]}, not {values[row]} ({len(bad)} of the "
                    f"{stop - start} entries from {start} differ)"
                )


def _predicted(pair: Pair, written: Columns, flag: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Give the class with the highest of the scores that were written."""
    classes = pair.scoring.model.classifier.class_names
    scores = np.stack([written[column] for column in score_columns(classes)], axis=1)
    return np.where(flag == 0, scores.argmax(axis=1), -1).astype(np.int16)


def _differing(name: str, expected: NDArray[Any], found: NDArray[Any], tolerance: float) -> NDArray[np.intp]:
    """Give the rows that differ, bit by bit; with a tolerance scores may differ by it."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return np.arange(len(expected))
    if tolerance and name.startswith("score_"):
        with np.errstate(invalid="ignore"):  # the sentinel may be infinite
            return np.flatnonzero(~np.isclose(found, expected, rtol=0, atol=tolerance, equal_nan=True))
    width = expected.dtype.itemsize
    bits = [np.ascontiguousarray(each).view(np.uint8).reshape(-1, width) for each in (expected, found)]
    return np.flatnonzero((bits[0] != bits[1]).any(axis=1))
