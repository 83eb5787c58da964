"""The proxy beside other models, on the published runs of RegMix.

512 language models of 1M parameters were trained on random mixtures of 17 sources, 256 more at 1M
and 60M parameters, 64 at 1B; each has a loss on 13 validation sets (Liu et al. 2024,
https://arxiv.org/abs/2407.01492; data: huggingface.co/datasets/sail/regmix-data). A score is a
negative loss, all figures are Spearman's rank correlation of predicted and measured scores, and one
configuration of the proxy serves all of them. All learn from runs at 1M parameters:

- 1M, 60M, 1B: taught by all 512 runs, mean over 13 losses.
- 32 runs: taught by 32 random runs, loss on pile_cc at 1M, mean over 12 draws.
- new source: taught by the runs with a share of at most 0.05 of a source, tested at 1M on runs with
  more of it, on that source's own loss; mean over the 13 sources that have a loss.
- beyond: likewise for pile_cc, with shares of at most 0.02, 0.05, 0.1 and 0.2; mean over the four.
- worse half: taught by the runs whose loss is not below the median, tested at 1M on the quarter
  with the lowest loss; mean over 13 losses.

    python benchmarks/regmix.py --data DIR [--output FILE]
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression, RidgeCV

from datachef.reward.proxy.proxy import Prediction, Proxy

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Learner = Callable[[pl.DataFrame, Floats], Callable[[pl.DataFrame], Floats]]

BOUNDS = (0.02, 0.05, 0.1, 0.2)
DRAWS = 12
BARS = {
    "1M": 0.988, "60M": 0.983, "1B": 0.945, "32 runs": 0.93,
    "new source": 0.90, "beyond": 0.90, "worse half": 0.80,
}  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """Shares of the sources and scores on the validation sets, run by run."""

    shares: pl.DataFrame
    scores: pl.DataFrame

    def take(self, rows: Mask | NDArray[np.int64]) -> Runs:
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Runs(self.shares[index], self.scores[index])

    def share(self, source: str) -> Floats:
        return self.shares[f"share.{source}"].to_numpy()

    def score(self, source: str) -> Floats:
        return self.scores[source].to_numpy()


def read(folder: Path, split: str, size: str) -> Runs:
    """One of the published tables; shares come rounded and are made to sum to 1 again."""
    mixtures = pl.read_csv(folder / f"{split}_mixture_{size}.csv")
    losses = pl.read_csv(folder / f"{split}_pile_loss_{size}.csv")
    both = mixtures.join(losses, on="index").sort("index")
    shares = both.select(
        pl.col(name).alias("share." + name.removeprefix("train_the_pile_"))
        for name in mixtures.columns
        if name != "index"
    )
    scores = both.select(
        (-pl.col(name)).alias(name.removeprefix("metric/the_pile_").removesuffix("_val_loss"))
        for name in losses.columns
        if name != "index"
    )
    return Runs(shares.select(pl.all() / pl.sum_horizontal(pl.all())), scores)


@cache
def fitted(shares: bytes, columns: tuple[str, ...], scores: bytes) -> Proxy:
    """The proxy of these runs, fitted once: several figures are about the same one."""
    table = np.frombuffer(shares).reshape(-1, len(columns))
    return Proxy.fit(pl.DataFrame(table, schema=columns), np.frombuffer(scores))


def proxy_of(shares: pl.DataFrame, scores: Floats) -> Proxy:
    table = np.ascontiguousarray(shares.to_numpy())
    return fitted(table.tobytes(), tuple(shares.columns), scores.tobytes())


def ours(shares: pl.DataFrame, scores: Floats) -> Callable[[pl.DataFrame], Floats]:
    proxy = proxy_of(shares, scores)
    return lambda test: np.array([one.value for one in proxy.predict(test)])


def boosted(shares: pl.DataFrame, scores: Floats) -> Callable[[pl.DataFrame], Floats]:
    """LightGBM as it does best on this data when it is taught by all runs."""
    model = lightgbm.LGBMRegressor(
        n_estimators=600, num_leaves=5, min_child_samples=5, learning_rate=0.05, random_state=0,
        deterministic=True, n_jobs=1, verbosity=-1,
    )  # fmt: skip
    model.fit(shares.to_numpy(), scores)
    # Given a bare array, as in training, scikit-learn has no names to complain about.
    return lambda test: np.asarray(model.booster_.predict(test.to_numpy()))


def linear(shares: pl.DataFrame, scores: Floats) -> Callable[[pl.DataFrame], Floats]:
    model = LinearRegression().fit(shares.to_numpy(), scores)
    return lambda test: np.asarray(model.predict(test.to_numpy()))


def log_ridge(shares: pl.DataFrame, scores: Floats) -> Callable[[pl.DataFrame], Floats]:
    """Ridge regression on log(1 + 100 share), its penalty cross-validated."""
    model = RidgeCV(np.logspace(-6, 2, 17)).fit(np.log1p(100 * shares.to_numpy()), scores)
    return lambda test: np.asarray(model.predict(np.log1p(100 * test.to_numpy())))


def exponential_law(shares: pl.DataFrame, scores: Floats) -> Callable[[pl.DataFrame], Floats]:
    """`loss = floor + exp(level + shares . slopes)`, the law of Ye et al. 2024, data mixing laws
    (https://arxiv.org/abs/2403.16952), by least squares."""
    train, mean = shares.to_numpy(), shares.to_numpy().mean(axis=0)
    unit = float(scores.std())
    losses = (scores.max() - scores) / unit

    def law(q: Floats, columns: Floats) -> Floats:
        grown: Floats = np.exp(np.minimum(q[1] + (columns - mean) @ q[2:], 30.0)) - np.exp(q[0])
        return grown

    def missed(q: Floats) -> Floats:
        # A trace of a penalty: shares sum to 1, so that slopes are known but for a constant.
        return np.concatenate([law(q, train) - losses, 1e-3 * q])

    starts = (np.array([gap, np.log1p(np.exp(gap)), *[0.0] * train.shape[1]]) for gap in (0, 1.5))
    found = [least_squares(missed, start, max_nfev=200) for start in starts]
    best = min(found, key=lambda one: one.cost).x
    return lambda test: scores.max() - unit * law(best, test.to_numpy())


LEARNERS: dict[str, Learner] = {
    "ours": ours,
    "linear": linear,
    "log-ridge": log_ridge,
    "LightGBM": boosted,
    "exponential law": exponential_law,
}


def agreement(predicted: Floats, measured: Floats) -> float:
    if np.ptp(predicted) == 0:
        return 0.0
    return float(spearmanr(predicted, measured).statistic)


class Benchmark:
    """The shifts, each as pairs of runs to learn from and runs to be tested on."""

    def __init__(self, folder: Path) -> None:
        self.train = read(folder, "train", "1m")
        self.tests = {size: read(folder, "test", size.lower()) for size in ("1M", "60M")}
        self.tests["1B"] = read(folder, "test", "1B")
        self.losses = self.train.scores.columns

    def figures(self, learner: Learner) -> dict[str, float]:
        """The rank correlations of one learner, by name of the shift."""
        found: dict[str, list[float]] = {name: [] for name in BARS}
        for source in self.losses:
            predict = learner(self.train.shares, self.train.score(source))
            for size, test in self.tests.items():
                found[size].append(agreement(predict(test.shares), test.score(source)))
        for name, pairs in self.shifts().items():
            for source, train, test in pairs:
                predict = learner(train.shares, train.score(source))
                found[name].append(agreement(predict(test.shares), test.score(source)))
        return {name: float(np.mean(values)) for name, values in found.items()}

    def shifts(self) -> dict[str, list[tuple[str, Runs, Runs]]]:
        """(source, runs to learn from, runs to be tested on) by name of the shift."""
        draws = [np.random.default_rng(seed) for seed in range(DRAWS)]
        test = self.tests["1M"]
        return {
            "32 runs": [
                ("pile_cc", self.train.take(draw.choice(512, 32, replace=False)), test)
                for draw in draws
            ],
            "new source": [self.beyond(source, 0.05) for source in self.losses],
            "beyond": [self.beyond("pile_cc", bound) for bound in BOUNDS],
            "worse half": [self.worse_half(source) for source in self.losses],
        }

    def beyond(self, source: str, bound: float) -> tuple[str, Runs, Runs]:
        test = self.tests["1M"]
        seen = self.train.take(self.train.share(source) <= bound)
        return source, seen, test.take(test.share(source) > bound)

    def worse_half(self, source: str) -> tuple[str, Runs, Runs]:
        scores, test = self.train.score(source), self.tests["1M"]
        worse = self.train.take(scores <= np.median(scores))
        best = test.score(source) >= np.quantile(test.score(source), 0.75)
        return source, worse, test.take(best)

    def doubt(self) -> dict[str, tuple[float, str]]:
        """Coverage of 90% intervals and how often the flag fires, each with its bar."""
        inside, flags, few = [], [], []
        test = self.tests["1M"]
        for source in self.losses:
            found = proxy_of(self.train.shares, self.train.score(source)).predict(test.shares)
            inside.append(covered(found, test.score(source)))
            flags.append(np.mean([one.off_support for one in found]))
        for source, train, _ in self.shifts()["32 runs"]:
            found = proxy_of(train.shares, train.score(source)).predict(test.shares)
            few.append(covered(found, test.score(source)))
        source, seen, unseen = self.beyond("pile_cc", 0.05)
        outside = proxy_of(seen.shares, seen.score(source)).predict(unseen.shares)
        fired = float(np.mean([one.off_support for one in outside]))
        return {
            "coverage of nominal 90%, 512 runs": (float(np.mean(inside)), "0.85 to 0.96"),
            "coverage of nominal 90%, 32 runs": (float(np.mean(few)), "0.85 to 0.96"),
            "flagged off support, in distribution": (float(np.mean(flags)), "at most 0.10"),
            "flagged off support, pile_cc above 0.05": (fired, "at least 0.90"),
        }


def covered(found: Sequence[Prediction], measured: Floats) -> float:
    return float(np.mean([p.low <= y <= p.high for p, y in zip(found, measured, strict=True)]))


def table(benchmark: Benchmark) -> str:
    """All figures in Markdown."""
    found, seconds = {}, {}
    for name, learner in LEARNERS.items():
        start = time.perf_counter()
        found[name] = benchmark.figures(learner)
        seconds[name] = time.perf_counter() - start
    lines = [
        "| |" + "|".join(BARS) + "|seconds|",
        "|---|" + "---|" * (len(BARS) + 1),
        *(
            f"|{name}|" + "|".join(f"{row[shift]:.3f}" for shift in BARS) + f"|{seconds[name]:.0f}|"
            for name, row in found.items()
        ),
        "|bar|" + "|".join(f"{bar:.3f}" for bar in BARS.values()) + "||",
        "",
        "|ours: doubt|measured|bar|",
        "|---|---|---|",
        *(f"|{name}|{value:.3f}|{bar}|" for name, (value, bar) in benchmark.doubt().items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the eight CSV files")
    parser.add_argument("--output", type=Path, help="file to write to, besides the screen")
    options = parser.parse_args()
    text = table(Benchmark(options.data))
    text += f"\nPython {platform.python_version()}, LightGBM {lightgbm.__version__}.\n"
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
