"""``index.html``: all comparisons beneath a folder, newest first, each with its verdict."""

import json
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from pyro_vae.errors import InputError
from pyro_vae.files import read_text, write_atomic


def write_index(folder: Path) -> Path:
    """Write the page; returns its path.

    Args:
        folder: in which, or in whose folders, the comparisons are: folders with comparison.json and report.html.

    Raises:
        InputError: if there is no such folder, or no comparison in it.
    """
    if not folder.is_dir():
        raise InputError(f"--index {folder}: there is no such folder")
    found = sorted(path for path in folder.rglob("comparison.json") if (path.parent / "report.html").exists())
    if not found:
        raise InputError(f"--index {folder}: no comparison has a report there yet")
    newest = sorted(found, key=lambda path: -path.stat().st_mtime)
    page = files("pyro_vae.compare") / "page"
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        (page / "index.html").read_text(encoding="utf-8")
    )
    css = Markup((page / "report.css").read_text(encoding="utf-8"))
    text = template.render(
        css=css, folder=folder.resolve().name or str(folder), rows=[_row(path, folder) for path in newest]
    )
    write_atomic(folder / "index.html", text)
    return folder / "index.html"


def _row(path: Path, folder: Path) -> dict[str, Any]:
    try:
        record = json.loads(read_text(path))
        arms = [arm["name"] for arm in record["arms"]]
        failed = sum("failed" in run for run in record["runs"])
        waiting = len(record.get("waiting", []))
        return {
            "name": str(path.parent.relative_to(folder)) if path.parent != folder else folder.name,
            "link": quote((path.parent.relative_to(folder) / "report.html").as_posix()),
            "data": Path(record["data"]).name,
            "headline": record["found"][0] if record["found"] else "",
            "arms": arms,
            "seeds": len({run["seed"] for run in record["runs"]}),
            "finished": len(record["runs"]) - failed - waiting,
            "runs": len(record["runs"]),
            "waiting": waiting,
            "when": datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M"),
        }
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{path} is not the record of a comparison: {type(error).__name__} {error}") from error
