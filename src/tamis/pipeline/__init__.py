"""The order of the stages, and the only place that sees the whole configuration."""
