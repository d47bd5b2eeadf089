"""A variational autoencoder as a scikit-learn transformer: latent features of the rows of a table, or of images."""

from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from pyro_vae.better import Which, repaired
from pyro_vae.build import sees_binary
from pyro_vae.data import Binarizer, DataSet, Images
from pyro_vae.data.layout import channels_of
from pyro_vae.data.looking import described
from pyro_vae.defaults import torch_defaults
from pyro_vae.encoding import encode
from pyro_vae.errors import InputError, in_python, speaking_python
from pyro_vae.models import VAE
from pyro_vae.options import settings_of
from pyro_vae.plain import plain
from pyro_vae.runs import RunFolder, load
from pyro_vae.svi import fit
from pyro_vae.training.held_out import held_out_terms
from pyro_vae.training.prepare import prepare
from pyro_vae.training.session import open_session
from pyro_vae.use import log_densities


def _of_this_class(message: str) -> str:
    """An error's words with the parameters of :class:`VAETransformer`."""
    scale = "scale them, or use --likelihood Gaussian --likelihood.squash false"
    return in_python(message.replace(scale, "standardize=False leaves features of that range as they are"))


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Posterior means of a VAE as features.

    ``fit`` trains as ``python -m pyro_vae.svi`` does, in a temporary run folder and without output. It takes any option
    of that command, so any guide, prior, decoder or objective works.

    Parameters
    ----------
    latent_dim : int, default=10
        The number of new features.
    guide : str or dict, default="MeanField"
        q(z|x): a name, the import path of your own class, or ``{"class_path": ..., "init_args": {...}}``.
    likelihood : str, dict or None, default=None
        p(x|z), in the same way. None is a Gaussian with unbounded means and one learned standard deviation for all
        features.
    standardize : bool, default=True
        Shift and scale every feature to mean 0 and variance 1 first; a constant one is only shifted. Likelihoods of
        pixels between 0 and 1 (Bernoulli, ContinuousBernoulli) need False.
    image_shape : tuple of int or None, default=None
        Channels, height and width of a row that is an image; None is 1 x 1 x n_features. Convolutional networks,
        given by ``options``, need it. With ``options={"layout": "channels_last"}`` it is height, width and channels.
    epochs : int, default=100
        Passes over the training rows.
    batch_size : int, default=100
        Rows in a step; all rows if there are fewer.
    lr : float, default=1e-3
        The learning rate.
    validation_fraction : float, default=0.1
        The fraction of rows, at least one row, that choose the best epoch and do not train.
    options : dict or None, default=None
        Further options of ``python -m pyro_vae.svi``, such as ``{"objective": "IWAE", "encoder": "ConvEncoder"}``.
        Steps run eagerly unless ``engine`` is one of them.
    posterior : {"amortized", "optimised", "exact"}, default="amortized"
        Which posterior ``transform`` takes the means of, and ``score`` the bound: the encoder's q(z|x), its family's
        best for each row, or p(z|x) itself, for which ``score`` is log p(x). The latter two take seconds for some tens
        of rows.
    random_state : int, RandomState instance or None, default=None
        The seed of the first weights, the validation rows, the order of the batches and the noise.

    Attributes
    ----------
    model_
        The trained p(x, z), of standardised rows as images.
    guide_
        Its q(z|x).
    trace_
        The ELBO trace, a list of :class:`~pyro_vae.runs.TraceRow`. Its splits are train and validation, in nats per row
        of standardised values.
    offset_
        Subtracted from each feature.
    scale_
        What each feature is then divided by.
    n_features_in_
        The number of original features.

    References
    ----------
    Kingma & Welling 2013, Auto-Encoding Variational Bayes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> VAETransformer(latent_dim=2, epochs=1, random_state=0).fit_transform(X).shape
    (150, 2)
    """

    def __init__(
        self,
        latent_dim: int = 10,
        *,
        guide: str | dict = "MeanField",
        likelihood: str | dict | None = None,
        standardize: bool = True,
        image_shape: tuple[int, int, int] | None = None,
        epochs: int = 100,
        batch_size: int = 100,
        lr: float = 1e-3,
        validation_fraction: float = 0.1,
        options: dict[str, Any] | None = None,
        posterior: Which = "amortized",
        random_state: Any = None,
    ):
        self.latent_dim = latent_dim
        self.guide = guide
        self.likelihood = likelihood
        self.standardize = standardize
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.options = options
        self.posterior = posterior
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on the rows of ``X``, ``(n_samples, n_features)``; ``y`` is not used.

        Raises:
            ValueError: if an option or a value of ``X`` is invalid; the message says which.
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        given = {name: plain(value) for name, value in self.get_params(deep=False).items()}
        self._set_shape(given["image_shape"], (given["options"] or {}).get("layout", "auto"), X.shape[1])
        if not 0 < given["validation_fraction"] < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, not {given['validation_fraction']}")
        random = check_random_state(given["random_state"])
        wide = X.astype(np.float64)
        self.offset_ = wide.mean(0) if self.standardize else np.zeros(X.shape[1])
        spread = wide.std(0)
        # A constant feature has no scale of its own, apart from the rounding of its mean.
        constant = spread <= 10 * np.finfo(X.dtype).eps * np.abs(self.offset_)
        self.scale_ = np.where(constant, 1.0, spread) if self.standardize else np.ones(X.shape[1])

        data = self._split(self._images(X), random.permutation(len(X)), given["validation_fraction"])
        with speaking_python(_of_this_class):
            settings = settings_of(_options(given, len(data.train), int(random.randint(2**31 - 1))))
            prepared = prepare(settings.config, data)
        with TemporaryDirectory() as folder:
            fit(*open_session(prepared, RunFolder.create(Path(folder), settings.text), quiet=True))
            run = load(folder, trust=True)
            self.trace_ = [row for row in run.folder.read_trace() if row.split != "test"]
        if not isinstance(run.model, VAE):
            raise InputError(f"a {type(run.model).__name__} has no decoder and prior to make features of")
        self.model_, self.guide_ = run.model, run.guide
        self._binary, self._samples = sees_binary(run.config, run.model), run.config.final_samples
        return self

    def _set_shape(self, shape: Any, layout: str, features: int) -> None:
        """The shape of a row as an image, and whether its channels are last."""
        self._shape = (1, 1, features) if shape is None else tuple(shape)
        self._channels_last = layout == "channels_last" and shape is not None
        if prod(self._shape) != features:
            raise ValueError(f"image_shape {self._shape} does not make {features} features")
        if shape is None or len(self._shape) != 3 or layout != "auto":
            return
        if channels_of(self._shape) == "channels_last":
            raise InputError(
                f"image_shape is channels, height, width, and {self._shape} looks like height, width, channels:"
                " say which by options={'layout': 'channels_first'} or options={'layout': 'channels_last'}"
            )

    def _images(self, X: np.ndarray) -> np.ndarray:
        """Rows as standardised images ``(n_samples, C, H, W)``, float32."""
        rows = ((X - self.offset_) / self.scale_).astype(np.float32).reshape(len(X), *self._shape)
        return np.ascontiguousarray(np.moveaxis(rows, -1, 1)) if self._channels_last else rows

    def _split(self, images: np.ndarray, order: np.ndarray, fraction: float) -> DataSet:
        held_out = min(max(1, round(fraction * len(images))), len(images) - 1)
        train, validation = (Images(images[rows]) for rows in (order[held_out:], order[:held_out]))
        return described("X", (train, validation, validation), "Gaussian")

    @property
    def _n_features_out(self) -> int:
        return self.model_.latent_dim

    def transform(self, X: Any) -> np.ndarray:
        """Posterior means, ``(n_samples, latent_dim)``; see :func:`pyro_vae.features` for how exact they are."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        guide: Any = repaired(self.model_, self.guide_, self.posterior)
        return encode(self.model_, guide, self._images(X)).astype(X.dtype)

    @torch_defaults()
    @torch.no_grad()
    def inverse_transform(self, Z: Any) -> np.ndarray:
        """The means E[x|z] of latent vectors ``(n_samples, latent_dim)``, in units of the features."""
        check_is_fitted(self)
        z = torch.as_tensor(np.asarray(Z), dtype=torch.float32)
        if z.ndim != 2 or z.shape[1] != self._n_features_out:
            raise ValueError(f"Z must be of shape (n_samples, {self._n_features_out}), not {tuple(z.shape)}")
        device = next(self.model_.parameters()).device
        means = self.model_.likelihood(self.model_.decode(z.to(device))).mean
        means = means.movedim(1, -1) if self._channels_last else means
        return means.flatten(1).cpu().numpy() * self.scale_ + self.offset_

    def score(self, X: Any, y: Any = None) -> float:
        """The mean ELBO of the rows, nats per row, a lower bound of the log density of ``X`` in its own units.

        With ``posterior="exact"`` it is the log density itself, annealed.

        ``y`` is not used. 100 samples of z for each row, or ``options["final_samples"]``; the noise is always the same.

        Raises:
            ValueError: if q(z|x) is a point and so there is no ELBO.
        """
        check_is_fitted(self)
        if not self.guide_.has_density and self.posterior != "exact":
            raise InputError(f"{type(self.guide_).__name__} has no density, so there is no ELBO to score rows with")
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        images = Images(self._images(X), device=next(self.model_.parameters()).device)
        if self.posterior == "amortized":
            terms = held_out_terms(self.model_, self.guide_, images, Binarizer(self._binary), self._samples)
            found = terms.log_weight.double().mean().item()
        else:
            x = torch.cat(list(Binarizer(self._binary).held_out(images, 250)))
            found = log_densities(self.model_, self.guide_, x, self.posterior, self._samples, 0).mean().item()
        # A density of standardised values becomes one of X by the Jacobian of the scaling.
        return found - float(np.log(self.scale_).sum())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _options(given: dict[str, Any], rows: int, seed: int) -> dict[str, Any]:
    """The options of a training on so many rows, from the transformer's parameters."""
    further = given["options"] or {}
    if taken := sorted({"data", "data_root", "validation", "out", "seed"} & set(further)):
        raise InputError(f"options cannot hold {', '.join(taken)}: here they come from X and the other parameters")
    gaussian = {"class_path": "Gaussian", "init_args": {"squash": False}}
    return {
        "engine": "eager",
        "latent_dim": given["latent_dim"],
        "guide": given["guide"],
        "likelihood": given["likelihood"] or gaussian,
        "epochs": given["epochs"],
        "batch_size": min(given["batch_size"], rows),
        "lr": given["lr"],
        "seed": seed,
        **further,
    }
