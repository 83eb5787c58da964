from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

# Also processes that tests start find the module that is beside this file.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Sums of numbers do not depend on how many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, list[Any]]:
    """A whole run that nobody disturbed: its result, its settings, and all that it reported."""
    from synthetic_evolution import SyntheticBackend, run, write_inputs

    folder = tmp_path_factory.mktemp("calm")
    write_inputs(folder)
    reported: list[Any] = []
    result, settings = run(folder, "calm", SyntheticBackend(folder / "history"), reported.append)
    return result, settings, reported
