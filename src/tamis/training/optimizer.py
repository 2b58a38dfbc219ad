"""Optimizers, as chains of optax transforms over the flat vector of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import jax
import jax.numpy as jnp
import optax

from tamis.config import Adam, AdamW, Lion, Muon, NAdam, Optimizer, RmsProp, ScheduleFreeAdamW, Sgd
from tamis.training.parameters import Layout


def build_optimizer(
    optimizer: Optimizer, layout: Layout, *, clip: float | None = None, ntk: bool = False
) -> optax.GradientTransformation:
    """Build the transform of flat gradients to flat steps, which the training multiplies by the learning rate.

    The steps of `schedule_free_adamw` already include its learning rate.

    Args:
        optimizer: the section of the configuration.
        layout: position of weights and biases in the vector.
        clip: maximum norm of the gradient.
        ntk: whether the steps of a weight are divided by the square root of the number of its layer's inputs. For an
            optimizer whose steps do not scale with the gradient, such as Adam, this is equivalent to a layer
            weight @ x / sqrt(inputs) (Jacot et al., arXiv:1806.07572).

    >>> import numpy as np
    >>> from tamis.network.network import build_network
    >>> from tamis.training.parameters import flatten
    >>> vector, _, layout = flatten(build_network(1, 2, [], random=np.random.default_rng(0)))
    >>> steps = build_optimizer(Sgd(momentum=0.0), layout)
    >>> steps.update(jnp.ones(4), steps.init(vector), vector)[0].tolist()
    [-1.0, -1.0, -1.0, -1.0]
    """
    chain = [] if clip is None else [optax.clip_by_global_norm(clip)]
    factors = layout.fan_in**-0.5
    scale = [optax.stateless(lambda updates, _: updates * factors)] if ntk else []
    if isinstance(optimizer, ScheduleFreeAdamW):
        return optax.chain(*chain, schedule_free(optimizer, layout, scale))
    strength = 0.0 if isinstance(optimizer, Adam | RmsProp) else optimizer.weight_decay
    # after the scaling of the steps, which must not change the decay
    decay = [_decay_weights(strength, layout)] if strength else []
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
        case Sgd(momentum=0):
            return optax.identity()
        case Sgd():
            return optax.trace(optimizer.momentum, optimizer.nesterov)
        case _:
            assert_never(optimizer)


def _decay_weights(strength: float, layout: Layout) -> optax.GradientTransformation:
    """Add decoupled weight decay (arXiv:1711.05101), per unit of learning rate, to all parameters but the biases."""
    return optax.add_decayed_weights(strength * jnp.asarray(layout.weights))


def muon(optimizer: Muon, layout: Layout) -> optax.GradientTransformation:
    """Build Muon: orthogonal steps for the matrices of hidden layers, and Adam's steps for all other parameters.

    With the gradient g of a matrix, m = g + momentum m, and the step is orthogonal(g + momentum m). It is multiplied
    by 0.2 sqrt(max(shape)), so that it is as long as a step of Adam and both have the same learning rate (Jordan et
    al., https://kellerjordan.github.io/posts/muon/; Liu et al., arXiv:2502.16982).
    """
    adam = optax.scale_by_adam(0.9, 0.999)
    momentum = optax.trace(optimizer.momentum, nesterov=True)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        steps, first = adam.update(updates, state[0], params)
        pushed, second = momentum.update(updates, state[1], params)
        for matrix in layout.hidden:
            step = orthogonalise(pushed[matrix.entries].reshape(matrix.shape))
            steps = steps.at[matrix.entries].set(0.2 * max(matrix.shape) ** 0.5 * step.reshape(-1))
        return steps, (first, second)

    return optax.GradientTransformation(lambda params: (adam.init(params), momentum.init(params)), update)


def orthogonalise(matrix: jax.Array) -> jax.Array:
    """Map the singular values of a matrix to values near one (0.7 to 1.2), with the same singular vectors.

    Five steps of X -> 3.4445 X - 4.7750 (X X^T) X + 2.0315 (X X^T)^2 X do this for singular values between about 0.01
    and 1 (Jordan et al., https://kellerjordan.github.io/posts/muon/).

    >>> values = jnp.linalg.svd(orthogonalise(jnp.array([[3.0, 0.0], [0.0, 0.5]])), compute_uv=False)
    >>> bool((values > 0.6).all() and (values < 1.3).all())
    True
    """
    tall = matrix.shape[0] > matrix.shape[1]
    # transposed, so that X X^T is the smaller of the two products
    x: jax.Array = (matrix.T if tall else matrix) / (jnp.linalg.norm(matrix) + 1e-8)
    for _ in range(5):
        squares = x @ x.T
        x = 3.4445 * x + (-4.7750 * squares + 2.0315 * squares @ squares) @ x
    return x.T if tall else x


def schedule_free(
    optimizer: ScheduleFreeAdamW, layout: Layout, scale: Sequence[optax.GradientTransformation] = ()
) -> optax.GradientTransformation:
    """Build the schedule-free AdamW: steps without momentum, and averaged points (Defazio et al., arXiv:2405.15682)."""
    rate = optax.warmup_constant_schedule(0.0, optimizer.learning_rate, optimizer.warm_up)
    chain = optax.chain(
        optax.scale_by_rms(optimizer.beta2, 1e-8, eps_in_sqrt=False, bias_correction=True),
        *scale,
        _decay_weights(optimizer.weight_decay, layout),
        optax.scale_by_learning_rate(rate),
    )
    return optax.contrib.schedule_free(chain, rate, b1=optimizer.beta1)


def select_evaluated_parameters(state: optax.OptState, parameters: jax.Array) -> jax.Array:
    """Return the parameters to evaluate: those of the step, or the average of a schedule-free optimizer."""
    last = state[-1] if isinstance(state, tuple) and state else state
    if isinstance(last, optax.contrib.ScheduleFreeState):
        averaged: jax.Array = optax.contrib.schedule_free_eval_params(last, parameters)
        return averaged
    return parameters
