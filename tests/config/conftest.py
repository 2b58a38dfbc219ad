from __future__ import annotations

import pytest

MINIMAL = """\
samples:
  - {name: background, class: bkg, files: background.root}
  - {name: signal, class: sig, files: signal.root}
classes:
  bkg:
  sig: {signal: true}
features: [pt, mass]
"""


@pytest.fixture(scope="session")
def minimal() -> str:
    """The shortest complete configuration: seven lines."""
    return MINIMAL
