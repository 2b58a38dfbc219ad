"""From files to events: schemas, chunks, selection, weights, split and the ledger."""
