"""Figures of a training: results and arrays in, matplotlib `Figure` out, one style for all."""
