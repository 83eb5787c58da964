"""Kills `chef train` and the loop of `chef evolve` at random moments until they are done.

    python benchmarks/kill_training.py [--trainings 20] [--evolutions 10] [--seed 1] [--work FOLDER]

Each is first done undisturbed. Then it is started again and again, alone or twice at a time on one
output, and killed (SIGKILL) repeatedly, as `kills.py` does. What comes of it must be the same:
the log of recipes, the weights of the last checkpoint, the state but for its seconds, the
measurements. Other files in the output must be as they were. Ends with exit code 1 on any
failure, and prints the counts as JSON.

The evolution trains for real and measures with an evaluation backend that costs nothing, that of
the tests (`tests/policy/evolve/synthetic_evolution.py`).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from kills import Killer

from datachef.core import DatachefError
from datachef.core.system.lock import locked
from datachef.core.system.ownership import MARK

SYNTHETIC = Path(__file__).parents[1] / "tests" / "policy" / "evolve"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "HF_HUB_OFFLINE": "1"}
CHANGES = {"rounds": 3, "steps_per_round": 2}
STEPS = 8
# What somebody else keeps in the output, once it is there.
KEPT = {"notes.md": "mine", "README.md": "mine", "checkpoint-x/weights": "mine"}
PLUGIN = """
import sys

from datachef.core import hookimpl


@hookimpl
def datachef_rewards():
    sys.path.append({path!r})
    from synthetic_evolution import Taste

    return {{"taste": lambda setting: Taste(None)}}
"""

Result = Mapping[str, str]


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainings", type=int, default=20, help="kills of a training")
    parser.add_argument("--evolutions", type=int, default=10, help="kills of an evolution")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=20.0, help="seconds until a kill")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--once", nargs=2, metavar=("FOLDER", "OUTPUT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(SYNTHETIC))
    if options.once:
        return _evolve_once(Path(options.once[0]), options.once[1])
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.work or Path(scratch)
        counts = {
            name: _tried(options, folder / name, kills, command, result)
            for name, kills, command, result in (
                ("train", options.trainings, _training, _of_training),
                ("evolve", options.evolutions, _evolution, _of_evolution),
            )
        }
    print(json.dumps(counts, indent=2))
    return int(any(found["failures"] for found in counts.values()))


def _tried(
    options: argparse.Namespace,
    folder: Path,
    kills: int,
    command: Callable[[Path, str], list[str]],
    result: Callable[[Path, str], Result],
) -> dict[str, Any]:
    """Runs undisturbed, then with kills; returns what happened and every difference found."""
    if not kills:
        return {"failures": []}
    from synthetic_evolution import write_inputs

    write_inputs(folder)
    chance = random.Random(options.seed)

    def killer(output: str) -> Killer:
        return Killer(
            command(folder, output), folder, ENVIRONMENT, longest=options.longest, in_pairs=0.3
        )

    calm = killer("calm").until_done(0, chance)
    keeper = threading.Thread(target=_keep, args=(folder / "stormy",), daemon=True)
    keeper.start()
    storm = killer("stormy").until_done(kills, chance)
    keeper.join(10)
    failures = calm.failures + storm.failures
    if not failures:
        expected, found = result(folder, "calm"), result(folder, "stormy")
        failures += [f"{name} differs" for name in expected if found.get(name) != expected[name]]
        failures += [f"{name} is new" for name in found.keys() - expected.keys()]
        failures += [
            f"{name}, a file of somebody else, changed"
            for name, text in KEPT.items()
            if not (folder / "stormy" / name).exists()
            or (folder / "stormy" / name).read_text() != text
        ]
    return asdict(storm) | {"failures": failures, "compared": len(result(folder, "calm"))}


def _keep(output: Path) -> None:
    """Puts files of somebody else into an output as soon as it is one."""
    while not (output / MARK).exists():
        time.sleep(0.02)
    for name, text in KEPT.items():
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_text(text)


def _training(folder: Path, output: str) -> list[str]:
    plugin = folder / "plugin.py"
    plugin.write_text(PLUGIN.format(path=str(SYNTHETIC)))
    limits = {"operators": ["exact_dedup", "length_filter", "weighted_mix"], "values": 3}
    settings = {
        "tasks": [{"task": "task.yaml", "pool": "pool.yaml"}], "output": output, "steps": STEPS,
        "recipes_per_step": 8, "recipes_per_prompt": 8, "batch": 8, "prompt_tokens": 64,
        "save_steps": 1, "reward": {"name": "taste"}, "cold_start": {"drawn": 20},
        "limits": limits | {"source_steps": 1, "corpus_steps": 1},
    }  # fmt: skip
    (folder / f"{output}.yaml").write_text(json.dumps(settings))
    chef = [sys.executable, "-P", "-m", "datachef.core.cli", "--plugin", str(plugin)]
    return [*chef, "train", f"{output}.yaml", "--cache", "cache"]


def _of_training(folder: Path, output: str) -> Result:
    output_folder = folder / output
    files = [*output_folder.glob("recipes.jsonl"), *output_folder.glob("cold-start/*.safetensors"),
             *output_folder.glob(f"checkpoint-{STEPS}/*.safetensors")]  # fmt: skip
    return {str(file.relative_to(output_folder)): _digest(file.read_bytes()) for file in files}


def _evolution(folder: Path, output: str) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), "--once", str(folder), output]


def _evolve_once(folder: Path, output: str) -> int:
    """The loop as `chef evolve` runs it: under the lock of its output."""
    from synthetic_evolution import SyntheticBackend, run

    try:
        with locked(folder / output):
            run(folder, output, SyntheticBackend(folder / f"{output}-history", 0.1), **CHANGES)
    except DatachefError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    return 0


def _of_evolution(folder: Path, output: str) -> Result:
    found = {}
    for file in (folder / output / "state").glob("[!.]*-*.json"):
        record = json.loads(file.read_bytes())
        record.pop("seconds", None)
        found[file.name] = _digest(json.dumps(record, sort_keys=True).encode())
    step = CHANGES["rounds"] * CHANGES["steps_per_round"]
    for pattern in (f"{output}/policy/recipes.jsonl", f"{output}/proxies/[!.]*",
                    f"{output}/policy/checkpoint-{step}/*.safetensors",
                    f"{output}-history/[!.]*.json"):  # fmt: skip
        for file in folder.glob(pattern):
            found[file.name] = _digest(file.read_bytes())
    return found


def _digest(raw: bytes) -> str:
    return sha256(raw).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
