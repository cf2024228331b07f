"""One adversary, one kit of sound inputs and one victim for every test here."""

from collections.abc import Iterator

import pytest

from affect.tests.hostile.harness import Adversary
from affect.tests.hostile.kit import Kit
from affect.tests.hostile.witness import Witness


@pytest.fixture(scope="session")
def adversary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adversary]:
    made = Adversary(tmp_path_factory.mktemp("adversary"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def kit(adversary: Adversary, tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit(tmp_path_factory.mktemp("kit"), adversary)


@pytest.fixture(scope="session")
def witness(kit: Kit) -> Iterator[Witness]:
    made = Witness(kit.outside)
    yield made
    made.close()
