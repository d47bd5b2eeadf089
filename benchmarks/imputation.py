"""Missing values filled in, beside a random forest: the section "imputation" of RESULTS.md.

    python -m benchmarks.imputation [--out runs/imputation] [--seeds 5] [--data wine,breast_cancer]

Half of the entries of scikit-learn's wine and breast cancer tables are hidden completely at random, in all rows. Each
method sees what is left, and its error is that of what was hidden. Results in the folder are not measured again.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

import pyro_vae
from benchmarks.results import command, machine, table, write_section
from pyro_vae.data.sets.breast_cancer import BREAST_CANCER
from pyro_vae.data.sets.wine import WINE
from pyro_vae.estimators import iwae
from pyro_vae.estimators.imputation import filled
from pyro_vae.files import write_atomic
from pyro_vae.runs import Run

DATA = {"wine": WINE, "breast_cancer": BREAST_CANCER}
HIDDEN = 0.5
EPOCHS = {"wine": (100, 200, 400), "breast_cancer": (50, 100, 200)}
SETTINGS: dict[str, dict[str, Any]] = {
    f"{decoder}, {latent_dim} latent": {"decoder": decoder, "latent_dim": latent_dim}
    for decoder in ("LinearDecoder", "MLPDecoder")
    for latent_dim in (3, 6)
}
COMMON: dict[str, Any] = {
    "objective": {"class_path": "IWAE", "init_args": {"num_particles": 20}},
    "missing": "mask",
    "lr": 3e-3,
    "batch_size": 128,
    "engine": "eager",
    "quiet": True,
    "final_samples": 10,
}
DRAWS = 2000  #: of z behind a filled-in value
METHODS = {
    "mean": "the column's mean",
    "ridge": "IterativeImputer, BayesianRidge",
    "forest": "IterativeImputer, RandomForestRegressor",
    "vae": "pyro_vae, IWAE with missing values (MIWAE)",
}


def rows_of(name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The whole table ``(N, P)`` in the order of a fixed permutation, and the names of its columns."""
    train = DATA[name].read(Path())[0]
    assert train.names is not None
    rows = np.asarray(train.pixels).reshape(len(train.pixels), -1)
    return rows[np.random.default_rng(0).permutation(len(rows))], train.names


def hidden(x: np.ndarray, seed: int) -> np.ndarray:
    """Which entries are hidden, ``(N, P)``: each with probability one half."""
    return np.random.default_rng([1, seed]).random(x.shape) < HIDDEN


def error(x: np.ndarray, found: np.ndarray, mask: np.ndarray) -> float:
    """The mean squared error of the hidden entries, each in standard deviations of its complete column."""
    return float((((found - x) / x.std(0))[mask] ** 2).mean())


def by_scikit(kind: str, x: np.ndarray, seed: int) -> np.ndarray:
    """The table filled in by scikit-learn, with its default options but for the kind of the regression."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (scikit-learn asks for it)
    from sklearn.impute import IterativeImputer, SimpleImputer

    forest = RandomForestRegressor(random_state=seed)
    makers: dict[str, Callable[[], Any]] = {
        "mean": SimpleImputer,
        "ridge": lambda: IterativeImputer(random_state=seed),
        "forest": lambda: IterativeImputer(forest, random_state=seed),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ten rounds did not converge, which is their default
        return makers[kind]().fit_transform(x)


def trained(data: dict[str, Any], epochs: int, folder: Path, seed: int, setting: dict[str, Any]) -> Run:
    """A run on these rows at its last epoch. A run that has fewer epochs is resumed."""
    if folder.exists():
        pyro_vae.resume(folder, epochs=epochs, data=data, quiet=True)
    else:
        pyro_vae.train(data=data, epochs=epochs, seed=seed, out=folder, **COMMON, **setting)
    return pyro_vae.load(folder, "last", trust=True)


def chosen(name: str, out: Path) -> dict[str, Any]:
    """The setting and the epochs with the best bound on a fifth of the rows, with the first seed's entries hidden.

    No entry that the first seed hides is looked at; half of those that another seed hides are. The bound
    is IWAE_500 of the entries that are seen in the rows that are held out.
    """
    x, names = rows_of(name)
    x = np.where(hidden(x, 0), np.nan, x)
    cut = len(x) - len(x) // 5
    data = {"x_train": x[:cut], "x_validation": x[cut:], "x_test": x[cut:], "names": names}
    rows = torch.from_numpy(x[cut:, None, None].astype(np.float32))
    bounds = {}
    for i, setting in enumerate(SETTINGS.values()):
        for epochs in EPOCHS[name]:
            run = trained(data, epochs, out / f"{name}-setting{i}", 0, setting)
            bounds[i, epochs] = iwae(run.model, run.guide, rows, 500).value
    best = max(bounds, key=lambda one: bounds[one])
    words = list(SETTINGS)
    found = {f"{words[i]}, {epochs} epochs": value for (i, epochs), value in bounds.items()}
    return {"setting": words[best[0]], "epochs": best[1], "bounds": found}


def by_vae(name: str, x: np.ndarray, seed: int, choice: dict[str, Any], out: Path) -> tuple[np.ndarray, float]:
    """The table filled in by a run on all its rows, and the mean effective sample size."""
    data = {"x_train": x, "x_validation": x, "x_test": x, "names": rows_of(name)[1]}
    run = trained(data, choice["epochs"], out / f"{name}-seed{seed}", seed, SETTINGS[choice["setting"]])
    rows = torch.from_numpy(x[:, None, None].astype(np.float32))
    found = filled(run.model, run.guide, rows, num_samples=DRAWS)
    return found.values.flatten(1).double().numpy(), found.effective.mean().item()


class Kept:
    """Results that are written as they come, and read when the command is given again."""

    def __init__(self, path: Path):
        self.path = path
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        if key not in self.found:
            self.found[key] = measure()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, json.dumps(self.found, indent=1))
            print(key, self.found[key], flush=True)
        return self.found[key]


def measured(name: str, seeds: int, kept: Kept, out: Path) -> dict[str, list[float]]:
    """The error of each method at each seed."""
    x, _ = rows_of(name)
    choice = kept.get(f"{name} choice", lambda: chosen(name, out))
    found: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(seeds):
        mask = hidden(x, seed)
        seen = np.where(mask, np.nan, x)

        def of_vae(seed: int = seed, seen: np.ndarray = seen, mask: np.ndarray = mask) -> list[float]:
            values, effective = by_vae(name, seen, seed, choice, out)
            return [error(x, values, mask), effective]

        found["vae"].append(kept.get(f"{name} vae {seed}", of_vae)[0])
        for kind in ("mean", "ridge", "forest"):
            value = kept.get(
                f"{name} {kind} {seed}", lambda k=kind, s=seen, m=mask, n=seed: error(x, by_scikit(k, s, n), m)
            )
            found[kind].append(value)
    return found


def half_width(values: list[float]) -> float:
    """Of the 95 % interval of a mean over seeds (Student's t)."""
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)


