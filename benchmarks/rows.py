"""The rows of :mod:`benchmarks.speed`, in the order of its tables."""

from benchmarks import ours, peers
from benchmarks.row import Row

ROWS: dict[str, type[Row]] = {
    "Pyro, as its tutorial": peers.PlainPyro,
    "PyTorch": peers.PyTorch,
    "PyTorch, tuned": peers.PyTorchTuned,
    "PyTorch, torch.compile": peers.PyTorchCompiled,
    "PyTorch, torch.compile, tuned": peers.PyTorchCompiledTuned,
    "pythae": peers.Pythae,
    "NumPyro, binarising": peers.NumPyro,
    "eager": ours.Ours,
    "captured, not compiled": ours.OursGraph,
    "compiled": ours.OursCompiled,
    "compiled, binarising": ours.OursCompiledBinarising,
    "compiled, bf16": ours.OursCompiledBf16,
    "compiled, bf16, binarising": ours.OursCompiledBf16Binarising,
    "cudagraph": ours.OursCudaGraph,
    "cudagraph, compiled": ours.OursCompiledCudaGraph,
    "cudagraph, compiled, binarising": ours.OursCompiledCudaGraphBinarising,
    "cudagraph, compiled, bf16, binarising": ours.OursCompiledCudaGraphBf16Binarising,
    "products alone, oneDNN": ours.Floor,
    "products alone, MKL": ours.FloorMKL,
}
