"""One self-contained page of a finished run: what its folder holds, in an order that people like to read."""
