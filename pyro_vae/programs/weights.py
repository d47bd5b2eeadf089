"""The parameters of a pair of Pyro programs, apart from Pyro's global store.

Two pairs that give the same names to their parameters (``pyro.module("decoder", ...)`` in each) would otherwise share
them: the store hands back the tensors of the first.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyro
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

Program = Callable[..., Any]  #: a Pyro model or guide: a function, a bound method, a module


def modules_of(program: Program) -> list[nn.Module]:
    """The torch modules that a program is, belongs to, or names in its closure and its global variables."""
    owner = program if isinstance(program, nn.Module) else getattr(program, "__self__", None)
    if isinstance(owner, nn.Module):
        return [owner]
    try:
        names = inspect.getclosurevars(program)
    except TypeError:  # an object with __call__
        return [value for value in vars(program).values() if isinstance(value, nn.Module)]
    found = [value for value in (*names.nonlocals.values(), *names.globals.values()) if isinstance(value, nn.Module)]
    owned = vars(owner).values() if hasattr(owner, "__dict__") else ()
    return found + [value for value in owned if isinstance(value, nn.Module)]


class _Own(Messenger):
    """Keeps statements of parameters within the pair: a module's parameter is itself, whatever the store has."""

    def __init__(self, seen: dict[str, Tensor]):
        super().__init__()
        self.seen = seen

    def _pyro_param(self, msg: Any) -> None:
        given = msg["args"][1] if len(msg["args"]) > 1 else None
        msg["stop"] = True
        if isinstance(given, nn.Parameter):
            msg["value"], msg["done"] = given, True
            self.seen[msg["name"]] = given

    def _pyro_post_param(self, msg: Any) -> None:
        if msg["name"] not in self.seen:
            store: Any = pyro.get_param_store()
            self.seen[msg["name"]] = store._params[msg["name"]]


class Weights:
    """The weights of one pair: those of its modules, and those of its ``pyro.param`` statements as they are now.

    Attributes:
        modules: of both programs, each once.
        store: the state of a parameter store that only this pair sees.
    """

    def __init__(self, model: Program, guide: Program):
        found = [*modules_of(model), *modules_of(guide)]
        self.modules = list({id(module): module for module in found}.values())
        state: Any = pyro.get_param_store().get_state()
        self.store: dict[str, dict[str, Any]] = {name: dict(part) for name, part in state.items()}

    @contextmanager
    def active(self, training: bool) -> Iterator[dict[str, Tensor]]:
        """In this context the parameters are the pair's own, and its modules in this mode.

        Yields:
            the unconstrained parameters by name, as statements name them.
        """
        turned = [part for module in self.modules for part in module.modules() if part.training is not training]
        for part in turned:
            part.training = training
        seen: dict[str, Tensor] = {}
        try:
            if self.store["params"]:
                state: Any = self.store
                with pyro.get_param_store().scope(state), _Own(seen):
                    yield seen
            else:
                with _Own(seen):
                    yield seen
        finally:
            for part in turned:
                part.training = not training

    @contextmanager
    def first(self) -> Iterator[dict[str, Tensor]]:
        """The first pass, in evaluation mode, which makes what ``pyro.param`` statements begin with."""
        state: Any = self.store
        with pyro.get_param_store().scope(state), self.active(training=False) as seen:
            yield seen

    def keep(self, names: set[str]) -> None:
        """Keep the store's parameters of these names, copies that a torch module can have."""
        params = {name: value for name, value in self.store["params"].items() if name in names}
        own = {
            name: value if isinstance(value, nn.Parameter) else nn.Parameter(value.detach().clone())
            for name, value in params.items()
        }
        constraints = {name: value for name, value in self.store["constraints"].items() if name in own}
        self.store = {"params": own, "constraints": constraints}
