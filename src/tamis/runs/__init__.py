"""The run directory: its layout, and how a run is written, read, locked, resumed, recovered and verified."""
