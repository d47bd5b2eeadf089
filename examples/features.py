"""The quality of the encoder as a feature extractor: classifiers with few labels, and clusters.

    python examples/features.py --data mnist --latent-dim 10 --epochs 15 --out runs/features
    python examples/features.py --out runs/features-digits

trains an autoencoder (``Delta`` with KL weight 0) and a VAE without labels, takes their codes (posterior means) and as
many principal components, and gives each, and the raw pixels, to two classifiers: the nearest neighbours (k = 5) and
logistic regression. They see 100, 1,000 and all training labels; fewer than all are drawn three times, evenly over the
classes. Two metrics on test images say whether classes are clusters: the silhouette of the true classes, and the
normalised mutual information between them and ten clusters of k-means. All features are first scaled to unit variance,
except raw pixels, which have one unit. ``results.md`` and ``features.png`` are written.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import normalized_mutual_info_score, silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import pyro_vae
from pyro_vae import train_or_resume
from pyro_vae.data import Images, few, load_data
from pyro_vae.files import write_atomic
from pyro_vae.pictures import figure_bytes
from pyro_vae.plots import scatter_classes

AUTOENCODER = {"guide": "Delta", "beta": {"class_path": "Constant", "init_args": {"beta": 0.0}}}
FEW = (100, 1000)
DRAWS = 3  #: of the few labels
SEEN = 2000  #: test images in the picture and the silhouette

Features = tuple[np.ndarray, np.ndarray]  # of training and test images


def pixels_and_labels(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """All images ``(N, C, H, W)`` and their labels ``(N,)``."""
    assert images.labels is not None, "the data need labels"
    return images.batch(slice(0, len(images))).numpy(), images.labels.numpy()


def scaled(train: np.ndarray, test: np.ndarray) -> Features:
    """Features of unit variance over the training images."""
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def errors(features: Features, train_labels: np.ndarray, test_labels: np.ndarray, counts: list[int]) -> list[str]:
    """Test errors in percent of both classifiers, for each number of labels: mean and spread over the draws."""
    train, test = features
    cells = []
    for classifier in (KNeighborsClassifier(5), LogisticRegression(max_iter=300, tol=1e-3)):
        for count in counts:
            draws = DRAWS if count < len(train) else 1
            found = []
            for seed in range(draws):
                rows = few(train_labels, count, seed)
                accuracy = classifier.fit(train[rows], train_labels[rows]).score(test, test_labels)
                found.append(100 * (1 - accuracy))
            spread = f" +- {np.std(found, ddof=1):.1f}" if draws > 1 else ""
            cells.append(f"{np.mean(found):.1f}{spread}")
    return cells


def clusters(test: np.ndarray, labels: np.ndarray) -> list[str]:
    """Silhouette of the classes and normalised mutual information with k-means, of test features."""
    found = KMeans(len(np.unique(labels)), n_init=10, random_state=0).fit_predict(test)
    silhouette = silhouette_score(test[:SEEN], labels[:SEEN])
    return [f"{silhouette:.3f}", f"{normalized_mutual_info_score(labels, found):.3f}"]


def picture(sides: dict[str, Features], labels: np.ndarray) -> Figure:
    """Two principal components of each kind of test features, coloured and marked by class."""
    figure = Figure(figsize=(4.2 * len(sides), 4.4), layout="constrained")
    for axes, (name, (train, test)) in zip(figure.subplots(1, len(sides)), sides.items(), strict=True):
        projection = PCA(2, random_state=0).fit(train)
        points, share = projection.transform(test[:SEEN]), projection.explained_variance_ratio_
        scatter_classes(axes, points, labels[:SEEN])
        axes.set(title=name, xticks=[], yticks=[])
        axes.set(xlabel=f"component 1 ({share[0]:.0%} of variance)", ylabel=f"component 2 ({share[1]:.0%})")
    figure.legend(*axes.get_legend_handles_labels(), title="class", loc="outside right center", frameon=False)
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="digits, mnist, fashion_mnist or kmnist")
    parser.add_argument("--data-root", type=Path, help="where downloads are kept, as for pyro_vae.svi")
    parser.add_argument("--latent-dim", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=200, help="of each of the two runs")
    parser.add_argument("--out", type=Path, default=Path("runs/features"), help="the folder of runs and results")
    args = parser.parse_args(argv)

    shared = {"data": args.data, "latent_dim": args.latent_dim, "epochs": args.epochs, "lr_schedule": "cosine"}
    shared |= {"data_root": args.data_root} if args.data_root else {}
    runs = {
        "autoencoder": train_or_resume(args.out / "autoencoder", **AUTOENCODER, **shared),
        "VAE": train_or_resume(args.out / "vae", **shared),
    }
    data = load_data(args.data, args.data_root)
    (train, train_labels), (test, test_labels) = pixels_and_labels(data.train), pixels_and_labels(data.test)
    raw = train.reshape(len(train), -1), test.reshape(len(test), -1)
    pca = PCA(args.latent_dim, random_state=0).fit(raw[0])
    sides: dict[str, Features] = {
        f"raw pixels ({raw[0].shape[1]})": raw,
        f"PCA ({args.latent_dim})": scaled(pca.transform(raw[0]), pca.transform(raw[1])),
    }
    for name, run in runs.items():
        codes = (pyro_vae.features(run, images) for images in (train, test))
        sides[f"{name} ({args.latent_dim})"] = scaled(*codes)

    counts = [*(count for count in FEW if count < len(train)), len(train)]
    head = [f"{kind}, {count:,}" for kind in ("5-NN", "logistic") for count in counts]
    head += ["silhouette", "NMI, k-means"]
    lines = [f"| features | {' | '.join(head)} |", f"| --- |{' --- |' * len(head)}"]
    for name, features in sides.items():
        cells = errors(features, train_labels, test_labels, counts) + clusters(features[1], test_labels)
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    command = f"python examples/features.py --data {args.data} --latent-dim {args.latent_dim} --epochs {args.epochs}"
    text = (
        f"# The encoder's features, {args.data}\n\n`{command}`\n\n![Test features by class](features.png)\n\n"
        + "\n".join(lines)
        + "\n\n"
        f"Test error in percent on {len(test):,} images by labels seen, mean +- standard deviation over {DRAWS} draws"
        f" of the labels; one run of each encoder, seed 0. The silhouette is of the classes of the first"
        f" {min(SEEN, len(test)):,} test images, NMI of all.\n"
    )
    write_atomic(args.out / "results.md", text)
    write_atomic(args.out / "features.png", figure_bytes(picture(sides, test_labels)))
    print(text)


if __name__ == "__main__":
    main()
