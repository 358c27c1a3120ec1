"""For every claim of every experiment, a way to make it fail.

``tests/tampering/<module>.py`` has ``COMMAND``, the options of a run of a few seconds in which all
these claims hold, and ``TAMPERINGS``: for each claim's id a function that takes pytest's
``monkeypatch`` and falsifies data or a formula. ``tests/test_claims.py`` runs them all. A claim that
needs other options has them in ``COMMANDS[id]``.
"""
