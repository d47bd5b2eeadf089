"""The words of the report that a reader may not know: each is explained where it stands, and in a short glossary."""

import re

from markupsafe import Markup, escape

TERMS = {
    "arm": "One of the choices that are compared, such as a guide with its options. Each arm is trained once for each"
    " seed.",
    "seed": "The number that determines all random numbers of a run. Runs of one seed share their first decoder weights"
    " and the order of the batches, so their difference is the arm's.",
    "ELBO": "Evidence lower bound, E_q[log p(x|z)] - KL(q(z|x) || p(z)): what training maximises. It is log p(x) minus"
    " the inference gap; higher is better.",
    "nat": "The unit of natural logarithms. One nat per image more makes each image e = 2.7 times as probable.",
    "log p(x)": "The logarithm of the probability that the model gives an image, whatever the guide. It is estimated by"
    " annealing, which is a lower bound in expectation.",
    "IWAE bound": "A lower bound on log p(x) from many weighted draws of q(z|x); never below the ELBO in expectation.",
    "guide": "q(z|x), the approximate posterior: an encoder that reads the image, and a family of distributions.",
    "inference gap": "log p(x) - ELBO = KL(q(z|x) || p(z|x)): what the true posterior would gain with the same model.",
    "approximation gap": "The part of the inference gap that the guide's family cannot express, even at its best for"
    " each image.",
    "amortization gap": "The part of the inference gap that the encoder loses against the best member of the family for"
    " each image.",
    "interval": "Where the value lies with the given confidence, over other seeds and other images. The intervals of"
    " one quantity's differences hold together.",
    "best": "The arm with the highest ELBO where all others are shown not to be the best.",
    "tied": "The whole interval of the difference to the leader lies within the margin that matters.",
    "undecided": "The interval of the difference to the leader allows both a gain and a loss, or one that matters.",
    "behind": "Shown not to be the best: the whole interval of the difference to the leader is below zero.",
    "core-hour": "An hour in which one core of the processor was busy with the training, whatever else ran. On a GPU it"
    " is an hour of the GPU.",
    "k-hat": "The shape of the tail of the weights p(x, z) / q(z|x). Above 0.7 q misses so much of the posterior that"
    " numbers from these weights cannot be trusted.",
    "KL(p || q)": "The divergence of q from the true posterior p, nats: large where q misses what p has. 0 is perfect.",
    "coverage": "The mass of the true posterior in the densest region of q. In a region with 90% of q's mass it is"
    " 90% if q is right, less where q is too narrow or elsewhere.",
    "moments": "q's means, standard deviations and correlations against those of draws of the true posterior.",
    "classifier": "How often a classifier tells a draw of q from a draw of the true posterior: 0.5 if it cannot, 1 if"
    " it always can.",
    "calibration": "The p-value of a test that, on images drawn from the model, the true z has a uniform rank among"
    " draws of q. A small value shows an error; a large one shows none.",
    "directions": "In how many directions of z the means of q(z|x) move as the image changes. Fewer directions than"
    " latent dimensions are a partial collapse.",
}  #: by the term; the order is that of the glossary


def key(name: str) -> str:
    """A term in an address.

    >>> key("KL(p || q)")
    'kl-p-q'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def term(name: str, text: str | None = None) -> Markup:
    """A term in the page: a link to the glossary, explained while the pointer or the focus is on it.

    Args:
        name: of :data:`TERMS`.
        text: to show in its place.
    """
    assert name in TERMS, name
    shown = escape(text or name)
    return Markup(f'<a class="term" href="#term-{key(name)}" aria-describedby="about-{key(name)}">{shown}</a>')
