"""The hooks through which everything reaches datachef, grouped by when they are called.

A plugin is a module or package with functions marked `@hookimpl`, named by an entry point in the
group `datachef` or given as a file with `--plugin`. Every hook may return an empty list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from datachef.core.assets.asset import Asset
    from datachef.core.contracts.corpus_sample import Feature, Gate
    from datachef.core.contracts.engine import Engine, RunObserver
    from datachef.core.contracts.metric import Metric
    from datachef.core.contracts.operator import Operator
    from datachef.core.contracts.reader import Reader
    from datachef.core.contracts.recipe import Recipe
    from datachef.core.contracts.reward import (
        EvaluationBackend,
        EvaluationConfig,
        Reward,
        RewardConfig,
    )
    from datachef.core.contracts.source import Source
    from datachef.core.contracts.writer import Writer
    from datachef.core.errors import Problem
    from datachef.core.language_models.client import LLMBackend
    from datachef.core.registry.folder_report import FolderReport
    from datachef.core.registry.host import Host

NAME = "datachef"

hookspec = pluggy.HookspecMarker(NAME)
hookimpl = pluggy.HookimplMarker(NAME)


# Registration: called when a command needs the parts, at most once per process.


@hookspec
def datachef_operators() -> Sequence[type[Operator]]:
    """Operator classes that recipes may use from now on."""


@hookspec
def datachef_sources() -> Sequence[type[Source]]:
    """Kinds of source; the field that each names in `key` tells them apart."""


@hookspec
def datachef_readers() -> Sequence[type[Reader]]:
    """File formats that sources read, by suffix or by the name that `file_format` takes."""


@hookspec
def datachef_engines() -> Mapping[str, Callable[..., Engine]]:
    """Engines by the name that `chef run --engine` takes."""


@hookspec
def datachef_llm_backends() -> Mapping[str, Callable[[], LLMBackend]]:
    """LLM backends by the name that synthesis operators take as `backend`; built on first use."""


@hookspec
def datachef_rewards() -> Mapping[str, Callable[[RewardConfig], Reward]]:
    """Rewards by the name that `chef score --reward` and `reward.name` of a train.yaml take."""


@hookspec
def datachef_evaluation_backends() -> Mapping[str, Callable[[EvaluationConfig], EvaluationBackend]]:
    """Evaluation backends by the name that `evaluation_backend` of an evolve.yaml takes."""


@hookspec
def datachef_features() -> Mapping[str, Feature]:
    """Features by name, which the reward `proxy` extracts and learns from besides its own."""


@hookspec
def datachef_gates() -> Mapping[str, Gate]:
    """Gates by name, which a recipe must pass after those of the reward `proxy`, in this order."""


@hookspec
def datachef_metrics() -> Sequence[type[Metric]]:
    """Metrics that tasks may name from now on."""


@hookspec
def datachef_writers() -> Sequence[type[Writer]]:
    """File formats in which corpora can be written, by the name that `output.format` takes."""


@hookspec
def datachef_assets() -> Sequence[Asset]:
    """Assets, such as small models, by whose names operators find them once they are fetched."""


@hookspec
def datachef_peer_names() -> Mapping[str, str]:
    """Operators of other libraries by name, each with what stands for it here, in a sentence."""


@hookspec
def datachef_reports() -> Mapping[str, Callable[[Path, Host], FolderReport]]:
    """Reports of folders by their kind (`corpus`, `training` ...), for `chef report`."""


@hookspec
def datachef_commands(app: typer.Typer) -> None:
    """Adds commands to `chef`, at every start of it: import heavy packages in the command."""


# Checking: called once per `chef check`, `plan` and `run`, after the recipe is known to be valid.


@hookspec
def datachef_recipe_rules(recipe: Recipe) -> Iterable[Problem]:
    """Problems of this recipe by the rules of a team; an error keeps it from running."""


# Running: called once at the start of a run, in the process that started it.


@hookspec
def datachef_run_observers() -> Sequence[RunObserver]:
    """Objects that receive the events of a run: its start, progress and end."""
