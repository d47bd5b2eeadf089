"""The Python of the how-to pages, as a reader pastes it: a block that begins with a file's name goes into that file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ["own_guide", "own_model", "own_data", "own_metric"]


@pytest.mark.parametrize("page", PAGES)
def test_snippets_of_a_page_run(page, tmp_path):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    ran = 0
    for block in blocks:
        named = re.match(r"# (\w+\.py)", block)
        path = tmp_path / (named[1] if named else "pasted.py")
        path.write_text((path.read_text() if named and path.exists() else "") + block, encoding="utf-8")
        if not named:
            done = subprocess.run([sys.executable, path.name], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            ran += 1
    assert ran
