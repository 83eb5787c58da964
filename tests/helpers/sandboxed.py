"""Programs for the sandbox, and how they are run there."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from datachef.core.system.confinement import missing_layers
from datachef.reward.metrics.sandbox import (
    Program,
    ProgramResult,
    SandboxLimits,
    run_tests,
)

CONFINED = pytest.mark.skipif(
    bool(missing_layers()), reason=f"no layer around {missing_layers()} here"
)
SHORT = SandboxLimits(
    cpu_seconds=1, memory=1 << 30, file_bytes=4 << 20, disk_bytes=8 << 20, files=200
)

PROGRAMS = Path(__file__).parents[1] / "hostile" / "programs"


def programs(name: str) -> dict[str, tuple[str, str]]:
    """The answers of a file, each with its tests: `=== name`, the answer, `---`, the tests."""
    text = (PROGRAMS / f"{name}.txt").read_text()
    found = {}
    for part in text.split("=== ")[1:]:
        title, _, program = part.partition("\n")
        answer, _, tests = program.partition("\n---\n")
        found[title] = (answer, tests)
    return found


def run(answer: str, tests: str, before: str = "", limits: SandboxLimits = SHORT) -> ProgramResult:
    return run_tests(Program(before, answer + "\n", tests), limits)


X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers and code of x86-64")


BOMBS = programs("bombs")  # with what ends them
