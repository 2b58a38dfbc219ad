"""Only a run is replaced, and only where that is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tamis.errors import RequestError
from tamis.runs.output import check_output


def test_foreign_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RequestError):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(RequestError):
        check_output(tmp_path / "thesis.tex", overwrite=True)


def test_a_new_folder_is_checked_without_jax(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tamis.runs.output import check_output; "
        "check_output(Path(sys.argv[1]), overwrite=False); print('jax' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
