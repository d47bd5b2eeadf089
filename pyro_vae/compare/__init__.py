"""Compare: guides x seeds, trained, measured, and put into one report.

    python -m pyro_vae.compare --guides MeanField,IAF,NSF --seeds 5 --data digits --out comparisons/digits

``grid`` makes runs of the command line, ``work`` does one of them, ``processes`` and ``cluster`` do them all,
``results``, ``statistics`` and ``analysis`` say what was found, ``record``, ``pictures`` and ``report`` write it down.
"""
