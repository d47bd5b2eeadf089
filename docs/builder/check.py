"""Checks of a built site: it needs no network, every link within it leads somewhere, every public name has its page."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.util.inventory import InventoryFile

from docs.builder.names import public_names

# Elements whose address the browser fetches by itself. A plain link is followed only by the reader.
FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
NOT_FETCHED = {"canonical", "next", "prev", "index", "search", "author", "license"}
IMPORTED = re.compile(r"url\(\s*['\"]?(https?://[^)'\"]+)|@import\s+['\"](https?://[^'\"]+)")


class Page(HTMLParser):
    """What a page fetches, what it links to, and the anchors that it has."""

    def __init__(self, text: str):
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        address = given.get(FETCHED.get(tag, ""), "")
        if address and given.get("rel", "") not in NOT_FETCHED:
            self.fetched.append(address)


def is_outside(address: str) -> bool:
    """Whether an address needs the network."""
    return address.startswith(("http://", "https://", "//"))


def faults_of(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    """What is wrong with one page."""
    for address in page.fetched:
        if is_outside(address):
            yield f"fetches {address}"
    for address in [*page.fetched, *page.links]:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            yield f"links to {address}, which is not there"
        elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
            yield f"links to {address}, which has no such place"


def without_a_page(site: Path) -> list[str]:
    """The public names that the site's inventory does not hold, or whose page is not there."""
    with open(site / "objects.inv", "rb") as stream:
        objects = InventoryFile.load(stream, "", lambda base, uri: uri)
    where = {name: item.uri for kind, of in objects.items() if kind.startswith("py:") for name, item in of.items()}
    names = [name.dotted for names in public_names().values() for name in names]
    return [name for name in names if name not in where or not (site / where[name].split("#")[0]).is_file()]


def faults(site: Path) -> list[str]:
    """Everything that is wrong with a built site, a line each."""
    site = site.resolve()
    own = [path for path in sorted(site.rglob("*.html")) if path.name != "report.html"]  # it makes its page by a script
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in own}
    found = [
        f"{path.relative_to(site)} {fault}" for path, page in pages.items() for fault in faults_of(path, page, pages)
    ]
    for path in sorted(site.rglob("*.css")):
        found += [f"{path.relative_to(site)} fetches {a or b}" for a, b in IMPORTED.findall(path.read_text("utf-8"))]
    return found + [f"{name} has no page" for name in without_a_page(site)]


def main(site: Path) -> int:
    found = faults(site)
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