def with_interval(values: list[float]) -> str:
    """A mean with half the width of its interval."""
    return f"{values[0]:.3f}" if len(values) < 2 else f"{np.mean(values):.3f} ± {half_width(values):.3f}"


def in_words(name: str, differences: list[float]) -> str:
    """What the differences of a table to the random forest show."""
    if len(differences) < 2:
        return f"- {name}: one seed shows nothing."
    mean, half = float(np.mean(differences)), half_width(differences)
    verdict = "lower than" if mean < -half else "higher than" if mean > half else "not shown to differ from"
    return f"- {name}: the error of pyro_vae is {verdict} the random forest's ({mean:+.3f} ± {half:.3f})."


def section(errors: dict[str, dict[str, list[float]]], kept: Kept, asked: str) -> str:
    """The Markdown of all errors, by the command that was asked for; the sentence on the forest is made from them."""
    rows = [[words, *(with_interval(of[method]) for of in errors.values())] for method, words in METHODS.items()]
    differences = {
        name: [ours - theirs for ours, theirs in zip(of["vae"], of["forest"], strict=True)]
        for name, of in errors.items()
    }
    rows.append(["pyro_vae minus the random forest, seed by seed", *map(with_interval, differences.values())])
    sentences = "\n".join(in_words(name, of) for name, of in differences.items())
    seeds = len(next(iter(errors.values()))["vae"])
    choices = "; ".join(
        f"{name}: {kept.found[f'{name} choice']['setting']}, {kept.found[f'{name} choice']['epochs']} epochs (of"
        f" {len(kept.found[f'{name} choice']['bounds'])} settings)"
        for name in errors
    )
    worth = "; ".join(
        f"{name} {np.mean([kept.found[f'{name} vae {seed}'][1] for seed in range(seeds)]):.0f}" for name in errors
    )
    return (
        "Half of all entries are hidden, completely at random, in every row; each method sees the rest of all rows and"
        " fills in what is hidden. The figure is the mean squared error of the hidden entries, each column in its own"
        f" standard deviations (0 is perfect), over {seeds} seeds of what is hidden, with its 95 % interval. Smaller is"
        f" better.\n\n{table(['', *errors], rows)}\n\n{sentences}\n\n"
        "scikit-learn's imputers have their default options (ten rounds, 100 trees). Ours: `--objective IWAE` with 20"
        " samples, `--missing mask`, likelihoods as they are guessed, Adam at 3e-3 in batches of 128; each value is the"
        f" posterior mean by {DRAWS:,} importance weights. Its decoder, latent dimensions and epochs have the best"
        " IWAE_500 on a fifth of the rows that is held out. They were chosen once, with the first seed's entries"
        f" hidden: about half of the entries that another seed hides were seen in this choice."
        f" Chosen: {choices}. The weights of a row are worth on average, in independent draws: {worth}.\n\n"
        f"`{asked}`, on {machine()}." + "".join(f" {name} is not measured here." for name in DATA if name not in errors)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/imputation"), help="where runs and results go")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", default=",".join(DATA), help="which tables")
    options = parser.parse_args()
    kept = Kept(options.out / "results.json")
    errors = {name: measured(name, options.seeds, kept, options.out) for name in options.data.split(",")}
    asked = command("imputation", parser, options)
    write_section("imputation", "Missing values of tables, filled in", section(errors, kept, asked))


if __name__ == "__main__":
    main()
