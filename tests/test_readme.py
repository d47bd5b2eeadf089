"""README's own commands and snippets, in their order, in one folder: what is pasted must work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.readme import NUMBERS, with_numbers

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

#: what is not run here, by a part of the line, and why
SKIPPED = {
    "venv .venv": "it installs the package; tests run where that is done",
    "pytest": "these are the tests",
    "source .venv/bin/activate": "the environment is that of the tests",
    "--data mnist": "it downloads MNIST",
    "# many minutes": "it takes long; the line above it measures the same run",
}
#: what makes a long line short, and what it is checked for is left as it is
SHORT = (
    (r"^(python -m pyro_vae\.svi (?!--resume|--config).*)", r"\1 --epochs 2 --final-samples 2 --engine eager"),
    (r"^(torchrun .*)", r"\1 --epochs 1 --final-samples 2 --engine eager"),
    (r"--only elbo,importance,units", r"\g<0> --images 20 --elbo-samples 5 --importance-samples 50"),
    (r"--seeds 3 --epochs 50", "--seeds 1 --epochs 1 --final-samples 2 --engine eager --measures elbo"),
    (r"^for step in range\(100\)", "for step in range(2)"),
    (r'(train_or_resume\("runs/iaf",)', r'\1 epochs=1, final_samples=2, engine="eager", quiet=True,'),
)


def blocks(text: str) -> list[tuple[str, str]]:
    """The language and the content of every fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def shortened(text: str) -> str:
    for pattern, short in SHORT:
        text = re.sub(pattern, short, text, flags=re.MULTILINE)
    return text


def commands(block: str) -> list[str]:
    """The lines of a block of bash; one that is continued is one, and comments are no part of it."""
    joined = re.sub(r" *\\\n *", " ", block)
    return [line for line in joined.splitlines() if line.strip()]


def bare(line: str) -> str:
    return line.partition("  #")[0].rstrip()


@pytest.fixture
def newcomer(tmp_path):
    """A folder, and an environment in which `python` and `pyro-vae` are those of the tests."""
    path = tmp_path / "bin"
    path.mkdir()
    for name, words in {
        "python": "",
        "pyro-vae": "-m pyro_vae",
        "torchrun": "-m torch.distributed.run",
    }.items():
        script = path / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        script.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment = {**kept, "PATH": f"{path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        if done.returncode and "torchrun" in words[-1] and TEARDOWN in done.stderr:
            shutil.rmtree(tmp_path / "runs" / "two")
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{words[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return tmp_path, run


#: what a process of gloo's says that aborts after all is done, once in some twenty runs under load
TEARDOWN = "terminate called without an active exception"


def test_the_two_commands_stand_first_and_are_two():
    language, first = blocks(README)[0]
    assert language == "bash"
    assert len(commands(first)) == 2
    assert "pyro_vae.svi" in commands(first)[0]
    assert commands(first)[1].endswith("pytest")


def test_every_command_and_snippet_of_the_readme_runs_in_order(newcomer):
    folder, run = newcomer
    done = []
    for language, block in blocks(README):
        if language == "python":
            if "class Mine(" in block:  # the text says: in a file my_guide.py
                (folder / "my_guide.py").write_text(block)
            run("python", "-c", shortened(block))
            continue
        for line in commands(block):
            if not any(part in line for part in SKIPPED):
                run("bash", "-c", bare(shortened(bare(line))))
                done.append(line)
    assert len(done) >= 10
    assert (folder / "comparisons" / "first" / "report.html").exists()
    assert (folder / "runs" / "traces.png").exists()


def test_what_is_skipped_is_in_the_readme_and_so_is_what_is_shortened():
    lines = [line for language, block in blocks(README) if language == "bash" for line in commands(block)]
    for part in SKIPPED:
        assert any(part in line for line in lines), part
    for pattern, _ in SHORT:
        assert any(re.search(pattern, text, re.MULTILINE) for _, block in blocks(README) for text in [block]), pattern


def test_lines_are_the_same_in_zsh():
    """Brackets are quoted, and nothing else there is a pattern for zsh."""
    for language, block in blocks(README):
        for line in commands(block) if language == "bash" else []:
            unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", bare(line))
            assert not set("[]*?~^") & set(unquoted), line
            if shutil.which("zsh"):
                subprocess.run(["zsh", "-n", "-c", bare(line)], check=True)


def test_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_numbers_are_those_of_the_files_of_results():
    assert with_numbers(README) == README, "insert them: python -m benchmarks.readme"


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.shown)
def test_a_wrong_number_is_replaced(number):
    match = re.search(number.shown, README)
    wrong = README[: match.start(1)] + "123.4" + README[match.end(1) :]
    assert number.inserted(wrong) == README
