"""Classifiers of other kinds, trained on the events of the network, to compare it with."""
