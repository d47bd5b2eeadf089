"""Mathematics as MathML, which browsers show themselves: no script, no network, and the colours of the page."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

FUNCTION = re.compile(r"<mi>(log|exp|max|min)</mi>(?!<mo)")


def mathml(formula: str, display: str = "inline") -> str:
    """MathML of a TeX formula, with the small space after the name of a function that the converter leaves out."""
    return FUNCTION.sub(r'<mi>\1</mi><mspace width="0.17em" />', convert(formula, display=display))


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """A formula within a line."""
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def block(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on its own, which scrolls sideways where it is wider than the page."""
    self.body.append(f'<div class="math-block">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
