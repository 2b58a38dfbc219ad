"""Damage one input file again and again, and tell what becomes of reading it: run as a program of its own.

Each damaged file is read in a process that is forked for it, so that a crash, a hang and used-up memory are seen and
end nothing else. Standard input has a JSON list: the configuration, the manifest, the file to damage and the damages,
for each kind of file. Standard output gets a line of JSON for each undamaged file and for each damage.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from tamis.config import Config, parse_config
from tamis.errors import InputError, TamisError
from tamis.pipeline.callbacks import Callbacks
from tamis.pipeline.preparation import Prepared, prepare
from tamis.runs.input_manifest import check_input_manifest

SECONDS = 30.0
MEMORY = 4 << 30


def damaged(content: bytes, damage: dict[str, int]) -> bytes:
    """Cut a file, or flip one of its bits."""
    if "cut" in damage:
        return content[: damage["cut"]]
    changed = bytearray(content)
    changed[damage["bit"] // 8] ^= 1 << damage["bit"] % 8
    return bytes(changed)


def digest(prepared: Prepared) -> str:
    """Hash all that a training would get of the files."""
    events, found = prepared.events, hashlib.sha256()
    columns = (
        events.features,
        events.class_index,
        events.weight,
        events.event_id,
        events.entry,
        events.split,
    )
    for column in (*columns, *events.spectators.values()):
        found.update(np.ascontiguousarray(column).tobytes())
    return found.hexdigest()


def read(config: Config, manifest: Path) -> dict[str, Any]:
    said: dict[str, Any] = {"manifest": ""}
    try:
        check_input_manifest(config, manifest)
    except InputError as error:
        said["manifest"] = str(error)
    try:
        return {**said, "outcome": "read", "digest": digest(prepare(config, Callbacks()))}
    except TamisError as error:
        return {**said, "outcome": "error", "kind": type(error).__name__, "message": str(error)}
    except Exception:
        logging.exception("a defect")
        return {**said, "outcome": "defect", "message": traceback.format_exc()}


def in_a_fork(config: Config, manifest: Path) -> dict[str, Any]:
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(receive)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            with os.fdopen(send, "w") as pipe:
                json.dump(read(config, manifest), pipe)
        finally:
            os._exit(0)
    os.close(send)
    text, until = b"", time.monotonic() + SECONDS
    while select.select([receive], [], [], max(until - time.monotonic(), 0))[0]:
        part = os.read(receive, 1 << 16)
        if not part:
            break
        text += part
    else:
        os.kill(child, signal.SIGKILL)
        text = json.dumps(
            {"manifest": "?", "outcome": "defect", "message": f"hangs for {SECONDS} s"}
        ).encode()
    os.close(receive)
    _, status = os.waitpid(child, 0)
    if not text:
        return {"manifest": "?", "outcome": "defect", "message": f"ended with status {status}"}
    return dict(json.loads(text))


def main() -> None:
    for order in json.load(sys.stdin):
        config, manifest, path = parse_config(order["config"]), Path(order["manifest"]), Path(order["file"])
        content = path.read_bytes()
        prepare(config, Callbacks())  # so that what is imported late is imported once, and not in every fork
        for damage in [None, *order["damages"]]:
            path.write_bytes(content if damage is None else damaged(content, damage))
            sys.stdout.write(json.dumps({"damage": damage, **in_a_fork(config, manifest)}) + "\n")
        path.write_bytes(content)


if __name__ == "__main__":
    main()
