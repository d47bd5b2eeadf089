"""What passes over a few rows show of a pair of Pyro programs: the rows' plate, the sites, and what is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.objectives.sites import sample_sites
from pyro_vae.programs.coordinates import Site, transform_of
from pyro_vae.programs.family import Arguments, Family, Unreadable, arguments_of
from pyro_vae.programs.rows import alone, different, require_scale_of_rows
from pyro_vae.programs.weights import Program, Weights
from pyro_vae.seeds import forked


@dataclass(frozen=True)
class Layout:
    """What is known of a pair.

    Attributes:
        plate: the name of the rows' plate.
        row_shape: of one row of x.
        kind: the type of x.
        sites: the latent ones of the rows, of continuous values, in the order of z.
        observed: the names of the observed sites of the rows.
        shared: the names of latent sites that all rows share.
        family: of the guide; None where its variational parameters cannot be read.
        dims: of the rows' plate, from the right, by site.
        has_density: of the guide.
        binary: whether the observed sites are zeros and ones.
        lacks: why something is not there, in words, by what it is: "z", "family", "prior", "draws".
    """

    plate: str
    row_shape: torch.Size
    kind: torch.dtype
    sites: tuple[Site, ...]
    observed: tuple[str, ...]
    shared: tuple[str, ...]
    family: Family | None
    dims: dict[str, int]
    has_density: bool
    binary: bool
    lacks: dict[str, str] = field(default_factory=dict)

    def typed(self, x: Tensor) -> Tensor:
        """Rows of the type that the programs take: counts and labels, which the model draws as floats, are whole."""
        return x if self.kind.is_floating_point else x.to(self.kind)

    def blank(self, count: int, like: Tensor) -> Tensor:
        """Rows of zeros, on the device of ``like``."""
        return self.typed(torch.zeros(count, *self.row_shape, dtype=like.dtype, device=like.device))


def look(model: Program, guide: Program, weights: Weights, x: Tensor) -> tuple[Layout, dict[str, dict[str, Tensor]]]:
    """The layout of a pair, and the parameters of "model" and "guide" by name.

    Args:
        x: rows that the programs take.

    Raises:
        InputError: where a program cannot be run, or has no plate of the rows, no latent or no observed site.
    """
    few = x[different(x)]
    passes = _Passes(model, guide, weights)
    with poutine.block(), alone(), forked(), pyro.validation_enabled(False), weights.first() as params:
        guide_trace = passes.guide(few)  # what pyro.param draws to begin with is drawn from the caller's seed
        of_guide = dict(params)
        params.clear()
        model_trace = passes.model(few, guide_trace)
        parameters = {"model": dict(params), "guide": {n: p for n, p in of_guide.items() if n not in params}}
        plate = _plate(model_trace, passes.model(few[:2], passes.guide(few[:2])))
        found = _described(passes, plate, few, guide_trace, model_trace)
    return found, parameters


class _Passes:
    """Runs the two programs and says in one line where they stop."""

    def __init__(self, model: Program, guide: Program, weights: Weights):
        self.programs: dict[str, Callable] = {"model": model, "guide": guide}
        self.weights = weights

    def guide(self, x: Tensor) -> Trace:
        return self._trace("guide", self.programs["guide"], x)

    def model(self, x: Tensor, guide_trace: Trace) -> Trace:
        return self._trace("model", poutine.replay(self.programs["model"], trace=guide_trace), x)

    def _trace(self, name: str, program: Callable, x: Tensor) -> Trace:
        try:
            trace = poutine.trace(program).get_trace(x)
            trace.compute_log_prob()
        except (ValueError, RuntimeError, TypeError, IndexError, NotImplementedError) as error:
            said = " ".join(str(error).split())[:200]
            raise InputError(
                f"the {name} stops when it is given {len(x)} rows of x {tuple(x.shape)}: {said}"
            ) from error
        return prune_subsample_sites(trace)


def _plate(trace: Trace, shorter: Trace) -> str:
    """The plate whose size is the number of rows."""
    for name, site in sample_sites(trace, True):
        frames = {frame.name: frame.size for frame in site["cond_indep_stack"]}
        others = {frame.name: frame.size for frame in shorter.nodes[name]["cond_indep_stack"]}
        for plate, size in frames.items():
            if (size, others.get(plate)) == (3, 2):
                return plate
    if next(sample_sites(trace, True), None) is None:
        raise InputError("the model observes nothing when it is given x: give one of its sites obs=")
    raise InputError(
        "no observed site of the model is in a plate of the rows of x: write `with pyro.plate('data', len(x)):` around"
        " the sites of a row, so that figures are per row"
    )


def dim_in(site: Any, plate: str) -> int | None:
    """The dimension of a plate in a site's batch shape, from the right; None where the site is not in it."""
    return next((frame.dim for frame in site["cond_indep_stack"] if frame.name == plate), None)


