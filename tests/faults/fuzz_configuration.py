"""Configurations that nobody would write: with atheris where it is installed, else with mutations of its own.

python tests/faults/fuzz_configuration.py --seconds 60 --report build/faults/fuzz_configuration.json
"""

from __future__ import annotations

import copy
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from fuzzing import EXTREMES, LARGEST_INPUT, MOST_MEMORY, Opened, Session, arguments, changed, mutated, run

try:
    import atheris
except ImportError:
    atheris = None

ROOT = Path(__file__).parents[2]
COMPLETE = """\
name: complete
seed: 3
samples:
  - {name: background, class: bkg, files: [a.root, "b*.root"], tree: events, weight: w * 2}
  - {name: signal, class: sig, files: c.root, selection: "pt > 20 && abs(eta) < 2.4"}
classes:
  bkg: {label: "$b\\\\bar{b}$"}
  sig: {signal: true}
features:
  - pt
  - {name: abs_eta, expression: abs(eta), unit: GeV, label: "$|\\\\eta|$", missing: [-999, nan]}
  - {name: ratio, expression: "jet_pt[0] / (met + 1e-3)"}
spectators: [mass, {name: log_mass, expression: log(mass)}]
weights: {balance: {bkg: 2}, negative: keep, flatten: {spectators: [mass], bins: 10}}
split: {test: 0.25, validation: 0.2, event_id: [run, event], seed: 1, folds: {number: 3, by: event}}
preprocessing: {scaling: quantile, missing: median, logarithm: [pt]}
network:
  layers:
    - {type: dense, nodes: 16, activation: relu, dropout: 0.1, normalisation: layer}
    - {type: dense, nodes: 16, residual: true}
    - {type: sparse, nodes: 8, fan_in: 4, mask: magnitude}
  embedding: {type: periodic, frequencies: 4, nodes: 4, sigma: 0.1}
  shared_members: 2
  parametrisation: ntk
  output_initialisation: zero
training:
  loss: {name: focal, gamma: 2.0}
  optimizer: {name: adamw, learning_rate: 1e-3, weight_decay: 0.1}
  schedule: {name: cosine, warm_up: 0.1}
  decorrelate: {spectators: [mass], classes: [bkg], method: {name: flatness, bins: 5}, strength: 3}
  batch_size: 64
  epochs: 10
  gradient_clip: 1.0
  ema_decay: 0.99
  early_stopping: {monitor: validation_auc, patience: 3}
  time_budget: 5min
  symmetries:
    - {type: reflection, features: [pt, ratio]}
    - {type: exchange, objects: [[pt], [ratio]]}
    - {type: rotation, features: [abs_eta], period: 6.28}
  test_time_augmentation: 2
  ensemble: 2
  calibration: temperature
evaluation:
  working_points: [0.5, 0.7]
  reference: {discriminant: {sig: p_sig / p_bkg}}
  luminosity: {of_weights: 1, quoted: 140}
  baselines: [logistic, cuts]
  ablation: [pt]
"""
SEEDS = [
    COMPLETE.encode(),
    b"samples:\n- {name: b, class: b, files: b.root}\n- {name: s, class: s, files: s.root}\n"
    b"classes: {b: , s: {signal: true}}\nfeatures: [pt, mass]\nnetwork: {layers: [{type: quantized, nodes: 8, "
    b"input: {bits: 10, integer: 4}}], gains: null, quantized_output: {}}\n",
    *(path.read_bytes() for path in sorted((ROOT / "examples").rglob("*.yaml"))),
    b"a: &a [1]\nb: *a\n",
    b"%YAML 1.2\n---\n? [x]\n: !!python/object/apply:os.system [id]\n",
    b'a: |\n  x\n  y\nb: >-\n  z\nc: "\\u0041\\x00\\U0001F600"\n',
    b"\xef\xbb\xbfa: 1e400\nb: 0x" + b"f" * 40 + b"\nc: " + b"9" * 4400 + b"\n",
]
DICTIONARY = [
    *(word.encode() for word in (
        "!!python/object/apply:os.system", "!!binary", "!!int", "!!float", "!!null", "!!map",
        "!<tag:yaml.org,2002:str>", "!x%1b",
        "&a", "*a", "<<: *a", "<<", "---\n", "...\n", "%YAML 1.2\n", "%TAG ! tag:x,2000:\n", "? ", ": ", "- ", "[",
        "]", "{", "}", ",",
        "|", ">", "|+9", "'", '"', "#", "\n", "\n  ", "\t", "\r", "\x85", "\u2028", "\ufeff", "\\x00", "\\ud800",
        "\\U00110000", "~",
        "1e400", "-.inf", ".nan", "0x", "0o7", "10000000000", "65536", "2147483647", "1e-400", "null", "true",
        "nan", "5min", "auto",
        "samples", "classes", "features", "spectators", "weights", "split", "network", "layers", "nodes",
        "training", "evaluation",
        "name", "class", "files", "weight", "selection", "expression", "missing", "type", "dense", "sparse",
        "quantized", "embedding",
        "periodic", "piecewise_linear", "frequencies", "bins", "shared_members", "loss", "optimizer", "schedule",
        "symmetries", "objects",
        "reference", "log_density", "discriminant", "folds", "number", "by", "event_id",
        "(", ")", "**", "&&", "||", "abs(", "`", "?", "__class__",
        "../", "/", "~x", "::", "://", "https://", "reference://", "$", "\\",
    )),
    b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
]  # fmt: skip


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


