"""Two processes with half a batch each learn what one process with the whole batch learns."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import sys
import torch
from torch import distributed, nn
from affect.configs.schema import LossConfig, ModelConfig
from affect.stages.temporal.clips import ClipBatch
from affect.stages.temporal.losses import contrastive, total_loss
from affect.stages.temporal.model import ModelSpec, TemporalModel

rank, world, rendezvous, output = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
torch.manual_seed(0)
config = ModelConfig(heads=2, feed_forward=16, dropout=0.0, encoder_dropout=0.0)
model = TemporalModel(ModelSpec(8, ("a", "b", "c"), 4, 1, config)).double()
frames, labels = torch.randn(9, 4, 8).double(), torch.randn(9, 3).double()
labels[2, 1] = labels[7] = float("nan")
if world > 1:
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world)
    network = nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
else:
    network = model
rows = (slice(0, 9) if world == 1 else (slice(0, 3), slice(3, 9))[rank])
count = rows.stop - rows.start
place = torch.arange(count)
batch = ClipBatch(
    frames[rows], torch.ones(count, 4, dtype=torch.bool), place, place[:, None].expand(-1, 3),
    torch.ones(count, 3, dtype=torch.bool), count,
)
scores = network(batch)
losses = [LossConfig(), LossConfig(label_similarity="centred"), LossConfig(relational="expw")]
loss = contrastive(scores.embedding, scores.embedding.flip(1))
loss = loss + sum(total_loss(scores, labels[rows], config) for config in losses)
loss.backward()
if rank == 0:
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    torch.save({"loss": loss.detach(), **gradients}, output)
"""


@pytest.mark.parametrize("world", [2])
def test_loss_and_gradients_over_ranks_equal_those_of_the_whole_batch(tmp_path: Path, world: int) -> None:
    results = []
    for processes in (1, world):
        output = tmp_path / f"{processes}.pt"
        commands = [
            [sys.executable, "-c", SCRIPT, str(rank), str(processes), str(tmp_path / "rendezvous"), str(output)]
            for rank in range(processes)
        ]
        running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
        for process in running:
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
        results.append(torch.load(output, weights_only=True))
    single, several = results
    assert single.keys() == several.keys() and len(single) > 30
    for name, value in single.items():
        assert torch.allclose(several[name], value, atol=1e-9, rtol=1e-6), name
