"""The precision of a step's matrix products, and the process settings that make them fast on a CPU."""

import ctypes
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Literal

import torch
from torch import fx
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

#: ``fp32``: float32 products. ``tf32``: float32 whose products may round their operands to TensorFloat-32, on CUDA.
#: ``bf16``: the networks' linear layers and convolutions take bfloat16 operands, everything else stays in float32.
Precision = Literal["fp32", "tf32", "bf16"]
#: what a run may ask for: ``auto`` takes bf16 where a product of its size is at least BF16_GAIN times as fast
AskedPrecision = Literal["auto", "fp32", "tf32", "bf16"]
BF16_GAIN = 1.25

_LAYERS = {
    F.linear,
    *(getattr(F, f"conv{d}d") for d in (1, 2, 3)),
    *(getattr(F, f"conv_transpose{d}d") for d in (1, 2, 3)),
}


class _BFloat16Layers(TorchFunctionMode):
    """Layers take bfloat16 operands and give float32.

    ``torch.autocast`` leaves a layer's result in bfloat16, so a decoder's logits, a guide's scales and all their log
    densities would have 8 bits. Here the result becomes float32 at once, and the bias is added in float32. A compiler
    fuses the casts into the next operations. The backward products are in bfloat16, like the forward products.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in _LAYERS:
            return func(*args, **kwargs)
        x, weight, *rest = args
        bias = rest.pop(0) if rest else kwargs.pop("bias", None)
        y = func(x.bfloat16(), weight.bfloat16(), None, *rest, **kwargs).to(x.dtype)
        if bias is None:
            return y
        return y + (bias if func is F.linear else bias.reshape(-1, *[1] * (weight.dim() - 2)))


def products(precision: Precision) -> AbstractContextManager:
    """In this context, the networks compute their products in this precision."""
    return _BFloat16Layers() if precision == "bf16" else nullcontext()


def bf16_gain(rows: int, columns: int, device: torch.device) -> float:
    """The time of a float32 product on this device over that of the same product in bfloat16, with its casts.

    Args:
        rows: of the left factor: images in a step times samples.
        columns: of the left factor: pixels.
    """
    x, w = torch.ones(rows, columns, device=device), torch.ones(512, columns, device=device)
    least: dict[Precision, float] = {"fp32": float("inf"), "bf16": float("inf")}
    with torch.no_grad():
        for _ in range(7):  # in turn, and the shortest of each, so that other load on the machine matters little
            for precision in least:
                start = time.perf_counter()
                with settings(precision, device), products(precision):
                    F.linear(x, w)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                least[precision] = min(least[precision], time.perf_counter() - start)
    return least["fp32"] / least["bf16"]


@cache
def onednn_is_exact() -> bool:
    """Whether oneDNN's products stay exact in float32 on this CPU, even if they may round to bfloat16.

    PyTorch uses oneDNN for float32 products (up to twice as fast on AMD) only if rounding to bfloat16 is allowed. Only
    CPUs with AMX then round; elsewhere the products stay exact. Verified by comparing three products, as in a network
    and its gradient, with float64.
    """
    if torch.cpu._is_amx_tile_supported() or not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(128, 256, generator=generator) for _ in range(2))
    with onednn(True):
        errors = [
            ((a @ b).double() - a.double() @ b.double()).abs().max()
            for a, b in [(x, w.mT), (x.mT, w), (x.mT, w.clone())]
        ]
    return bool(max(errors) < 1e-4)  # bfloat16 operands would give about 0.1


#: multiplications and additions of a product from which oneDNN's is the faster one, though its call takes 10 µs longer
LARGE_PRODUCT = 4_000_000


def prefers_onednn(graph: fx.Graph) -> bool:
    """Whether oneDNN computes a graph's float32 products on the CPU exactly, and faster than PyTorch's own library.

    It does if they have at least :data:`LARGE_PRODUCT` operations on average.
    """
    found = list(_products(graph))
    return bool(found) and sum(found) >= LARGE_PRODUCT * len(found) and onednn_is_exact()


def _products(graph: fx.Graph) -> Iterable[int]:
    """The operations of each float32 product on the CPU."""
    aten = torch.ops.aten
    for node in graph.nodes:
        if node.target in (aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default):
            a, b = (each.meta["val"] for each in node.args[-2:])
            if a.device.type == "cpu" and a.dtype is torch.float32:
                yield 2 * a.numel() * b.shape[-1]


@contextmanager
def onednn(use: bool) -> Iterator[None]:
    """In this context, oneDNN computes the CPU's float32 products if ``use``; then the old setting returns."""
    if not use:
        yield
        return
    setting: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    old = setting.fp32_precision
    setting.fp32_precision = "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = old


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """In this context, CUDA's float32 products and convolutions may round to TensorFloat-32 only if ``allowed``.

    By default PyTorch allows it for convolutions but not for products.
    """
    settings: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    old = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        for setting, value in zip(settings, old, strict=True):
            setting.fp32_precision = value


def exact(device: torch.device) -> AbstractContextManager:
    """In this context, CUDA's products and convolutions are exact in float32; for measurements outside a step."""
    return tf32(False) if device.type == "cuda" else nullcontext()


def settings(precision: Precision, device: torch.device, captured: bool = False) -> AbstractContextManager:
    """The process settings for steps in ``precision`` on ``device``.

    Args:
        captured: the steps are those of a graph, which chooses the library of its products on the CPU itself.

    Raises:
        ValueError: if ``precision`` is tf32 and the device is not CUDA.
    """
    if device.type == "cuda":
        return tf32(precision == "tf32")
    if precision == "tf32":
        raise ValueError(f"precision tf32 needs a CUDA device; the parameters are on {device.type}")
    return onednn(not captured and device.type == "cpu" and onednn_is_exact())


@cache
def keep_pages() -> bool:
    """Let glibc keep freed memory for the next step; returns whether it does.

    Each step frees and allocates arrays of some megabytes. By default glibc returns such blocks to the system, and
    every new block costs page faults. Higher thresholds (32 MiB for mapped blocks, 1 GiB at the end of the heap) keep
    the blocks. The setting holds until the process ends; without glibc this function does nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    return mallopt is not None and bool(mallopt(mmap_threshold, 32 << 20) and mallopt(trim_threshold, 1 << 30))
