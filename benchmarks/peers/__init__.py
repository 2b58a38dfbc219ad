"""What the benchmarks run: one module for each library, all with the same function `time_epochs`."""
