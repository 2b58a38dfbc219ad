"""Files to events: schemas, chunks, selection, weights, splits and the cutflow."""
