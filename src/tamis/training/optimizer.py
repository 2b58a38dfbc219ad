"""Optimizers, as chains of optax transforms over the flat vector of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from tamis.config import Adam, AdamW, Lion, Muon, NAdam, Optimizer, RmsProp, ScheduleFreeAdamW, Sgd
from tamis.training.parameters import Layout


def build_optimizer(
    optimizer: Optimizer, layout: Layout, *, clip: float | None = None, ntk: bool = False
) -> optax.GradientTransformation:
    """Build the transform that turns flat gradients into flat steps, to be multiplied by the learning rate.

    The steps of `schedule_free_adamw` have its learning rate already.

    Args:
        optimizer: its section of the configuration.
        layout: where weights and biases lie in the vector.
        clip: longest gradient that is used.
        ntk: whether the steps of a weight are divided by the root of the number of its layer's inputs; an optimizer
            whose steps do not grow with the gradient, such as Adam, then does what it would do if the layer were
            written as weight @ x / sqrt(inputs) (Jacot et al., arXiv:1806.07572).

    >>> from tamis.network.network import build_network
    >>> from tamis.training.parameters import flatten
    >>> vector, _, layout = flatten(build_network(1, 2, [], random=np.random.default_rng(0)))
    >>> steps = build_optimizer(Sgd(momentum=0.0), layout)
    >>> steps.update(jnp.ones(4), steps.init(vector), vector)[0].tolist()
    [-1.0, -1.0, -1.0, -1.0]
    """
    chain = [] if clip is None else [optax.clip_by_global_norm(clip)]
    scale = [scale_steps(layout.fan_in**-0.5)] if ntk else []
    if isinstance(optimizer, ScheduleFreeAdamW):
        return optax.chain(*chain, schedule_free(optimizer, layout, scale))
    strength = 0.0 if isinstance(optimizer, Adam | RmsProp) else optimizer.weight_decay
    # decay shrinks a weight by the same part, however its steps are scaled
    decay = [decay_weights(strength, layout)] if strength else []
    return optax.chain(*chain, _direction(optimizer, layout), *scale, *decay, optax.scale(-1.0))


def _direction(
    optimizer: Adam | AdamW | NAdam | RmsProp | Lion | Muon | Sgd, layout: Layout
) -> optax.GradientTransformation:
    match optimizer:
        case Adam() | AdamW():
            return optax.scale_by_adam(optimizer.beta1, optimizer.beta2, optimizer.epsilon)
        case NAdam():
            return optax.scale_by_adam(optimizer.beta1, optimizer.beta2, optimizer.epsilon, nesterov=True)
        case RmsProp():
            scale = optax.scale_by_rms(optimizer.decay, optimizer.epsilon)
            return optax.chain(scale, optax.trace(optimizer.momentum)) if optimizer.momentum else scale
        case Lion():
            return optax.scale_by_lion(optimizer.beta1, optimizer.beta2)
        case Muon():
            return muon(optimizer, layout)
        case Sgd():
            return (
                optax.trace(optimizer.momentum, optimizer.nesterov)
                if optimizer.momentum
                else optax.identity()
            )
        case _:
            assert_never(optimizer)


def decay_weights(strength: float, layout: Layout) -> optax.GradientTransformation:
    """Add decoupled weight decay (arXiv:1711.05101) to all parameters but the biases.

    Args:
        strength: decay per unit of learning rate.
        layout: says which parameters are weights.
    """
    factors = strength * jnp.asarray(layout.weights)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        return jax.tree.map(lambda u, p: u + factors * p, updates, params), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def muon(optimizer: Muon, layout: Layout) -> optax.GradientTransformation:
    """Take orthogonal steps in the matrices of hidden layers, and Adam's steps in all other parameters.

    With the gradient g of a matrix, m = g + momentum m, and the step is orthogonal(g + momentum m). It is multiplied
    by 0.2 sqrt(max(shape)), so that it is as long as one of Adam's and one learning rate serves both (Jordan et al.,
    https://kellerjordan.github.io/posts/muon/; Liu et al., arXiv:2502.16982).

    Args:
        optimizer: its section of the configuration.
        layout: says where the matrices of the hidden layers are.
    """
    adam = optax.scale_by_adam(0.9, 0.999)
    momentum = optax.trace(optimizer.momentum, nesterov=True)

    def start(params: optax.Params) -> optax.OptState:
        return adam.init(params), momentum.init(params)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        steps, first = adam.update(updates, state[0], params)
        pushed, second = momentum.update(updates, state[1], params)
        for matrix in layout.hidden:
            step = orthogonal(pushed[matrix.place].reshape(matrix.shape))
            steps = steps.at[matrix.place].set(0.2 * max(matrix.shape) ** 0.5 * step.reshape(-1))
        return steps, (first, second)

    return optax.GradientTransformation(start, update)


def orthogonal(matrix: jax.Array) -> jax.Array:
    """Bring the singular values of a matrix near one (0.7 to 1.2), and keep their vectors.

    Five steps of X -> 3.4445 X - 4.7750 (X X^T) X + 2.0315 (X X^T)^2 X, which pull all values between about 0.01 and 1
    there (Jordan et al., https://kellerjordan.github.io/posts/muon/).

    Args:
        matrix: [outputs, inputs].

    >>> values = jnp.linalg.svd(orthogonal(jnp.array([[3.0, 0.0], [0.0, 0.5]])), compute_uv=False)
    >>> bool((values > 0.6).all() and (values < 1.3).all())
    True
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x: jax.Array = (matrix.T if tall else matrix) / (jnp.linalg.norm(matrix) + 1e-8)  # the smaller X X^T
    for _ in range(5):
        squares = x @ x.T
        x = 3.4445 * x + (-4.7750 * squares + 2.0315 * squares @ squares) @ x
    return x.T if tall else x


def schedule_free(
    optimizer: ScheduleFreeAdamW, layout: Layout, scale: Sequence[optax.GradientTransformation] = ()
) -> optax.GradientTransformation:
    """Take AdamW's steps without momentum, and average the points (Defazio et al., arXiv:2405.15682).

    Args:
        optimizer: its section of the configuration, with the learning rate and its warm-up.
        layout: says which parameters are weights.
        scale: what changes the size of the steps.
    """
    rate = optax.warmup_constant_schedule(0.0, optimizer.learning_rate, optimizer.warm_up)
    chain = optax.chain(
        optax.scale_by_rms(optimizer.beta2, 1e-8, eps_in_sqrt=False, bias_correction=True),
        *scale,
        decay_weights(optimizer.weight_decay, layout),
        optax.scale_by_learning_rate(rate),
    )
    return optax.contrib.schedule_free(chain, rate, b1=optimizer.beta1)


def evaluated_parameters(state: optax.OptState, parameters: jax.Array) -> jax.Array:
    """Give the parameters that are to be evaluated: for a schedule-free optimizer the average of its points."""
    last = state[-1] if isinstance(state, tuple) and state else state
    if isinstance(last, optax.contrib.ScheduleFreeState):
        averaged: jax.Array = optax.contrib.schedule_free_eval_params(last, parameters)
        return averaged
    return parameters


def scale_steps(factors: NDArray[np.float32]) -> optax.GradientTransformation:
    """Multiply each parameter's step by a factor of its own."""
    return optax.stateless(lambda updates, _: updates * factors)
