"""Whatever is received, one thing of it changed: nothing runs, reaches out or is lost, and no number changes silently.

One case again:  pytest tests/hostile/test_mutations.py -k seed-17-
Others:          AFFECT_SEEDS=5000-5200 pytest tests/hostile/test_mutations.py
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from affect.tests.hostile.harness import Adversary, Ended
from affect.tests.hostile.kit import COMMANDS, ROOM, TIMES, Baseline, Command, Kit, needed, words_of
from affect.tests.hostile.mutations import Change, mutate, planned
from affect.tests.hostile.witness import Witness, snapshot

FEW, MANY = 200, 2000  # in `make test`, and beyond these in `make stress`
# Seeds that fail, with the reason. It has to be empty.
KNOWN: dict[int, str] = {}


def seeds() -> list[Any]:
    """Each seed under a name that says what it is."""
    asked = os.environ.get("AFFECT_SEEDS")
    if asked:
        first, _, last = asked.partition("-")
        return [pytest.param(seed, id=named(seed)) for seed in range(int(first), int(last or first) + 1)]
    few = [pytest.param(seed, id=named(seed)) for seed in range(FEW)]
    return few + [pytest.param(seed, id=named(seed), marks=pytest.mark.stress) for seed in range(FEW, FEW + MANY)]


def named(seed: int) -> str:
    return f"seed-{seed}-{planned(seed)[0].replace(' ', '-')}"


@pytest.mark.parametrize("seed", seeds())
def test_a_mutation_runs_nothing_reaches_nothing_and_changes_no_number_silently(
    seed: int, adversary: Adversary, kit: Kit, witness: Witness, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    _, commands, _ = planned(seed)
    every = request.node.get_closest_marker("stress") is not None or "AFFECT_SEEDS" in os.environ
    for number, name in enumerate(commands if every else commands[:1]):
        kit.baseline(name)
        folder = kit.fresh(tmp_path / str(number), needed(name))
        change = mutate(seed, folder, kit.outside)
        faults = judged(name, change, folder, adversary, kit, witness)
        words = " ".join(map(str, COMMANDS[name].words(folder)))
        assert not faults, (
            f"{change.kind}: {change.what}\n  affect {words}\n  "
            + "\n  ".join(faults)
            + f"\nagain: pytest tests/hostile/test_mutations.py -k seed-{seed}-"
        )
        shutil.rmtree(folder)


def judged(name: str, change: Change, folder: Path, adversary: Adversary, kit: Kit, witness: Witness) -> list[str]:
    """What is wrong with how a command took a change; one sentence each."""
    command = COMMANDS[name]
    sound = kit.baseline(name)
    victim = snapshot(kit.outside)
    unwritten = {
        item: snapshot(folder / item)
        for item in command.reads
        if item not in command.writes and os.path.lexists(folder / item)
    }
    size = sum(item.lstat().st_blocks * 512 for item in folder.rglob("*"))
    witness.seen()
    ended = adversary.run(command.words(folder), command.place(folder))
    seen = witness.seen()
    faults = ended.faults(most_bytes=sound.ended.peak_bytes + ROOM + TIMES * size)
    faults += [f"outside: {line}" for line in seen]
    if snapshot(kit.outside) != victim:
        faults.append("the victim's folder is another than before")
    faults += [f"{item} was changed" for item, before in unwritten.items() if snapshot(folder / item) != before]
    if not change.free:
        faults += silent_changes(command, sound, ended, folder)
    return faults


def silent_changes(command: Command, sound: Baseline, ended: Ended, folder: Path) -> list[str]:
    """Numbers that are others than those of sound input, where nothing was said about it."""
    if ended.code != 0 or words_of(ended, folder) - sound.words:
        return []
    found = command.numbers(folder, ended)
    return [
        f"{key} changed without a word: {str(number)[:150]} -> {str(found.get(key))[:150]}"
        for key, number in sound.numbers.items()
        if found.get(key) != number
    ]


def test_no_seed_is_excused() -> None:
    assert KNOWN == {}
