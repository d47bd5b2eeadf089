"""What the cases are made of: bad values, and spoilt files."""

import io
import json
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

WORDS = [
    *("", " ", "-1", "0", "1", "2", "-0", "1e400", "nan", "inf", "-inf", "1.5", "1e-3", "1_0", "0x10", "0o7", "1e3"),
    *("99999999999999999999", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-9" * 15),
    *("true", "null", "~", "#x", "?", "-x", "--", "--x", "[]", "{}", "[1,2", "{a: 1}", "[[1]]", "&a x", "*a", "a: b"),
    *("!!python/object/apply:os.system [x]", "é", "\u202e", "a\x1b[31m", "a" * 300, "a\nb", "$\\frac$", "[bold]", "%s"),
    *("os.system", "guides.IAF", "guides", "IAF", "x.y", ".", "..", "/", "/dev/null", "a/b", "'", '"', "\\", "=", ","),
    *("collections.OrderedDict", "pyro_vae.models.VAE", "MeanField", "None", "Gaussian", "auto", "cpu", "x.npy"),
]
words = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
)
#: any value of JSON and YAML
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from(WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["class_path", "init_args", "value", "settings", "a", "tensor"]), inner),
    ),
    max_leaves=6,
)


@st.composite
def spoilt(draw: Any, content: bytes) -> bytes:
    """A file with flipped bits, cut off, with a part repeated, missing or replaced."""
    if not content:
        return draw(st.binary(max_size=40))
    at = draw(st.integers(0, len(content) - 1))
    length = draw(st.integers(1, 64))
    kind = draw(st.sampled_from(["flip", "flip", "cut", "miss", "twice", "other", "zeros", "empty"]))
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
    if kind == "other":
        return content[:at] + draw(st.binary(min_size=1, max_size=length)) + content[at + length :]
    middle = {"cut": b"", "miss": content[at + length :], "twice": content[max(0, at - length) :], "empty": b""}
    if kind == "zeros":
        return content[:at] + bytes(length) + content[at + length :]
    return b"" if kind == "empty" else content[:at] + middle[kind]


@st.composite
def changed(draw: Any, tree: Any) -> Any:
    """A nested value with one node replaced, removed, renamed or added."""
    if draw(st.integers(0, 3)) == 0 or not isinstance(tree, dict | list) or not tree:
        return draw(values)
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = draw(st.sampled_from(keys))
    kind = draw(st.sampled_from(["below", "below", "below", "remove", "add"]))
    other: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    if kind == "below":
        other[key] = draw(changed(tree[key]))
    elif kind == "remove":
        del other[key]
    elif isinstance(other, dict):
        other[draw(st.sampled_from(["a", "value", "", "x y"]))] = draw(values)
    else:
        other.append(draw(values))
    return other


DTYPES = ["<f8", "<f4", "|u1", "<u2", "|b1", "<i8", ">f4", "<c8", "|O", "<U3", "|V8", "<M8[s]", "<f2", "|S0", "<m8[ns]"]
sizes = st.sampled_from([0, 1, 2, 4, 5, 40, -1, -40, 2**31, 2**63 - 1, 2**63, 10**30, True])


def npy(header: str, body: bytes, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """The bytes of a ``.npy`` file with any header."""
    text = header.encode("latin1", "replace")
    count = len(text) if length is None else length
    width = "<H" if version[0] == 1 else "<I"
    return b"\x93NUMPY" + bytes(version) + struct.pack(width, count % 2 ** (8 * struct.calcsize(width))) + text + body


@st.composite
def headers(draw: Any) -> bytes:
    """A ``.npy`` file whose header says anything."""
    shape = tuple(draw(st.lists(sizes, max_size=5)))
    about = {"descr": draw(st.sampled_from(DTYPES)), "fortran_order": draw(st.sampled_from([True, False, 3]))}
    header = repr({**about, "shape": draw(st.sampled_from([shape, list(shape), 3]))}) + " " * 20 + "\n"
    length = draw(st.sampled_from([None, None, None, 0, 2**32 - 1]))
    version = draw(st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]))
    return npy(header, draw(st.binary(max_size=200)), version, length)


def array_bytes(shape: tuple[int, ...] = (40, 4, 4), dtype: str = "<f4") -> bytes:
    """A good ``.npy`` file."""
    file = io.BytesIO()
    x = np.random.default_rng(0).random(shape)
    np.save(
        file,
        (x * 255).astype(dtype) if dtype.endswith(("u1", "u2")) else (x > 0.5 if "b" in dtype else x).astype(dtype),
    )
    return file.getvalue()


@st.composite
def zips(draw: Any) -> bytes:
    """A ``.npz`` file with any members."""
    file = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(file, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive,
    ):
        warnings.simplefilter("ignore")  # of names that come twice
        for name in draw(
            st.lists(st.sampled_from(["x", "y", "x_train", "x_test", "y_train", "images", "é"]), max_size=4)
        ):
            good = st.sampled_from([array_bytes(), array_bytes((40,), "|u1"), array_bytes((40, 4, 4), "|u1")])
            member = draw(st.one_of(good, headers(), st.binary(max_size=30), good.flatmap(spoilt)))
            archive.writestr(draw(st.sampled_from([f"{name}.npy", f"{name}.npy", name, f"../{name}.npy"])), member)
    content = bytearray(file.getvalue())
    if draw(st.integers(0, 3)) == 0:  # encrypted, or packed in an unknown way: flags and method of every member
        field, value = draw(st.sampled_from([(6, 1), (8, 99), (8, 9), (6, 0x800)]))
        for mark, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
            at = content.find(mark)
            while at >= 0:
                struct.pack_into("<H", content, at + field + shift, value)
                at = content.find(mark, at + 4)
    return draw(st.one_of(st.just(bytes(content)), spoilt(bytes(content))))


def png(size: tuple[int, int], kind: int = 0, depth: int = 8, body: bytes | None = None, more: bytes = b"") -> bytes:
    """A PNG with any size in its header."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(bytes([0, *([i] * size[0])]) for i in range(min(size[1], 64))) if body is None else body
    head = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def picture_bytes(kind: str, mode: str = "L", size: tuple[int, int] = (4, 4)) -> bytes:
    """A good picture."""
    from PIL import Image

    file = io.BytesIO()
    x = np.random.default_rng(0).integers(0, 255, (size[1], size[0], len(mode)), dtype=np.uint8)
    Image.fromarray(x[..., 0] if mode == "L" else x, mode).save(file, kind)
    return file.getvalue()


@st.composite
def pictures(draw: Any) -> bytes:
    """A picture file: good, spoilt, of any size, or something else."""
    kind, mode = draw(
        st.sampled_from([("png", "L"), ("png", "RGBA"), ("jpeg", "L"), ("gif", "L"), ("tiff", "RGB"), ("bmp", "L")])
    )
    good = picture_bytes(kind, mode, draw(st.sampled_from([(4, 4), (4, 4), (1, 1), (5, 4)])))
    side = st.sampled_from([0, 1, 4, 20_000, 30_000, 2**31 - 1])
    huge = st.tuples(st.tuples(side, side), st.sampled_from([0, 2, 3, 4, 6, 9]), st.sampled_from([1, 8, 16, 3]))
    return draw(
        st.one_of(st.just(good), spoilt(good), huge.map(lambda a: png(*a, body=bytes(20))), st.binary(max_size=50))
    )


def spoil_json(draw: Any, path: Path) -> None:
    """Change a node of a JSON file."""
    tree = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(draw(changed(tree))), encoding="utf-8")
