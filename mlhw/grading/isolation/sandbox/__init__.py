"""The programs inside: they import NumPy and the standard library, nothing of mlhw, and know no answer.

They are loaded as a package of their own, ``sandbox``, by a Python that was started for them.
"""
