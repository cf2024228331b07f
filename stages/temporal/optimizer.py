"""The optimiser and its learning rate at every step."""

import math

import torch
from torch import nn

from ...configs.schema import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW, whose decay spares biases and norms, or plain SGD with decay on everything, as published."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    groups = [
        {"params": [item for item in parameters if item.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [item for item in parameters if item.ndim <= 1], "weight_decay": 0.0},
    ]
    # One pass over the weights instead of ten: at full width they weigh more than a small batch.
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


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


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The same rate for every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