def _within(trace: Trace, plate: str, observed: bool) -> Iterator[tuple[str, Any, int]]:
    for name, site in sample_sites(trace, observed):
        if (dim := dim_in(site, plate)) is not None:
            yield name, site, dim


def _described(passes: _Passes, plate: str, x: Tensor, guide_trace: Trace, model_trace: Trace) -> Layout:
    latents = {name: (site, dim) for name, site, dim in _within(model_trace, plate, observed=False)}
    observed = {name: (site, dim) for name, site, dim in _within(model_trace, plate, observed=True)}
    both = (*sample_sites(model_trace), *sample_sites(guide_trace))
    shared = list(dict.fromkeys(name for name, site in both if dim_in(site, plate) is None))
    drawn = {name: (site, dim) for name, site, dim in _within(guide_trace, plate, observed=False)}
    for site, dim in (*latents.values(), *observed.values(), *drawn.values()):
        require_scale_of_rows(site, dim)
    if not latents:
        raise InputError(
            f"the model has no latent site in its plate {plate!r} of the rows: there is no q(z|x) to judge"
        )
    lacks: dict[str, str] = {}
    sites = []
    for name in sorted(latents):
        site, dim = latents[name]
        place = dim - site["fn"].event_dim
        shape = site["fn"].shape()
        row = shape[: len(shape) + place] + shape[len(shape) + place + 1 :]
        if name not in drawn:
            lacks["z"] = f"the guide has no site {name!r} of the model"
        elif site["fn"].support.is_discrete:
            lacks["z"] = f"site {name!r} is discrete, and z has continuous coordinates only"
        else:
            try:
                sites.append(Site(name, place, row, transform_of(site["fn"].support)))
            except NotImplementedError:
                lacks["z"] = f"the support of site {name!r} has no unconstrained coordinates"
    family = _family(passes, plate, x, guide_trace, tuple(sites), shared, lacks)
    _prior(passes, plate, x, guide_trace, model_trace, sites, lacks)
    _draws(passes, x, guide_trace, observed, lacks)
    base = [_base(site["fn"]) for site, _ in observed.values()]
    return Layout(
        plate,
        x.shape[1:],
        x.dtype,
        tuple(sites),
        tuple(observed),
        tuple(shared),
        family,
        {name: dim for name, (_, dim) in {**drawn, **latents, **observed}.items()},
        not any(isinstance(_base(site["fn"]), pyro.distributions.Delta) for site, _ in drawn.values()),
        all(isinstance(of, torch.distributions.Bernoulli) for of in base),
        lacks,
    )


def _base(fn: Any) -> Any:
    while isinstance(fn, torch.distributions.Independent | pyro.distributions.MaskedDistribution):
        fn = fn.base_dist
    return fn


