"""The network: preprocessing, layers and activations. It acts on one event; batches are mapped over it."""
