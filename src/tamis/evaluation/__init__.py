"""Numbers that judge a classifier: arrays in, frozen results out, all with the signed physics weights."""