def read_arguments(trace: Trace, plate: str, sites: tuple[Site, ...]) -> dict[str, Arguments]:
    """The arguments of these sites' distributions.

    Raises:
        Unreadable: where those of one cannot be read.
    """
    found = {}
    for site in sites:
        node: Any = trace.nodes[site.name]
        dim = dim_in(node, plate)
        if dim is None:
            raise Unreadable(f"site {site.name!r} of the guide is not in a plate {plate!r}")
        try:
            found[site.name] = arguments_of(node["fn"], dim)
        except Unreadable as error:
            raise Unreadable(f"site {site.name!r} of the guide: {error}") from error
    return found


def _family(
    passes: _Passes,
    plate: str,
    x: Tensor,
    trace: Trace,
    sites: tuple[Site, ...],
    shared: list[str],
    lacks: dict[str, str],
) -> Family | None:
    """The guide's family, or None with the reason."""
    if shared:
        lacks["family"] = f"the rows share site {shared[0]!r}, so that no row has variational parameters of its own"
    if "z" in lacks:
        lacks["family"] = lacks["z"]
    if "family" in lacks:
        return None
    watched = x.clone().requires_grad_() if x.is_floating_point() else x
    try:
        with torch.enable_grad():
            once = read_arguments(passes.guide(watched), plate, sites)
        again = read_arguments(trace, plate, sites)  # of other draws
    except Unreadable as error:
        lacks["family"] = str(error)
        return None
    free = {}
    for site in sites:
        one, other = once[site.name].values, again[site.name].values
        if not all(torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-5) for name in one):
            lacks["family"] = (
                f"the guide draws site {site.name!r} given another draw, so that it has no lambda of its own"
            )
            return None
        free[site.name] = tuple(name for name, value in one.items() if _depends(value, watched))
    if not any(free.values()):
        lacks["family"] = "the guide does not read x"
        return None
    return Family(sites, free)


def _depends(value: Tensor, x: Tensor) -> bool:
    """Whether an argument depends on x: by the graph, or because rows differ."""
    if value.detach().ne(value[:1].detach()).any():
        return True
    seen, waiting = set(), [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if getattr(node, "variable", None) is x:
            return True
        waiting += [next_one for next_one, _ in node.next_functions]
    return False


def _prior(
    passes: _Passes, plate: str, x: Tensor, guide_trace: Trace, trace: Trace, sites: list[Site], lacks: dict[str, str]
) -> None:
    """Whether the latent sites have a prior that is one and the same for each row."""
    if "z" in lacks:
        lacks["prior"] = lacks["z"]
        return
    try:
        one = read_arguments(trace, plate, tuple(sites))
        other = read_arguments(passes.model(torch.zeros_like(x), passes.guide(x)), plate, tuple(sites))
    except Unreadable as error:
        lacks["prior"] = str(error).replace("of the guide", "of the model")
        return
    for site in sites:
        for name, value in one[site.name].values.items():
            if value.ne(value[:1]).any() or not torch.allclose(value, other[site.name].values[name]):
                lacks["prior"] = f"the prior of site {site.name!r} depends on other sites or on x"


def _draws(
    passes: _Passes, x: Tensor, guide_trace: Trace, observed: dict[str, tuple[Any, int]], lacks: dict[str, str]
) -> None:
    """Whether the model can draw rows that it could observe."""
    if len(observed) > 1:
        lacks["draws"] = (
            f"the model observes {len(observed)} sites, {', '.join(observed)}, and a row is not one of them"
        )
        return
    name, (site, dim) = next(iter(observed.items()))
    value = site["value"].movedim(dim - site["fn"].event_dim, 0)
    if value.numel() != x.numel() or not torch.equal(value.reshape(len(x), -1).to(x.dtype), x.reshape(len(x), -1)):
        lacks["draws"] = f"the observed site {name!r} is not x itself, so that what the model draws is no row of x"
        return
    blank: Any = passes.model(torch.zeros_like(x), guide_trace).nodes[name]
    if not torch.allclose(blank["fn"].log_prob(site["value"]), site["fn"].log_prob(site["value"]), equal_nan=True):
        lacks["draws"] = "the model reads x beside observing it, so that it draws no x of its own"
