"""The example configurations: read, built and dry-run, as far as a machine without a GPU allows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from command import chef

from datachef.policy.commands.train import load_settings

ROOT = Path(__file__).parents[2]
NAMES = ("tiny", "8b", "32b")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples, with their data."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "examples", folder, dirs_exist_ok=True)
    script = folder / "policy" / "make_data.py"
    subprocess.run([sys.executable, script], check=True, capture_output=True)
    return folder / "policy"


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_what_trl_takes(examples: Path, name: str) -> None:
    from datachef.policy.training.train import trl_config

    settings = load_settings(examples / f"{name}.yaml")
    built = trl_config(settings, settings.steps)
    assert built.max_steps == settings.steps
    assert built.num_generations == settings.recipes_per_prompt
    assert built.generation_batch_size == settings.recipes_per_step
    assert built.use_vllm is (settings.vllm is not None)
    assert built.vllm_mode == (settings.vllm or built.vllm_mode)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_dry_run(examples: Path, name: str) -> None:
    done = chef("train", f"{name}.yaml", "--dry-run", folder=examples)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("arithmetic: 7 sources, ")


def test_accelerate_takes_the_configuration_of_several_gpus(examples: Path) -> None:
    found = load_config_from_file(str(examples / "32b.accelerate.yaml"))
    assert found.num_processes == 8
    assert found.deepspeed_config["zero_stage"] == 3


def test_mistakes_in_settings_are_told_all_at_once(examples: Path) -> None:
    wrong = examples / "wrong.yaml"
    text = (examples / "tiny.yaml").read_text()
    wrong.write_text(text.replace("model: tiny", "modle: tiny").replace("steps: 60", "steps: 0"))
    done = chef("train", "wrong.yaml", folder=examples)
    assert done.returncode != 0
    assert "did you mean model?" in done.stderr
    assert "steps" in done.stderr
    assert "Traceback" not in done.stderr