class Fuzzer:
    def __init__(self, session: Session, folder: Path) -> None:
        from tamis.config import dump_config, load_config, parse_config

        self._load, self._parse, self._dump = load_config, parse_config, dump_config
        self._session, self._path = session, folder / "config.yaml"
        self._structures = [yaml.safe_load(seed) for seed in SEEDS[:2]]

    def check(self, content: bytes) -> None:
        """Load a configuration; what is accepted can be written and read again as the same."""
        self._path.write_bytes(content)
        self._session.execute(self._read, lambda: content)

    def _read(self) -> None:
        config = self._load(self._path)
        again = self._parse(self._dump(config))
        if again != config:
            raise ValueError("what was written is read as another configuration")

    def make(self, chance: random.Random, given: bytes | None = None) -> bytes:
        """Make an input: changed values of a configuration, or changed bytes."""
        if chance.random() < 0.5:
            structure = copy.deepcopy(chance.choice(self._structures))
            extremes = [*EXTREMES, *(word.decode("utf-8", "replace") for word in DICTIONARY)]
            values = changed(structure, chance, extremes, times=chance.choice((1, 1, 2, 3)))
            return as_yaml(values)
        return mutated(chance.choice(SEEDS) if given is None else given, chance, DICTIONARY, SEEDS)


def as_yaml(values: Any) -> bytes:
    """Write values that need not be writable: a digit too many, half a character."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    text = yaml.dump(values, Dumper=_Plain, width=10**6, sort_keys=False, allow_unicode=True)
    sys.set_int_max_str_digits(limit)
    return str(text).encode("utf-8", "surrogatepass")[:LARGEST_INPUT]


def fuzz_with_atheris(fuzzer: Fuzzer, session: Session, given: Any, corpus: Path) -> None:
    corpus.mkdir()
    session.folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"{number}.yaml").write_bytes(seed)
    words = corpus.parent / "dictionary"
    spelled = ["".join(rf"\x{byte:02x}" for byte in word) for word in DICTIONARY]
    words.write_text("".join(f'"{word}"\n' for word in spelled))

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return fuzzer.make(chance, data)[:most]

    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={int(given.seconds)}",
            f"-runs={given.executions if given.executions < 2**31 else -1}",
            f"-seed={given.seed}",
            f"-max_len={LARGEST_INPUT}",
            f"-rss_limit_mb={MOST_MEMORY >> 20}",
            f"-dict={words}",
            f"-artifact_prefix={session.folder}/",
            "-verbosity=0",
            "-print_final_stats=0",
            str(corpus),
        ],
        fuzzer.check,
        custom_mutator=mutate,
        internal_libfuzzer=True,
    )
    atheris.Fuzz()


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory(prefix="tamis-fuzz-") as folder:
        place = Path(folder)
        session = Session("fuzz_configuration", given.report.parent / "crashes", Opened(place))
        session.report = given.report
        with_atheris = atheris is not None and not given.plain
        if with_atheris:
            with atheris.instrument_imports(include=["tamis", "yaml"]):
                fuzzer = Fuzzer(session, place)
        else:
            fuzzer = Fuzzer(session, place)
        for seed in SEEDS:
            fuzzer.check(seed)
        if with_atheris:
            # it ends its process without a way back
            process = os.fork()
            if not process:
                fuzz_with_atheris(fuzzer, session, given, place / "corpus")
            _, status = os.waitpid(process, 0)
            if status:
                session.folder.mkdir(parents=True, exist_ok=True)
                (session.folder / "last.input").write_bytes((place / "config.yaml").read_bytes())
            found = json.loads(given.report.read_text())
            given.report.write_text(json.dumps({**found, "finished": status == 0}, indent=1) + "\n")
        else:
            run(session, given, lambda chance: fuzzer.check(fuzzer.make(chance)), lambda: None)


if __name__ == "__main__":
    main()
