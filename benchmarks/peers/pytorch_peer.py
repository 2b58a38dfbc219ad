"""PyTorch with a plain loop: shuffle by index once an epoch, slices as batches, fused Adam, no compiler."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from peers.workload import LEARNING_RATE, Timing, Workload, time_each


def build_network(sizes: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def time_epochs(workload: Workload, epochs: int) -> Timing:
    torch.manual_seed(1)
    features, labels = torch.from_numpy(workload.features), torch.from_numpy(workload.labels)
    network = build_network(workload.sizes)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    loss_of = nn.CrossEntropyLoss()

    def train_epoch() -> float:
        order = torch.randperm(len(labels))
        total = torch.zeros(())
        batches = zip(
            features[order].split(workload.batch_size), labels[order].split(workload.batch_size), strict=True
        )
        for inputs, truth in batches:
            optimizer.zero_grad()
            loss = loss_of(network(inputs), truth)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return float(total) / workload.steps

    return time_each(epochs, train_epoch)
