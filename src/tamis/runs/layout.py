"""The names of all files and folders of a run directory. It imports nothing, so that every package can use it."""

from __future__ import annotations

CONFIG = "config.yaml"  # the configuration with every default filled in
CUTFLOW = "events.json"  # how many entries of each sample are left after each step
HISTORY = "history.json"  # loss and accuracy of every epoch
METRICS = "metrics.json"  # every number that is quoted
RESULTS = "results"  # the folder with the result of each study
SCORES = "scores.parquet"  # the test events with their weights and scores
WORKSPACE = "workspace.json"  # the bins of the signal score for pyhf
MODEL = "model"  # the folder of the classifier
FPGA = "fpga"  # the folder that `tamis export --format fpga` adds to a finished run
FIGURES = "figures"  # the folder of the figures
REPORT = "report.html"  # the page of the run
# versions, inputs, command, times and the hashes of the other files; written last: a folder with it is a run
PROVENANCE = "provenance.json"
CHECKPOINTS = "checkpoints"  # the folder of the checkpoints, while the run is trained

STORED = (CONFIG, CUTFLOW, HISTORY, METRICS)
"""The files that `read_run` reads at once."""
ENTRIES = frozenset(
    {*STORED, RESULTS, SCORES, WORKSPACE, MODEL, FPGA, FIGURES, REPORT, PROVENANCE, CHECKPOINTS}
)
"""Everything at the top of a run directory."""

# beside the run directory, in the same folder
LOCK = ".{name}.lock"  # the lock file
UNFINISHED = ".{name}.{key}.part"  # the directory of a new run, until it is complete
PREVIOUS = ".{name}.{key}.before"  # the directory of the run that is being replaced
LONGER_WHILE_REPLACED = len(PREVIOUS.format(name="", key="")) + 32
"""By how many bytes the name of a run directory is longer while it is written."""
