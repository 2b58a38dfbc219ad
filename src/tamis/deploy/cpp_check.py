"""Compile the header of a classifier and run it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamis.errors import ExportError

Float32 = NDArray[np.float32]

COMPILER = "g++"
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def has_compiler() -> bool:
    """Say whether this machine can compile the header."""
    return shutil.which(COMPILER) is not None


class Program:
    """A program that scores events with the classifiers of some headers.

    Args:
        headers: files.
        namespaces: what each header calls its own namespace.
        folder: where the program is compiled.
    """

    def __init__(self, headers: Sequence[Path], namespaces: Sequence[str], folder: Path) -> None:
        """Compile it.

        Raises:
            ExportError: the compiler refuses a header.
        """
        source, self._program = folder / "scores.cpp", folder / "scores"
        source.write_text(_source(headers, namespaces), encoding="utf-8")
        command = [COMPILER, *FLAGS, "-o", str(self._program), str(source)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode:
            reason = next(
                (line for line in found.stderr.splitlines() if "error" in line), found.stderr[-500:]
            )
            raise ExportError(f"{COMPILER} refuses the header, and this form was not written: {reason}")

    def scores(
        self, given: Float32, classes: int, fold: NDArray[np.int32] | None = None, number: int = 0
    ) -> Float32:
        """Score events, [n, n_classes].

        Args:
            given: features as a user passes them, [n, n_features].
            classes: how many there are.
            fold: of each event, -1 where unknown, [n].
            number: of the header.
        """
        own = np.full(len(given), -1) if fold is None else fold
        rows = np.concatenate([given, own[:, None]], axis=1, dtype=np.float32)
        found = subprocess.run(
            [self._program, str(number)], input=rows.tobytes(), capture_output=True, check=False
        )
        if found.returncode:
            raise ExportError(
                f"the compiled classifier ended with status {found.returncode}; this form was not written"
            )
        return np.frombuffer(found.stdout, np.float32).reshape(len(given), classes)


def _source(headers: Sequence[Path], namespaces: Sequence[str]) -> str:
    included = "\n".join(f'#include "{path.resolve()}"' for path in headers)
    cases = "\n".join(
        f"  if (number == {number}) {{\n"
        f"    std::array<float, {name}::n_features + 1> row;\n"
        "    while (std::fread(row.data(), sizeof(float), row.size(), stdin) == row.size()) {\n"
        f"      std::array<float, {name}::n_features> given;\n"
        "      for (std::size_t i = 0; i < given.size(); ++i) given[i] = row[i];\n"
        f"      const auto scores = {name}::predict(given, static_cast<int>(row.back()));\n"
        "      std::fwrite(scores.data(), sizeof(float), scores.size(), stdout);\n"
        "    }\n  }"
        for number, name in enumerate(namespaces)
    )
    return f"""#include <cstdio>
#include <cstdlib>
{included}

int main(int, char** arguments) {{
  const int number = std::atoi(arguments[1]);
{cases}
  return 0;
}}
"""
