"""The origins of the tensors of a pass. A graph may hold only values that are the same at every step."""

import traceback
from collections.abc import Iterable
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_vae.engine.blame import NotStatic, blame

aten = torch.ops.aten
_LITERALS = (aten.lift_fresh.default, aten.lift_fresh_copy.default)  # what torch.tensor(2.0) makes
#: operations whose result depends only on the shape of a tensor
_BY_SHAPE = {f"aten::{name}" for name in ("new_ones", "new_zeros", "new_full", "ones_like", "zeros_like", "full_like")}
COPIES = (aten._to_copy.default, aten.copy_.default)
_INDEXING = {aten.index.Tensor: 1, aten.index_put_.default: 1, aten.index_put.default: 1}
#: operations that write running statistics although their schemas do not say so
_NORMS = (aten.native_batch_norm.default, aten.cudnn_batch_norm.default, aten.miopen_batch_norm.default)

Origin = tuple[Tensor, ...] | None  #: the outside tensors that determine a value; None if it changes with each step


class Origins(TorchDispatchMode):
    """Finds the source of every tensor of a pass: the program's text, tensors from outside, or changing values.

    The program may read a number from a tensor, or make a shape that depends on it, if the program's text or outside
    tensors determine the tensor; such outside tensors become guards of the graph. If the tensor depends on the inputs
    or on random numbers, the read is refused. Writes to outside tensors are recorded, so that :meth:`undo` can restore
    them.

    Args:
        inputs: the tensors that change between steps.
        refuse: whether to refuse; if not, only writes and devices are recorded.

    Attributes:
        guards: tensors whose values are part of the graph, with their versions.
        written: the outside tensors that the pass has written to, with their values before.
        transfers: the lines that move tensors from one kind of device to another.
        foreign: the lines where an operation on a device reads a host tensor that the text does not determine.
    """

    def __init__(self, inputs: Iterable[Tensor] = (), refuse: bool = True):
        super().__init__()
        self.refuse = refuse
        self._storages: dict[int, tuple[Any, Origin]] = {}  # keeps the storages alive, so that no address is used twice
        self._outside: dict[int, Tensor] = {}  # the first tensor seen of each outside storage
        for tensor in inputs:
            self._note(tensor, None)
        self._inputs = set(self._storages)
        self.guards: dict[int, tuple[Tensor, int]] = {}
        self.written: list[tuple[Tensor, Tensor]] = []
        self._kept: set[int] = set()
        self.transfers: list[str] = []
        self.foreign: list[str] = []

    def _note(self, tensor: Tensor, origin: Origin) -> None:
        storage = _storage(tensor)
        if storage is not None:
            self._storages[storage._cdata] = storage, origin

    def origin(self, tensor: Tensor) -> Origin:
        """The outside tensors that determine a tensor's value; None if it changes with each step."""
        storage = _storage(tensor)
        if storage is None:
            return None
        known = self._storages.get(storage._cdata)
        return (self._outside.setdefault(storage._cdata, tensor),) if known is None else known[1]

    def _made(self, tensor: Tensor) -> bool:
        storage = _storage(tensor)
        return storage is None or storage._cdata in self._storages

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.refuse and kwargs.get("generator") is not None:
            raise NotStatic("numbers are drawn from a generator of the program's own: use torch's default generator")
        given = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        fixed = func in _LITERALS or func._schema.name in _BY_SHAPE
        origin = () if fixed else self._combined(given)
        random = torch.Tag.nondeterministic_seeded in func.tags
        self._keep_written(func, args, kwargs)
        if self.refuse and func in _INDEXING:
            args = self._indices_of_masks(func, args)
        reads = torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags
        if self.refuse and reads and func is not aten.index.Tensor:
            result = self._read(func, args, kwargs, origin)
        else:
            result = func(*args, **kwargs)
        self._note_results(func, args, kwargs, result, None if random else origin)
        self._watch_devices(func, args, given, result, random)
        return result

    def _combined(self, given: list[Tensor]) -> Origin:
        found: dict[int, Tensor] = {}
        for tensor in given:
            origin = self.origin(tensor)
            if origin is None:
                return None
            found |= {id(t): t for t in origin}
        return tuple(found.values())

    def _guard(self, origin: tuple[Tensor, ...]) -> None:
        for tensor in origin:
            self.guards.setdefault(id(tensor), (tensor, tensor._version))

    def _read(self, func: Any, args: Any, kwargs: Any, origin: Origin) -> Any:
        """A number or a shape that depends on data, computed now; refused if it changes from step to step."""
        name = func._schema.name.split("::")[-1]
        if origin is None:
            if torch.Tag.dynamic_output_shape in func.tags:
                raise NotStatic(f"the shape that {func} gives depends on the data", name)
            raise NotStatic(f"a number is read from a tensor that changes from step to step ({func})", name)
        self._guard(origin)
        with disable_proxy_modes_tracing():
            return func(*args, **kwargs)

    def refuse_reading(self, tensor: Tensor, name: str) -> None:
        """Refuse a function that reads the values of a tensor that changes; another one becomes a guard.

        Raises:
            NotStatic: if the tensor changes from step to step.
        """
        origin = self.origin(tensor)
        if origin is None:
            raise NotStatic(f"numbers are read from a tensor that changes from step to step ({name})", "tolist")
        self._guard(origin)

    def _indices_of_masks(self, func: Any, args: Any) -> Any:
        """The arguments, with constant masks as integer indices; a mask that changes must not select."""
        at = _INDEXING[func]
        indices: list[Any] = []
        for index in args[at]:
            if index is None or index.dtype not in (torch.bool, torch.uint8):
                indices.append(index)
                continue
            origin = self.origin(index)
            if origin is None:
                if func is aten.index.Tensor:
                    raise NotStatic(f"the shape that {func} gives depends on the data", "index")
                return args
            self._guard(origin)
            with disable_proxy_modes_tracing():
                chosen = index.nonzero(as_tuple=True)
            for tensor in chosen:
                self._note(tensor, origin)
            indices += chosen
        return (*args[:at], indices, *args[at + 1 :])

    def _keep_written(self, func: Any, args: Any, kwargs: Any) -> None:
        for tensor in _mutated(func, args, kwargs):
            storage = _storage(tensor)
            foreign = storage is not None and (storage._cdata in self._inputs or not self._made(tensor))
            if foreign and id(tensor) not in self._kept:
                self._kept.add(id(tensor))
                self._inputs.add(storage._cdata)
                with disable_proxy_modes_tracing(), torch.no_grad():
                    self.written.append((tensor, tensor.detach().clone()))

    def _note_results(self, func: Any, args: Any, kwargs: Any, result: Any, origin: Origin) -> None:
        for tensor in _mutated(func, args, kwargs):
            if not self._made(tensor):
                self._note(tensor, None)  # a buffer, whose value changes at each step
            elif self.origin(tensor) is not None:
                self._note(tensor, origin)
        for tensor in pytree.tree_leaves(result):
            if isinstance(tensor, Tensor) and not self._made(tensor):
                if any(_storage(tensor) is not None and _same(tensor, t) for t in pytree.tree_leaves((args, kwargs))):
                    continue  # a view of a tensor from outside
                self._note(tensor, origin)

    def _watch_devices(self, func: Any, args: Any, given: list[Tensor], result: Any, random: bool) -> None:
        if func in COPIES:
            source = args[1] if func is aten.copy_.default else args[0]
            if source.device.type != result.device.type:
                self.transfers.append(blame(traceback.extract_stack()))
        if isinstance(result, Tensor) and result.device.type != "cpu":
            hosts = [t for t in given if t.device.type == "cpu"]
            if any(self.origin(t) != () for t in hosts):
                self.foreign.append(blame(traceback.extract_stack()))

    def undo(self) -> None:
        """Restore the outside tensors that the pass has written to."""
        with torch.no_grad():
            for tensor, value in reversed(self.written):
                tensor.copy_(value)


def _storage(tensor: Tensor) -> Any:
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # sparse tensors have none
        return None


def _same(tensor: Tensor, other: Any) -> bool:
    if not isinstance(other, Tensor):
        return False
    storage, its = _storage(tensor), _storage(other)
    return storage is not None and its is not None and storage._cdata == its._cdata


def _mutated(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors that an operation writes to."""
    if func in _NORMS:
        return [t for t in args[3:5] if isinstance(t, Tensor)] if len(args) > 5 and args[5] else []
    if not func._schema.is_mutable:
        return []
    found: list[Tensor] = []
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            found += [t for t in pytree.tree_leaves(value) if isinstance(t, Tensor)]
    return found
