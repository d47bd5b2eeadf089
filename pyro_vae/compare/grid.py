"""From the words of the command line to a grid of runs.

An option given as a list makes an arm of each choice: ``--guides MeanField,IAF --latent-dim 2,10`` are four arms. A
class may carry its options: ``--guides "IAF(transforms=2),IAF(transforms=8)"``. Each arm is trained once a seed; runs
of one seed have the same data order, first decoder weights and test noise.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

from pyro_vae.config import Config
from pyro_vae.errors import InputError, nearest_names

# These options have one value for all runs, so that the runs can be compared. The value may contain commas.
SHARED = {"config", "data", "data_root", "validation", "binarize", "device", "out", "seed", "tracker"}
MOST = 10_000  #: the largest number of runs of a comparison
VARIED = set(Config.__dataclass_fields__) - SHARED


class Choice(NamedTuple):
    """One value of an option whose value is a list."""

    option: str
    value: str

    def words(self) -> list[str]:
        """The words of ``svi``'s command line: ``IAF(transforms=2)`` is two options."""
        called = re.fullmatch(r"([\w.]+)\((.*)\)", self.value)
        if not called:
            return [f"--{self.option}", self.value]
        words = [f"--{self.option}", called[1]]
        for setting in split(called[2]):
            name, equals, value = setting.partition("=")
            if not equals:
                raise InputError(f"{self.value}: write its options as NAME=VALUE, not {setting!r}")
            words += [f"--{self.option}.{name.strip()}", value.strip()]
        return words

    def label(self) -> str:
        """The name of the choice: a class or a program by its name, any other value with its option."""
        if self.option == "program":
            return self.value.rpartition(":")[2]
        if re.match(r"[A-Za-z_][\w.]*(\(.*\))?$", self.value) and "." not in self.option:
            path, bracket, rest = self.value.partition("(")
            return path.rpartition(".")[2] + bracket + rest
        return f"{self.option}={self.value}"


class Arm(NamedTuple):
    """One combination of choices.

    Attributes:
        name: unique in the grid.
        words: the command line of ``svi`` that trains it, without seed and folder.
    """

    name: str
    words: list[str]

    def folder(self, seed: int) -> str:
        """The name of the run's folder."""
        plain = re.sub(r"[^\w.=+-]+", "_", self.name).strip("_")
        return f"{plain}-seed{seed}"


@dataclass(frozen=True)
class Trial:
    """One run of the grid: an arm and a seed.

    Attributes:
        path: its run folder.
        text: its options, as YAML text that a worker reads.
        device: for training and measuring.
    """

    arm: str
    seed: int
    path: Path
    text: str
    device: str

    @property
    def name(self) -> str:
        return self.path.name


def split(text: str) -> list[str]:
    """The parts between commas outside brackets and quotation marks.

    >>> split("IAF(transforms=2, hidden_dims=[64,64]),NSF")
    ['IAF(transforms=2, hidden_dims=[64,64])', 'NSF']
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def expand(argv: Sequence[str]) -> list[Arm]:
    """The arms that a command line asks for, in its order.

    Raises:
        InputError: if an arm is repeated, a list has an empty element, an option lacks its value, or there are more
            than :data:`MOST` arms.
    """
    axes: list[list[tuple[Choice | None, list[str]]]] = []
    at = 0
    while at < len(argv):
        word, at = argv[at], at + 1
        name, equals, value = word.removeprefix("--").partition("=")
        option = "guide" if name == "guides" else name.replace("-", "_")
        if not word.startswith("--") or option.partition(".")[0] not in VARIED:
            axes.append([(None, [word])])
            continue
        if not equals:
            if at == len(argv):
                raise InputError(f"--{name} needs a value")
            value, at = argv[at], at + 1
        values = split(value)
        if "" in values and len(values) > 1:
            raise InputError(f"--{name} {value}: there is nothing between two commas")
        choices = [Choice(option, value) for value in values]
        axes.append([(choice if len(choices) > 1 or name == "guides" else None, choice.words()) for choice in choices])
    if (count := math.prod(map(len, axes))) > MOST:
        raise InputError(f"these lists make {count} arms, and a comparison has at most {MOST:,} runs")
    arms: list[Arm] = []
    taken: set[str] = set()
    for combination in product(*axes):
        chosen = [choice for choice, _ in combination if choice is not None]
        words = [word for _, part in combination for word in part]
        arms.append(Arm(", ".join(choice.label() for choice in chosen) or "run", words))
    for arm in arms:
        if arm.folder(0).lower() in taken:
            raise InputError(f"the arm {arm.name} is given twice")
        taken.add(arm.folder(0).lower())
    return arms


def svi_words(words: Sequence[str]) -> list[str]:
    """The options of ``svi`` in a command line, except seed and folder."""
    kept: list[str] = []
    keep = False
    for word in words:
        if word.startswith("--"):
            name = word[2:].partition("=")[0].partition(".")[0].replace("-", "_")
            keep = name in (VARIED | SHARED) - {"out", "seed"}
        if keep:
            kept.append(word)
    return kept


def find_arm(name: str, arms: Sequence[str]) -> str:
    """The arm of this name.

    Raises:
        InputError: if no arm has this name; it gives the nearest names.
    """
    if name in arms:
        return name
    near = nearest_names(name, arms) or list(arms)
    raise InputError(f"--baseline {name!r} is not the name of an arm: nearest {', '.join(near)}")
