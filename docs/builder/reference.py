"""The reference: a page for every public name, written from its docstring before Sphinx reads the sources."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from docs.builder.docstrings import OWN, without_substitutions
from docs.builder.names import AREAS, Name, modules, public_names

FOLDER = Path(__file__).parent.parent / "reference" / "generated"
MEMBERS = "   :members:\n   :show-inheritance:\n"


def page(name: Name) -> str:
    """The source of the page of one name."""
    underline = "=" * len(name.name)
    options = MEMBERS if name.kind in ("class", "exception") else "   :no-value:\n" if name.kind == "data" else ""
    return (
        f"{name.name}\n{underline}\n\n"
        f"From ``{name.module}``.\n\n"
        f".. currentmodule:: {name.module}\n\n.. auto{name.kind}:: {name.dotted}\n{options}"
    )


def first_line(name: Name) -> str:
    """The first sentence of a docstring, in one line; of a value, its type in words."""
    if name.kind == "data":
        return "a value"
    paragraph = (inspect.getdoc(name.value) or "").split("\n\n")[0]
    return without_substitutions(" ".join(paragraph.split()))


def area(title: str, names: list[Name], module: str | None) -> str:
    """The source of the page of an area: what its module says, and a table of its names with their first sentences."""
    rows = "\n".join(f"   * - :py:obj:`~{name.dotted}`\n     - {first_line(name)}" for name in names)
    pages = "\n".join(f"   {name.page}" for name in names)
    said = f".. automodule:: {module}\n   :no-members:\n\n" if module else ""
    return (
        f"{title}\n{'=' * len(title)}\n\n{said}"
        f".. list-table::\n   :widths: auto\n\n{rows}\n\n"
        f".. toctree::\n   :hidden:\n\n{pages}\n"
    )


def map_of_modules(names: list[Name]) -> str:
    """The source of the page that says what each module is for, but those that have an area."""
    title = "Every module"
    taken = {name.dotted for name in names}  # a function of a package may have the name of the module that it is from
    said = [
        f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}\n   :no-members:\n"
        + ("   :no-index:\n" if module in taken else "")
        for module in modules()
        if module not in AREAS
    ]
    return f"{title}\n{'=' * len(title)}\n\nFor those who read or change the code.\n\n" + "\n".join(said)


def write(path: Path, text: str) -> None:
    """Write a page if it has changed, so that Sphinx reads it again only then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_pages(app: Sphinx) -> None:
    """Write all pages, and remove those of names that have gone."""
    areas = public_names()
    names = [name for names in areas.values() for name in names]
    module_of = {title: module for module, title in AREAS.items()}
    texts = {f"{name.page}.rst": page(name) for name in names}
    for number, (title, found) in enumerate(areas.items()):
        texts[f"area-{number:02d}.rst"] = area(title, found, module_of.get(title))
    texts["modules.rst"] = map_of_modules(names)
    for path in set(FOLDER.rglob("*.rst")) - {FOLDER / name for name in texts}:
        path.unlink()
    for name, text in texts.items():
        write(FOLDER / name, text)


def by_home() -> dict[str, str]:
    """Where a name is defined, and its short name if it is the only one: to the name that its page has."""
    names = [name for names in public_names().values() for name in names]
    known = {name.home: name.dotted for name in names if name.kind != "data"}
    short = [name.name for name in names]
    return known | {name.name: name.dotted for name in names if short.count(name.name) == 1}


def resolve(app: Sphinx, env: Any, node: nodes.Element, contents: nodes.Node) -> nodes.Node | None:
    """A reference that Sphinx does not find: to a name's module of origin, or without its module."""
    if node.get("refdomain") != "py" or app.builder.format != "html":
        return None
    target, _, member = node["reftarget"], "", ""
    known = env.homes
    if target not in known and "." in target:  # a member: its class may be known
        target, _, member = target.rpartition(".")
    if target not in known:
        return None
    dotted = f"{known[target]}.{member}" if member else known[target]
    python = env.get_domain("py")
    if dotted not in python.objects:
        return None
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", dotted, node, contents)


def unlinked(app: Sphinx, env: Any, node: nodes.Element, contents: nodes.Node) -> nodes.Node | None:
    """A class of the inside, in an annotation or as a base: it exists and has no page, so its name is no link."""
    module, _, name = str(node.get("reftarget", "")).rpartition(".")
    if node.get("reftype") != "class" or module.split(".")[0] not in OWN:
        return None
    try:
        return contents if hasattr(import_module(module), name) else None
    except ModuleNotFoundError:
        return None


def remember_homes(app: Sphinx, env: Any, docnames: list[str]) -> None:
    env.homes = by_home()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_pages)
    app.connect("env-before-read-docs", remember_homes)
    app.connect("missing-reference", resolve)
    app.connect("missing-reference", unlinked, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
