"""The same events through every form of a classifier: by how much scores differ, and how many events a second.

Three networks are trained on part of the sample: the default one, one that lwtnn can express, and one that is in fixed
point throughout. A route that is not on this machine is shown as "not installed": `make node` brings Node's packages,
`make runtimes` old versions of ONNX Runtime, and `make fpga` hls4ml.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from machine import describe_machine, markdown_table, write_result
from peers.routes import Case, UnavailableError, all_routes, write_case

CLASSES = ("bkg1", "bkg2", "sig")
QUANTIZED = {"type": "quantized", "nodes": 32}
NETWORKS: dict[str, dict[str, Any]] = {
    "default (128-128-128)": {},
    "dense (64-64), standard scaling": {
        "network": {"layers": [{"nodes": 64, "activation": "relu"}] * 2},
        "preprocessing": {"scaling": "standard"},
    },
    "quantized (32-32)": {
        "network": {
            "layers": [{**QUANTIZED, "input": {"bits": 12, "integer": 4}}, QUANTIZED],
            "quantized_output": {},
        }
    },
}


def trained(data: Path, sections: dict[str, Any], epochs: int) -> Any:
    """Train on the sample's files."""
    import tamis

    samples = [{"name": name, "class": name, "files": f"{name}_Events.root"} for name in CLASSES]
    config = {
        "name": "deployment",
        "data": str(data.resolve()),
        "samples": samples,
        "classes": {name: {"signal": name == "sig"} for name in CLASSES},
        "features": ["pt", "mass", "eta"],
        "training": {"epochs": epochs, "batch_size": 1024},
        **sections,
    }
    return tamis.train(tamis.parse_config(config))


def make_case(name: str, data: Path, folder: Path, epochs: int) -> Case:
    """Train, and write every form."""
    from tamis.export import FORMATS, export_classifier

    run = trained(data, NETWORKS[name], epochs)
    run.classifier.save(folder / "model")
    export_classifier(folder / "model", FORMATS, skip_untranslatable=True)
    case = Case(name, folder, run.classifier, run.prepared.events.features)
    write_case(case)
    return case


def measure(case: Case) -> dict[str, Any]:
    """Score with every route, and compare with tamis."""
    expected = case.classifier.scores(case.features)
    found: dict[str, Any] = {}
    for name, route in all_routes().items():
        try:
            scored = route(case)
        except UnavailableError as reason:
            found[name] = {"unavailable": str(reason)}
            continue
        if scored.scores.shape != expected.shape or not np.isfinite(scored.scores).all():
            raise RuntimeError(f"{name} gives no scores for all events")
        found[name] = {
            "difference": float(np.abs(scored.scores - expected).max()),
            "events_per_second": len(expected) / scored.seconds,
        }
    return found


def cells(measured: dict[str, Any]) -> list[str]:
    if "unavailable" in measured:
        return [measured["unavailable"], ""]
    two_digits = float(f"{measured['events_per_second']:.2g}")
    return [f"{measured['difference']:.2g}", f"{two_digits:,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="folder with bkg1_, bkg2_ and sig_Events.root; else simulated"
    )
    parser.add_argument("--events", type=int, default=100_000, help="simulated events of each class")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine(), "networks": {}}
    with TemporaryDirectory() as temporary:
        data = options.data or Path(temporary) / "data"
        if options.data is None:
            from tamis.data.simulate import write_sample

            write_sample(data, events=options.events, seed=1)
        for number, name in enumerate(options.networks):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            case = make_case(name, data, folder, options.epochs)
            measured = measure(case)
            result["networks"][name] = {"events": len(case.features), "routes": measured}
            rows = [[route, *cells(each)] for route, each in measured.items()]
            print(f"\n{name}, {len(case.features):,} events\n")
            print(markdown_table(["route", "largest difference", "events per second"], rows), flush=True)
    print(f"\nwritten to {write_result('deployment', result)}")


if __name__ == "__main__":
    main()
