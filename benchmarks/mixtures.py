"""The proxy beside simpler models, on published measurements of data mixtures.

    python benchmarks/mixtures.py --data DIR [--output FILE]

All are taught by some mixtures and rank others; a score is a negative loss, a figure Spearman's
rank correlation of predicted and measured scores, and one configuration of the proxy serves all.
`DIR` holds `mixtures/` and `regmix/`:

- DMSL (https://arxiv.org/abs/2507.09404; 7 domains of SlimPajama): taught by the 40 mixtures at
  122M parameters that were not trained at 1.2B, tested on the 20 that were, with their losses at
  1.2B; mean over the seven domains, and the loss on OpenHermes, which no domain covers. Likewise
  with 8 random ones of the 40, mean over 12 draws.
- 5Mix (https://arxiv.org/abs/2403.16952; 5 domains of the Pile): 26 mixtures at 410M, each
  predicted by the other 25; mean over 22 losses.
- missing domains: the four domains that RegMix's losses lack, for its mixtures at 1B, ten-fold.

Then optimism: taught by half of the mixtures of a table, a model proposes the one of the other half
that it predicts to be best. `regret` is the best score there less that of the proposal, `bias` its
prediction less its measurement, both in standard deviations of the scores; mean over losses and 4
draws. `inside` is how often the measurement is within the proxy's interval of 90%.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from regmix import LEARNERS, Floats, Learner, Runs, agreement, proxy_of, read

FEW, DRAWS, HALVES = 8, 12, 4
BARS = {
    "DMSL": 0.983, "OpenHermes": 0.80, "DMSL, 8 mixtures": 0.95, "5Mix": 0.94,
    "missing domains": None,
}  # fmt: skip


class Exam(NamedTuple):
    """A loss to learn from some runs, and to predict for others."""

    loss: str
    train: Runs
    test: Runs


def dmsl(folder: Path, size: int) -> Runs:
    """The last checkpoint of every mixture at a model size, in millions of parameters."""
    table = pl.read_csv(folder / "dmsl_llm_slimpajama.csv")
    mixture = [name for name in table.columns if name.startswith("weight_")]
    last = (
        table.filter((pl.col("model_size") / 1e6).cast(pl.Int64) == size)
        .with_columns(pl.col(mixture).round(5))
        .sort("n_tokens")
        .group_by(mixture, maintain_order=True)
        .last()
        .sort(mixture)
    )
    return Runs(
        last.select(pl.col(name).alias(f"share.{name[7:]}") for name in mixture),
        last.select((-pl.col("^.*_loss$")).name.map(lambda name: name.removesuffix("_loss"))),
    )


def five_mix(folder: Path) -> Runs:
    table = pl.read_csv(folder / "mixinglaws_5mix.csv").filter(
        (pl.col("size") == "410M") & (pl.col("step") == 30000)
    )
    return Runs(
        table.select(pl.col("^share_.*$").name.map(lambda name: name.replace("_", ".", 1))),
        table.select(-pl.exclude("size", "step", "^share_.*$")),
    )


def missing_domains(folder: Path) -> Runs:
    """The four losses of the mixtures that have all of them."""
    losses = pl.read_ndjson(folder / "eval_1B_missing_domains.jsonl").pivot(
        "domain", index="index", values="avg_loss"
    )
    # The losses number mixtures from 1, the table of shares from 0.
    losses = losses.with_columns(pl.col("index") - 1)
    shares = pl.read_csv(folder / "test_mixture_1B.csv")
    both = shares.join(losses, on="index").sort("index")
    names = [name for name in shares.columns if name != "index"]
    return Runs(
        both.select(pl.col(names) / pl.sum_horizontal(names)).rename(lambda name: f"share.{name}"),
        both.select(-pl.exclude("index", *names)),
    )


class Benchmark:
    """The exams by name: every one is as many rank correlations as it has losses and draws."""

    def __init__(self, folder: Path) -> None:
        self.small, self.large = (dmsl(folder / "mixtures", size) for size in (122, 1235))
        known = set(self.large.shares.rows())
        others = [row not in known for row in self.small.shares.rows()]
        self.others = self.small.take(np.array(others))
        self.five = five_mix(folder / "mixtures")
        self.missing = missing_domains(folder / "regmix")
        self.regmix = read(folder / "regmix", "test", "1m")

    def figures(self, learner: Learner) -> dict[str, float]:
        domains = [name for name in self.large.scores.columns if name != "openhermes"]
        exams = [Exam(loss, self.others, self.large) for loss in domains]
        return {
            "DMSL": mean_agreement(exams, learner),
            "OpenHermes": mean_agreement([Exam("openhermes", self.others, self.large)], learner),
            "DMSL, 8 mixtures": mean_agreement(
                [Exam(loss, few, self.large) for few in self.draws() for loss in domains], learner
            ),
            "5Mix": held_out_agreement(self.five, len(self.five.shares), learner),
            "missing domains": held_out_agreement(self.missing, 10, learner),
        }

    def draws(self) -> Iterator[Runs]:
        for seed in range(DRAWS):
            random = np.random.default_rng(seed)
            yield self.others.take(random.choice(len(self.others.shares), FEW, replace=False))

    def optimism(self, learner: Learner) -> dict[str, tuple[float, float]]:
        """Regret and bias of what a model proposes, by table."""
        found = {}
        for name, runs in self.tables().items():
            outcomes = []
            for exam in halves(runs):
                predicted = learner(exam.train.shares, exam.train.score(exam.loss))(
                    exam.test.shares
                )
                measured, unit = exam.test.score(exam.loss), float(runs.score(exam.loss).std())
                best = int(np.argmax(predicted))
                regret = (measured.max() - measured[best]) / unit
                outcomes.append((regret, (predicted[best] - measured[best]) / unit))
            found[name] = tuple(np.mean(outcomes, axis=0))
        return found

    def inside(self) -> dict[str, float]:
        """How often what the proxy proposes measures within its interval, by table."""
        found = {}
        for name, runs in self.tables().items():
            hits = []
            for exam in halves(runs):
                proxy = proxy_of(exam.train.shares, exam.train.score(exam.loss))
                predicted = proxy.predict(exam.test.shares)
                best = max(range(len(predicted)), key=lambda row: predicted[row].value)
                measured = exam.test.score(exam.loss)[best]
                hits.append(predicted[best].low <= measured <= predicted[best].high)
            found[name] = float(np.mean(hits))
        return found

    def tables(self) -> dict[str, Runs]:
        few = self.regmix.take(np.arange(0, len(self.regmix.shares), 4))
        return {"DMSL": self.small, "5Mix": self.five, "RegMix": few}


def halves(runs: Runs) -> Iterator[Exam]:
    for seed in range(HALVES):
        order: NDArray[np.int64] = np.random.default_rng(seed).permutation(len(runs.shares))
        middle = len(order) // 2
        train, test = runs.take(order[:middle]), runs.take(order[middle:])
        yield from (Exam(loss, train, test) for loss in runs.scores.columns)


def mean_agreement(exams: list[Exam], learner: Learner) -> float:
    return float(
        np.mean(
            [
                agreement(
                    learner(exam.train.shares, exam.train.score(exam.loss))(exam.test.shares),
                    exam.test.score(exam.loss),
                )
                for exam in exams
            ]
        )
    )


def held_out_agreement(runs: Runs, folds: int, learner: Learner) -> float:
    """Every mixture is predicted by those of the other folds."""
    rows = np.arange(len(runs.shares))
    found = []
    for loss in runs.scores.columns:
        predicted: Floats = np.empty(len(rows))
        for fold in range(folds):
            test = rows % folds == fold
            train = runs.take(~test)
            predicted[test] = learner(train.shares, train.score(loss))(runs.take(test).shares)
        found.append(agreement(predicted, runs.score(loss)))
    return float(np.mean(found))


def tables(benchmark: Benchmark) -> Iterator[str]:
    """All figures in Markdown."""
    yield "| |" + "|".join(BARS) + "|seconds|"
    yield "|---|" + "--:|" * (len(BARS) + 1)
    for name, learner in LEARNERS.items():
        start = time.process_time()
        row = benchmark.figures(learner)
        seconds = time.process_time() - start
        yield f"|{name}|" + "|".join(f"{row[exam]:.3f}" for exam in BARS) + f"|{seconds:.0f}|"
    yield "|bar|" + "|".join("" if bar is None else f"{bar:.3f}" for bar in BARS.values()) + "||"
    yield ""
    names = list(benchmark.tables())
    yield "|optimism|" + "|".join(f"{name}: regret|bias" for name in names) + "|"
    yield "|---|" + "--:|" * (2 * len(names))
    for name, learner in LEARNERS.items():
        found = benchmark.optimism(learner)
        yield f"|{name}|" + "|".join("{:.2f}|{:+.2f}".format(*found[t]) for t in names) + "|"
    inside = benchmark.inside()
    yield "|ours: inside 90%|" + "|".join(f"{inside[name]:.2f}|" for name in names) + "|"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="file to write to, besides the screen")
    options = parser.parse_args()
    lines = []
    for line in tables(Benchmark(options.data)):
        print(line, flush=True)
        lines.append(line)
    if options.output is not None:
        head = (
            "# The proxy on published measurements of mixtures\n\nWhat each column is stands in "
            "[the script](../mixtures.py), run as `python benchmarks/mixtures.py --data DATA`.\n\n"
        )
        options.output.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
