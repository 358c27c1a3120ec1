"""Faults injected into the installed program: what survives, what is lost, what nobody is told.

``make test`` runs a short, deterministic form; ``make faults`` a long one, whose figures it writes into
``bench/results/faults.json``, from where docs/reliability.md has them.
"""
