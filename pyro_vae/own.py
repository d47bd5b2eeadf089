"""The user's own classes: those that this user named on a command line or in Python, and their files.

A file may name them again (:mod:`pyro_vae.trust`). The record has the class path, the file of its module and the digest
of that file. It is in this user's cache, never in a run folder: a module of the same name in a folder from somebody
else is not the user's own. Nothing here imports a module.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pyro_vae.user_cache import cache_folder, read_own, write_own

Known = Literal["own", "changed", "unknown"]


class Origin(NamedTuple):
    """The file of a class path's module (empty if there is none) and that file's digest, as text."""

    file: str
    digest: str


_here: dict[str, Origin] = {}  # of this process, which may lack a cache


def origin_of(name: str) -> Origin:
    """The file that an import of this class path would run last, found without importing anything."""
    file, folders, parts = "", None, name.split(".")
    for count in range(1, len(parts)):
        module = ".".join(parts[:count])
        loaded = sys.modules.get(module)
        if loaded is not None:
            found, folders = getattr(loaded, "__file__", None), getattr(loaded, "__path__", None)
        else:
            spec = _spec(module, folders)
            if spec is None:
                break
            found, folders = spec.origin, spec.submodule_search_locations
        file = os.path.realpath(found) if found and os.path.exists(found) else found or ""
        if folders is None:
            break
    try:
        return Origin(file, hashlib.sha256(Path(file).read_bytes()).hexdigest()) if file else Origin("", "")
    except OSError:  # built into Python, or in an archive
        return Origin(file, "")


def _spec(module: str, folders: Any) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(module, folders) if find else None
        if spec is not None:
            return spec
    return None


def remember(names: Iterable[str], lasting: bool = True) -> None:
    """Remember these class paths, with their present modules, as the user's own.

    Args:
        names: class paths.
        lasting: for this user; otherwise for this process only.
    """
    for name in names:
        origin = origin_of(name)
        _here[name] = origin
        # Code typed into Python has no file for a later process.
        if lasting and not (name.startswith("__main__.") and not origin.file):
            _keep(name, origin)


def known(name: str) -> Known:
    """Whether a class path is the user's own, was so before its module's file changed, or neither."""
    origin = origin_of(name)
    if name in _here and _here[name].file == origin.file and name.rpartition(".")[0] in sys.modules:
        return "own"  # the code is loaded already, even if its file has changed
    saved = [kept for kept in (_here.get(name), _kept(name, origin.file)) if kept is not None]
    if origin in saved:
        return "own"
    return "changed" if any(kept.file == origin.file for kept in saved) else "unknown"


def remember_folder(path: Path) -> None:
    """Allow files to name this folder as the one of their data."""
    _keep("data_root", Origin(str(path.resolve()), ""))


def knows_folder(path: Path) -> bool:
    """Whether the user has named this folder as one of data."""
    return _kept("data_root", str(path.resolve())) is not None


def _record(name: str, file: str) -> Path:
    return cache_folder() / "own" / f"{hashlib.sha256(f'{name}|{file}'.encode()).hexdigest()}.json"


def _kept(name: str, file: str) -> Origin | None:
    """The record in this user's cache; ignored if somebody else could have written it."""
    try:
        found = read_own(_record(name, file), 100_000)
        content = json.loads(found or b"null")
    except (RuntimeError, ValueError):  # no home, or damaged
        return None
    if not isinstance(content, dict) or (content.get("name"), content.get("file")) != (name, file):
        return None
    return Origin(file, str(content.get("digest")))


def _keep(name: str, origin: Origin) -> None:
    """Without a writable home only this process remembers it."""
    content = json.dumps({"name": name, **origin._asdict()}).encode()
    with suppress(RuntimeError):  # no home
        write_own(_record(name, origin.file), lambda file: file.write(content))
