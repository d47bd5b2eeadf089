"""Shows a module's parameters to Pyro without putting them into Pyro's global parameter store.

``pyro.module("guide", g)`` hands back the tensors that the store already holds under that name, without a shape
check, so the second guide of a comparison would silently not train. The models and guides here keep their own
parameters, as any ``torch.nn.Module`` does. Pyro's own ``SVI`` finds parameters through a param-only trace; such a
trace gets the parameters under a name that no other module has.
"""

import weakref

import pyro
from pyro.poutine.runtime import _PYRO_STACK
from pyro.poutine.trace_messenger import TraceMessenger
from torch import nn

_names: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
_count = 0


def announce(module: nn.Module) -> None:
    """Let ``pyro.infer.SVI`` see the parameters of ``module``; free if nothing collects parameters.

    The name given to the store is unique to this object for the life of the process, so two modules of one class,
    or a deep copy, never share tensors.
    """
    global _count
    if not any(isinstance(m, TraceMessenger) and m.param_only for m in _PYRO_STACK):
        return
    if module not in _names:
        _count += 1
        _names[module] = f"{type(module).__name__}-{_count}"
    pyro.module(_names[module], module)
