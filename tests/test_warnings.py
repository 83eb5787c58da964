"""A warning at our own code fails a test; what other packages warn of breaks no checkout."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

WARNS = """
import warnings

import pytest

@pytest.mark.parametrize("category", [DeprecationWarning, FutureWarning, UserWarning])
@pytest.mark.parametrize("module", [
    "datachef.core.contracts.recipe", "datachef.policy.decoding.local", "tests.core.test_recipe",
    "torch.nn.modules.module", "transformers.utils.deprecation", "datachef_sample", "polars",
])
def test_warns(module, category):
    warnings.warn_explicit("to be removed", category, "a_file.py", 1, module=module)
"""


def test_only_what_we_are_warned_of_is_an_error(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(WARNS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path,
         "-p", "no:cacheprovider", "-n0", test],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    failed = re.findall(r"FAILED \S*test_it.py::test_warns\[(\S+)-(\w+)\]", done.stdout)
    kinds = ("DeprecationWarning", "FutureWarning", "UserWarning")
    ours = (
        "datachef.core.contracts.recipe",
        "datachef.policy.decoding.local",
        "tests.core.test_recipe",
    )
    assert set(failed) == {(module, kind) for module in ours for kind in kinds}, done.stdout
    assert "9 failed, 12 passed, 12 warnings" in done.stdout
