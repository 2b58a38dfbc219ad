"""Statistics of classifiers: arrays in, frozen results out, with signed weights; nothing here reads runs or files.

These arguments mean the same everywhere:

- `scores`: probabilities of the classes, [n_events, n_classes]; `score`: one number for each event, [n_events].
- `class_index`: the true class, [n_events]; `is_signal`: whether an event is signal, [n_events];
  `signal`: indices of the signal classes.
- `weight`: signed physics weight, or the expected number of events that the event represents, [n_events].
- `units`: number of the unit of each event (`tamis.statistics.units`), [n_events]; None if all are independent.
- `background`: number of the background of each event, from 0, [n_events]; None for a single background.
- `requirements`: minimum background of a cut or bin, and the systematic uncertainties.
- `generator`: source of the random numbers.

Functions raise a `TamisError` if arrays do not fit together or contain NaN, or if a sum of weights that they divide by
is not positive.
"""
