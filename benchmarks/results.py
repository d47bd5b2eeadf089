"""RESULTS.md: each script owns one section and replaces only that."""

import argparse
import platform
import shlex
from pathlib import Path
from typing import Any

import torch

from pyro_vae.files import read_text, write_atomic

RESULTS = Path(__file__).with_name("RESULTS.md")
#: options that change no number: where things are, and what is done with the numbers
PLACES = {"out", "records", "json", "write", "commit"}
HEAD = "# Results\n\nEvery section is written by the command that it names.\n"


def machine(threads: int | None = None) -> str:
    """The machine in words; ``threads`` are torch's by default."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        cpu = f"{len(names)} x {names[0]}" if names else cpu
    cuda = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cpu}{cuda}, {threads or torch.get_num_threads()} thread(s), torch {torch.__version__}"


def command(name: str, parser: argparse.ArgumentParser, options: argparse.Namespace, *plain: str) -> str:
    """The command of a section: all options that are not at their defaults; DIR is the folder of the data.

    Args:
        name: of the module in this package.
        plain: the arguments that stand without the name of an option, which come first.
    """
    words = [word for dest in plain for word in _words(getattr(options, dest))]
    for dest, value in vars(options).items():
        if dest in PLACES or dest in plain or value == parser.get_default(dest):
            continue
        words.append(f"--{dest.replace('_', '-')}")
        words += ["DIR"] if dest == "data_root" else [] if value is True else _words(value)
    return shlex.join(["python", "-m", f"benchmarks.{name}", *words])


def _words(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def write_section(name: str, title: str, body: str, path: Path = RESULTS) -> None:
    """Put a section into RESULTS.md: replace the one of this name, or append it."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{start}\n## {title}\n\n{body.strip()}\n{end}\n"
    text = read_text(path) if path.exists() else HEAD
    if start in text:
        before, _, rest = text.partition(start)
        text = before + section + rest.partition(f"{end}\n")[2]
    else:
        text = f"{text}\n{section}"
    write_atomic(path, text)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose first column is words and whose others are numbers."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, rule, *rows])
