"""The optimiser and its learning rate at every step."""

import math
from typing import Any

import torch
from torch import nn

from ...configs.schema import TrainingConfig

FIRST_LAYER = "reduction"


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW, whose decay spares biases and norms, or plain SGD with decay on everything, as published."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for name, parameter in named:
        spared = config.optimizer == "adamw" and parameter.ndim <= 1
        first = config.first_layer_divisor != 1 and name.startswith(FIRST_LAYER)
        decay = 0.0 if spared else config.weight_decay
        group = groups.setdefault((spared, first), {"params": [], "weight_decay": decay, FIRST_LAYER: first})
        group["params"].append(parameter)
    ordered = [groups[key] for key in sorted(groups)]
    if config.optimizer == "sgd":
        return torch.optim.SGD(ordered, lr=config.learning_rate)
    # One pass over the weights instead of ten: at full width they weigh more than a small batch.
    return torch.optim.AdamW(ordered, lr=config.learning_rate, fused=True)


def learning_rate(step: int, steps_per_epoch: int, config: TrainingConfig) -> float:
    """The rate of optimiser step `step`, from 0: linear warm-up, then cosine to zero, steps, or constant."""
    total = steps_per_epoch * config.epochs
    warm = round(config.warmup * total)
    if step < warm:
        return config.learning_rate * (step + 1) / (warm + 1)
    if config.schedule == "cosine":
        progress = (step - warm) / max(1, total - warm)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    if config.schedule == "step":
        return float(config.learning_rate * config.step_factor ** (step // (steps_per_epoch * config.step_epochs)))
    return config.learning_rate


def first_layer_rate(rate: float, step: int, steps_per_epoch: int, config: TrainingConfig) -> float:
    """The rate of the first layer where that of all others is `rate`: lower from the first reduction on."""
    reduced = config.schedule == "step" and step >= steps_per_epoch * config.step_epochs
    return rate / config.first_layer_divisor if reduced else rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float, first_layer: float | None = None) -> None:
    """The same rate for every group, except for that of the first layer, if it has one of its own."""
    for group in optimizer.param_groups:
        group["lr"] = first_layer if first_layer is not None and group.get(FIRST_LAYER) else rate
