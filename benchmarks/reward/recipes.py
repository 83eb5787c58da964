"""A spread of recipes for one task: what a proxy of their scores is taught and tried on.

    python benchmarks/reward/recipes.py TASK_FOLDER [--seed 0] [--tokens 300000]

Good and bad, plain and odd, so that the measured scores differ for many reasons. `TASK_FOLDER` is
one that `tasks.py` wrote; the recipes go into its `recipes`.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from steps import deduplicated, length_ranked, quality_ranked, random_steps
from tasks import KNOWLEDGE, POOL, TASK, read_knowledge

from datachef.core import document

TOKENS = 300_000
RANDOM = 6

Recipe = dict[str, Any]
Steps = Mapping[str, Sequence[Mapping[str, Any]]]


def recipes(
    task_folder: Path, seed: int, *, tokens: int = TOKENS, mixtures: int = RANDOM
) -> list[Recipe]:
    """At least 20 recipes of at most `tokens` tokens over the pool of a task, and as many random
    `mixtures`.

    Each source alone; all sources, without and with a strict decontamination of its own; random
    mixtures with random steps; four that a good engineer would write; three that put questions and
    answers in the task's form; five absurd ones. They name task and pool by paths relative to
    `task_folder/recipes`. The same folder, seed and tokens give the same recipes.
    """
    return list(_RecipeWriter(task_folder, seed, tokens).all(mixtures))


def write_recipes(
    task_folder: Path, seed: int, *, tokens: int = TOKENS, mixtures: int = RANDOM
) -> list[Path]:
    """Writes the recipes into `task_folder/recipes`, one file each, named as they are."""
    folder = task_folder / "recipes"
    folder.mkdir(exist_ok=True)
    paths = []
    for recipe in recipes(task_folder, seed, tokens=tokens, mixtures=mixtures):
        paths.append(folder / f"{recipe['name']}.yaml")
        paths[-1].write_text(document.dump(recipe), encoding="utf-8")
    return paths


class _RecipeWriter:
    def __init__(self, folder: Path, seed: int, tokens: int) -> None:
        self._knowledge = read_knowledge(folder)
        self._names = list(self._knowledge.roles)
        self._seed = seed
        self._tokens = tokens
        self._random = random.Random(f"{seed}:{self._names}")

    def all(self, mixtures: int) -> Iterable[Recipe]:
        for name in self._names:
            yield self._recipe(f"only-{name}", {name: 1.0}, epochs=4)
        everything = dict.fromkeys(self._names, 1.0)
        strict = {"op": "decontaminate", "min_share": 0.4}
        yield self._recipe("all", everything, epochs=4)
        yield self._recipe("all-decontaminated", everything, epochs=4, steps=[strict])
        for number in range(mixtures):
            yield self._at_random(f"random-{number}")
        yield from self._sensible()
        yield from self._adapted()
        yield from self._absurd()

    def _at_random(self, name: str) -> Recipe:
        rng = self._random
        chosen = rng.sample(self._names, rng.randint(2, len(self._names)))
        drawn = {source: rng.gammavariate(0.7, 1.0) for source in sorted(chosen)}
        total = sum(drawn.values())
        weights = {source: max(round(w / total, 3), 0.01) for source, w in drawn.items()}
        own = rng.sample(sorted(weights), rng.randint(0, 2))
        return self._recipe(
            name,
            weights,
            epochs=rng.randint(1, 4),
            share=round(rng.uniform(0.2, 1.0), 2),
            of_source={source: random_steps(rng, self._languages([source]), 1) for source in own},
            steps=random_steps(rng, self._languages(weights), rng.randint(0, 3)),
        )

    def _sensible(self) -> Iterable[Recipe]:
        """Knowing what each source holds, and nothing of the test but that it must not be there."""
        clean, usable = self._of("clean"), self._usable()
        on_topic = clean + (self._of("noisy") or self._of("general"))
        asked = [name for name in usable if name not in self._knowledge.documents]
        strict = {"op": "decontaminate", "min_share": 0.5}
        yield self._recipe(
            "sensible-clean",
            dict.fromkeys(clean, 1.0),
            epochs=4,
            of_source=dict.fromkeys(clean, deduplicated()),
            steps=[strict],
        )
        yield self._recipe(
            "sensible-on-topic",
            {name: 3.0 if name in clean else 1.0 for name in on_topic},
            epochs=4,
            of_source=dict.fromkeys(on_topic, deduplicated()),
            steps=[strict],
        )
        language = self._language_filter()
        filtered = [{"op": "length_filter", "min_chars": 20, "max_chars": 8_000}, *language]
        yield self._recipe(
            "sensible-filtered",
            {name: 2.0 if name in on_topic else 1.0 for name in asked},
            epochs=2,
            of_source=dict.fromkeys(asked, filtered),
            steps=[{"op": "minhash_dedup"}, strict],
        )
        yield self._recipe(
            "sensible-broad",
            {name: 0.7 / len(on_topic) for name in on_topic}
            | self._spread(0.3, [name for name in usable if name not in on_topic]),
            epochs=3,
            of_source={name: [{"op": "fix_unicode"}, *language] for name in usable},
            steps=[{"op": "minhash_dedup", "bands": 14, "rows": 8}, strict],
        )

    def _adapted(self) -> Iterable[Recipe]:
        """Whose rows ask and answer as the benchmark does; of documents nothing asks."""
        asked = [name for name in self._usable() if name not in self._knowledge.documents]
        clean = [name for name in self._of("clean") if name in asked]
        on_topic = [name for name in asked if name in self._of("clean", "noisy")]
        kinds = {"asked": asked, "on-topic": on_topic, "clean": clean}
        steps = [{"op": "prompt_form"}, {"op": "answer_form"}, *deduplicated()]
        for names, kind_of in {tuple(names): name for name, names in kinds.items()}.items():
            if names:
                yield self._recipe(
                    f"adapted-{kind_of}",
                    dict.fromkeys(names, 1.0),
                    epochs=4,
                    of_source=dict.fromkeys(names, steps),
                    steps=[{"op": "decontaminate", "min_share": 0.5}],
                    shortage="redistribute",
                )

    def _absurd(self) -> Iterable[Recipe]:
        """What nobody would do, and an optimiser will."""
        names, clean = self._names, self._of("clean")
        aside = self._of("off-topic", "foreign", "noise", "general") or names
        yield self._recipe(
            "absurd-twenty-rows",
            {clean[0]: 1.0},
            epochs=100,
            of_source={clean[0]: [{"op": "sample", "rows": 20}]},
        )
        yield self._recipe(
            "absurd-shortest",
            dict.fromkeys(names, 1.0),
            epochs=4,
            of_source={name: length_ranked("ascending", 0.1) for name in names},
        )
        yield self._recipe(
            "absurd-reversed",
            dict.fromkeys(names, 1.0),
            epochs=4,
            of_source={name: quality_ranked("ascending", 0.2) for name in names},
        )
        yield self._recipe(
            "absurd-off-topic",
            self._spread(0.9, aside) | self._spread(0.1, clean),
            epochs=4,
        )
        yield self._recipe("absurd-tiny", dict.fromkeys(clean, 1.0), epochs=1, share=0.02)

    def _recipe(
        self,
        name: str,
        weights: Mapping[str, float],
        *,
        epochs: int,
        share: float = 1.0,
        of_source: Steps | None = None,
        steps: Sequence[Mapping[str, Any]] = (),
        shortage: str = "stop",
    ) -> Recipe:
        """A recipe of `share` of the budget, or of what its sources have where that is less."""
        known = [self._knowledge.most_tokens[source] for source in weights]
        budget = round(self._tokens * share)
        if None not in known:
            budget = min(budget, epochs * sum(tokens for tokens in known if tokens is not None))
        own = of_source or {}
        return {
            "name": name,
            "task": f"../{TASK}",
            "pool": f"../{POOL}",
            "seed": self._seed,
            "sources": {n: {"steps": list(own[n])} if own.get(n) else {} for n in sorted(weights)},
            "mix": {
                "op": "weighted_mix",
                "weights": {n: round(weights[n], 4) for n in sorted(weights)},
                "budget": {"tokens": budget},
                "max_epochs": epochs,
                **({} if shortage == "stop" else {"shortage": shortage}),
            },
            **({"steps": list(steps)} if steps else {}),
            "rejects": {"keep": "none"},
        }

    def _of(self, *kinds: str) -> list[str]:
        return [name for name in self._names if kind(self._knowledge.roles[name]) in kinds]

    def _usable(self) -> list[str]:
        return [
            n for n in self._names if kind(self._knowledge.roles[n]) not in ("noise", "foreign")
        ]

    def _languages(self, names: Iterable[str]) -> list[str]:
        """The languages of a mixture, if some of it is in them."""
        aside = self._of("noise", "foreign", "off-topic")
        return [] if set(names) <= set(aside) else self._knowledge.languages

    def _language_filter(self) -> list[dict[str, Any]]:
        languages = self._knowledge.languages
        if not languages:
            return []
        return [{"op": "language_filter", "languages": languages, "min_confidence": 0.5}]

    @staticmethod
    def _spread(weight: float, names: Sequence[str]) -> dict[str, float]:
        return {name: weight / len(names) for name in names}


def kind(role: str) -> str:
    """What a role comes down to: clean, noisy, copy, contaminated, foreign, off-topic, noise or
    general."""
    beginnings = {
        "on-topic clean": "clean",
        "on-topic": "noisy",
        "near-duplicate across": "off-topic",
        "near-duplicate": "copy",
        "contaminated": "contaminated",
        "wrong": "foreign",
        "off-topic": "off-topic",
        "spam": "noise",
    }
    return next((kind for begin, kind in beginnings.items() if role.startswith(begin)), "general")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help=f"a folder with {TASK}, {POOL} and {KNOWLEDGE}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="the largest corpus")
    options = parser.parse_args()
    for path in write_recipes(options.folder, options.seed, tokens=options.tokens):
        print(path)


if __name__ == "__main__":
    main()
