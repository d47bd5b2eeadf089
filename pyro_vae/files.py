"""How files are written and read: whole or not at all, never through a link, in UTF-8 for every locale."""

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np

from pyro_vae.errors import InputError

# Systems that lack them have neither links to follow nor text modes to avoid.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_AS_IT_IS = getattr(os, "O_BINARY", 0)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace a file whole: a reader, and a kill at any moment, finds the old content or the new.

    The content goes into a new file with a random name beside it, which then replaces it; a link at ``path`` is
    replaced, not followed.

    Raises:
        OSError: if the file cannot be written; its ``filename`` is ``path``. No partial file stays.
    """
    partial = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _AS_IT_IS, 0o666)
        with open(descriptor, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise


def append_durably(path: Path, text: str) -> None:
    """Add text at the end of an existing file: on the disk when this returns, or not at all.

    A kill or a loss of power may leave a part of it, which ends without the end of a line.

    Raises:
        OSError: if it cannot be written; its ``filename`` is ``path``, and the file is as long as before.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | _NO_LINK | _AS_IT_IS)
        with open(descriptor, "ab", buffering=0) as file:
            length = os.fstat(descriptor).st_size
            try:
                rest = memoryview(text.encode("utf-8"))
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    file.truncate(length)
                raise
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as a ``.npy`` file, whole."""
    content = io.BytesIO()
    np.save(content, array)
    write_atomic(path, content.getvalue())


def append_to(path: Path) -> TextIO:
    """The file, open for text at its end; each line is written at once.

    Raises:
        InputError: if it is a link.
    """
    refuse_link(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK, 0o666)
    return open(descriptor, "a", buffering=1, encoding="utf-8")


def read_text(path: Path) -> str:
    """The text of a file, which is UTF-8.

    Raises:
        InputError: if it is no such text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text: {error}") from error


def make_folder(path: Path) -> Path:
    """The folder, made if it does not exist.

    Raises:
        InputError: if it is a link.
    """
    refuse_link(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def refuse_link(path: Path) -> None:
    """
    Raises:
        InputError: if the path is a symbolic link.
    """
    if path.is_symlink():
        raise InputError(f"{path} is a symbolic link, which is not followed here: put the file itself in its place")


def refuse_links_in(*folders: Path) -> None:
    """
    Raises:
        InputError: if something in one of the folders is a symbolic link.
    """
    for folder in folders:
        for path in _entries(folder):
            refuse_link(path)


def remove_partial(folder: Path, *names: str) -> None:
    """Remove the partial files that killed writers left of these files, or of any file of the folder.

    No other process may be writing them.
    """
    for path in _entries(folder):
        if is_partial(path) and (not names or path.name.startswith(tuple(f".{name}." for name in names))):
            path.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether this is the name of a file being written, or left by a killed writer."""
    return path.name.startswith(".") and path.suffix == ".partial"


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
