"""Compare: guides x seeds, trained, measured, and put into one report.

    python -m pyro_vae.compare --guides MeanField,IAF,NSF --seeds 5 --data digits --out comparisons/digits

``grid`` makes runs of the command line; ``work`` does one of them, ``processes`` and ``cluster`` all of them;
``results``, ``statistics`` and ``analysis`` compute the findings; ``record``, ``pictures`` and ``report`` write them.
"""
