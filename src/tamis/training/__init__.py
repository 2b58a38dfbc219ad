"""Fit the weights of a network to events: optimizer, loop and history."""
