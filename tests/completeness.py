"""The tables of tests name every class that is found."""

from collections.abc import Iterable


def missing_lines(found: Iterable[str], tested: Iterable[str], table: str) -> str:
    """The lines that a table of tests has not, to be copied; empty where it names every class that is found.

    >>> print(missing_lines(["Bernoulli", "Poisson"], ["Bernoulli"], "LIKELIHOODS"))
    add to LIKELIHOODS: "Poisson": Poisson,
    """
    return "\n".join(f'add to {table}: "{name}": {name},' for name in sorted(set(found) - set(tested)))
