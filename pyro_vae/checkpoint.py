"""A checkpoint as bytes: nested states of tensors, numbers and text, with a digest over every bit of the file.

The format is safetensors, which holds numbers and text only: reading it never runs code. Its metadata hold the version
of the format, the name of the checkpoint and the digest. Format 0, from before the digest, has only the state and can
still be read.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from pyro_vae.errors import InputError

FORMAT = 1  #: of the run folders that this version writes; it reads this one and earlier ones
_BLANK = "0" * 64  # stands for the digest while it is computed
_KEYS = {"format", "which", "digest", "state"}


def pack(state: dict[str, Any], which: str) -> bytes:
    """The file of a state: nested dictionaries and lists of tensors, numbers and text."""
    tensors: dict[str, Tensor] = {}
    about = {"format": str(FORMAT), "which": which, "digest": _BLANK, "state": json.dumps(_plain(state, tensors))}
    content = safetensors.torch.save(tensors, about)
    return content.replace(_field(_BLANK), _field(digest(content)), 1)


def unpack(content: bytes, which: str) -> tuple[dict[str, Any], str]:
    """The state in a file, and the :func:`digest` of the file.

    Raises:
        InputError: if a bit of it is another than was written, it is another checkpoint than the one asked for, or a
            newer version wrote it; the message goes on after the file's name.
    """
    try:
        tensors = safetensors.torch.load(content)
        about, known_by = _about(content), digest(content)
        if set(about) != {"state"}:
            _check(about, which, known_by)
        return _nested(json.loads(about["state"]), tensors), known_by
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is damaged and cannot be read: {' '.join(str(error).split())}") from error


def entry(path: Path, name: str) -> Any:
    """An entry of a checkpoint that holds no tensors, from the beginning of its file; its digest is not looked at.

    None where the file is damaged or has no such entry.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            length = min(int.from_bytes(start, "little"), path.stat().st_size)
            found = dict(json.loads(_about(start + file.read(length))["state"])["dict"])
        return _nested(found[name], {})
    except (OSError, OverflowError, RecursionError, ValueError, KeyError, TypeError):
        return None


def digest(content: bytes) -> str:
    """The SHA-256 of a checkpoint without its own digest: the identity of its weights."""
    about = _about(content)
    carried = about.get("digest")
    if carried is None:
        return hashlib.sha256(content).hexdigest()
    field = _field(carried)
    at = content.index(field)
    found = hashlib.sha256(memoryview(content)[:at])
    found.update(_field(_BLANK))
    found.update(memoryview(content)[at + len(field) :])
    return found.hexdigest()


def _field(value: str) -> bytes:
    return f'"digest":"{value}"'.encode()


def _about(content: bytes) -> dict[str, str]:
    """The metadata: eight bytes of length, the lowest first, then a JSON header."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def _check(about: dict[str, str], which: str, known_by: str) -> None:
    written = about.get("format", "")
    if written.isdecimal() and int(written) > FORMAT:
        raise InputError(f"is of format {written}, and this version of pyro_vae reads up to {FORMAT}: take a newer one")
    if set(about) != _KEYS or written != str(FORMAT) or known_by != about["digest"]:
        raise InputError("is damaged: it is not what was written (its digest is another one)")
    if about["which"] != which:
        raise InputError(f"is the checkpoint called {about['which']} under the name of another")


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The part of a nested state that JSON can hold; its tensors go into ``tensors`` under numbers."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # A copy: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _plain(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_plain(item, tensors) for item in value]}
    return value


def _nested(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "dict" in value:
        return {key: _nested(item, tensors) for key, item in value["dict"]}
    return [_nested(item, tensors) for item in value["list"]]
