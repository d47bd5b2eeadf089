"""RESULTS.md: each script owns one section and replaces only that."""

import platform
from pathlib import Path

import torch

from pyro_vae.files import read_text, write_atomic

RESULTS = Path(__file__).with_name("RESULTS.md")
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
