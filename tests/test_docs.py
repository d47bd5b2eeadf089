"""The site: every public name has a page, and the check of a built site finds what is wrong. .ci/run builds it."""

import zlib
from importlib import import_module
from pathlib import Path

import pytest

from docs.builder.names import modules, public_names

NO_SPHINX = "sphinx is not installed: pip install pyro_vae[docs]"
ROOT = Path(__file__).parent.parent


def documented() -> set[int]:
    return {id(name.value) for names in public_names().values() for name in names}


@pytest.mark.parametrize("module", [m for m in modules() if hasattr(import_module(m), "__all__")])
def test_every_public_name_has_a_page(module):
    """A package that begins to export names must be an area of the reference, or its names those of one."""
    package = import_module(module)
    titles = {name.dotted for names in public_names().values() for name in names}
    own = {name: getattr(package, name) for name in package.__all__ if not name.startswith("__")}
    known = documented()
    missing = [name for name, value in own.items() if f"{module}.{name}" not in titles and id(value) not in known]
    assert not missing, f"no page of the reference; name {module} in AREAS of docs/builder/names.py"


def test_no_two_pages_have_one_file():
    """Not even on a file system that ignores capitals."""
    pages = [name.page.lower() for names in public_names().values() for name in names]
    assert len(set(pages)) == len(pages)


def test_every_page_belongs_to_a_list_of_pages():
    """How-to pages lie beside the index, which finds them but those whose name begins with i."""
    assert [path.name for path in (ROOT / "docs").glob("i*.md")] == ["index.md"]


def test_docstrings_are_made_plain():
    docstrings = pytest.importorskip("docs.builder.docstrings", reason=NO_SPHINX)
    lines = ["Args:", "    low, high: the", "        range.", "    n: a number."]
    expected = ["Args:", "    low: the", "        range.", "    high: the", "        range.", "    n: a number."]
    assert docstrings.one_name_a_line(lines) == expected
    plain = docstrings.without_substitutions
    assert plain("E |g - E g|^2 of ``p(x|z)``") == r"E \|g - E g\|^2 of ``p(x|z)``"
    assert plain(">>> a | b") == ">>> a | b"


def inventory(names: list[str]) -> bytes:
    """A Sphinx inventory in which each name has the page index.html."""
    rows = "".join(f"{name} py:function 1 index.html -\n" for name in names)
    head = b"# Sphinx inventory version 2\n# Project: x\n# Version: 1\n# The remainder is compressed using zlib.\n"
    return head + zlib.compress(rows.encode())


def site(folder: Path, body: str, names: list[str] | None = None) -> Path:
    """A site of one page."""
    every = [name.dotted for names in public_names().values() for name in names]
    (folder / "index.html").write_text(f"<html><body id='top'>{body}</body></html>", encoding="utf-8")
    (folder / "objects.inv").write_bytes(inventory(every if names is None else names))
    return folder


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<a href='index.html#top'>up</a><a href='https://pyro.ai'>a reader may follow it</a>", None),
        ("<script src='https://cdn.example/x.js'></script>", "index.html fetches https://cdn.example/x.js"),
        ("<img src='//cdn.example/x.png'>", "index.html fetches //cdn.example/x.png"),
        ("<a href='other.html'>x</a>", "index.html links to other.html, which is not there"),
        ("<a href='#down'>x</a>", "index.html links to #down, which has no such place"),
        ("<img src='x.png'>", "index.html links to x.png, which is not there"),
    ],
)
def test_the_check_of_a_site_finds_what_is_wrong(tmp_path, body, fault):
    check = pytest.importorskip("docs.builder.check", reason=NO_SPHINX)
    assert check.faults(site(tmp_path, body)) == ([fault] if fault else [])


def test_the_check_of_a_site_finds_a_name_without_a_page(tmp_path):
    check = pytest.importorskip("docs.builder.check", reason=NO_SPHINX)
    every = [name.dotted for names in public_names().values() for name in names]
    left_out = every.pop()
    assert check.faults(site(tmp_path, "", every)) == [f"{left_out} has no page"]


def test_the_check_of_a_site_reads_style_sheets(tmp_path):
    check = pytest.importorskip("docs.builder.check", reason=NO_SPHINX)
    (tmp_path / "x.css").write_text("@import 'https://cdn.example/x.css'; a { background: url(y.png) }")
    assert check.faults(site(tmp_path, "")) == ["x.css fetches https://cdn.example/x.css"]


def test_formulas_are_mathml_without_a_script():
    mathml = pytest.importorskip("docs.builder.mathml", reason=NO_SPHINX).mathml
    assert '<mi>log</mi><mspace width="0.17em" /><mi>p</mi>' in mathml(r"\log p(x)")
    assert 'display="block"' in mathml("x", "block")


def test_the_citation_has_the_version_of_the_package():
    import yaml

    import pyro_vae

    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == pyro_vae.__version__


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_issue_templates_are_forms(path):
    import yaml

    form = yaml.safe_load(path.read_text())
    if path.stem != "config":
        assert {"name", "description", "body"} <= set(form)
        assert len({one["id"] for one in form["body"]}) == len(form["body"])


def test_a_class_of_the_inside_is_no_link_and_one_that_is_not_there_is_a_fault():
    reference = pytest.importorskip("docs.builder.reference", reason=NO_SPHINX)

    def shown(kind: str, target: str) -> object:
        return reference.unlinked(None, None, {"reftype": kind, "reftarget": target}, "text")

    assert shown("class", "pyro_vae.engine.graph.Graph") == "text"
    assert shown("class", "pyro_vae.engine.graph.Graf") is None
    assert shown("class", "pyro_vae.nowhere.Graph") is None
    assert shown("func", "pyro_vae.engine.capture.trace") is None
    assert shown("class", "torch.Tensor") is None
