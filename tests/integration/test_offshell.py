"""The workshop's real files, where they are: the figures that the recommended recipe must reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import tamis
from tamis.config import Constant
from tamis.pipeline.preparation import prepare

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("TAMIS_OFFSHELL", ROOT.parent / "shared" / "data" / "offshell"))
EXAMPLES = sorted((ROOT / "examples" / "offshell").glob("*.yaml"))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "sig_Events.root").is_file(),
    reason="the workshop's files are not there; name their folder with TAMIS_OFFSHELL",
)


@pytest.mark.slow
def test_the_recommended_recipe_reaches_its_figures() -> None:
    run = tamis.train(tamis.load_config(ROOT / "examples/offshell/recommended.yaml", data=FOLDER))
    test = run.results["performance"].splits["test"].physics
    assert test.loss <= 0.1970
    assert test.accuracy >= 0.9340
    assert sum(test.events) == pytest.approx(150_000, rel=0.01)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_reads_the_files(example: Path) -> None:
    prepared = prepare(tamis.load_config(example, data=FOLDER))
    assert len(prepared.events) == 300_000
    assert prepared.cutflow.repeated == 0
    for account in prepared.cutflow.samples:
        assert account.entries == account.used.events == 100_000


def test_the_workshop_example_has_the_hyperparameters_of_the_lecture() -> None:
    config = tamis.load_config(ROOT / "examples/offshell/workshop.yaml", data=FOLDER)
    assert [(layer.nodes, layer.activation) for layer in config.network.layers] == [(6, "relu"), (6, "relu")]
    assert config.preprocessing.scaling == "none"
    assert (config.training.optimizer.name, config.training.optimizer.learning_rate) == ("adam", 1e-3)
    assert (config.training.batch_size, config.training.epochs, config.training.schedule) == (
        32,
        200,
        Constant(),
    )
    assert config.training.early_stopping.patience == 30
    assert (config.split.test, config.split.validation) == (0.5, 0.35)
