"""Machine code that numba has made, kept for later processes: as it was written, or made anew.

numba's own cache believes its files. One that is not as it was written is then an error at every start
until somebody deletes it, or a crash within the code itself.
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
from pathlib import Path
from typing import Any

from mlhw.system import checked
from mlhw.system.files import cache_folder
from mlhw.system.provenance import package_version

_MOST_FILES = 16
"""One for each version, processor and kind of arguments."""


def folder() -> Path:
    """Where it is; it may not exist yet."""
    return cache_folder("compiled")


def keep(dispatcher: Any) -> None:
    """Let a numba function take its machine code from ``folder()``, and leave there what it compiles.

    The function may call no other compiled one. Nothing is kept where numba is told not to compile, or
    is a version whose insides are others than those known here.
    """
    if not hasattr(dispatcher, "_cache"):
        return
    try:
        from numba.core.caching import NullCache
        from numba.core.compiler import CompileResult
        from numba.core.runtime.nrt import rtsys
        from numba.core.serialize import dumps
    except ImportError:
        return

    rebuilt: Any = CompileResult._rebuild
    serialised: Any = dumps

    class KeptCode(NullCache):
        """What numba asks before it compiles for a signature, and tells afterwards."""

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            """The code for this signature; None for numba to make it."""
            try:
                # What code needs to run. All that numba can compile from, which it would load by itself,
                # takes most of a second.
                rtsys.initialize(target_context)
                content = checked.recall(_path(dispatcher.py_func, sig, target_context.codegen()))
                if content is None:
                    return None
                return rebuilt(target_context, *pickle.loads(content))
            except Exception:
                return None  # to compile takes a second or two, and is always right

        def save_overload(self, sig: Any, data: Any) -> None:
            try:
                path = _path(dispatcher.py_func, sig, data.codegen)
                content = serialised(data._reduce())
            except Exception:
                return
            checked.remember(path, content, most=_MOST_FILES)

    dispatcher._cache = KeptCode()


def _path(function: Any, sig: Any, codegen: Any) -> Path:
    """A file for these instructions, argument types, versions and processor alone.

    What becomes part of the function when it is compiled, small functions of ``mlhw``, is there as text.
    """
    code = function.__code__
    parts = (function.__globals__.get(name) for name in code.co_names)
    modules = {getattr(part, "__module__", None) or "" for part in parts}
    inlined = sorted(name for name in modules if name.startswith("mlhw."))
    made_from = (
        (code.co_code, code.co_consts, code.co_names, code.co_varnames),
        sig,
        codegen.magic_tuple(),
        (package_version("numba"), package_version("llvmlite"), sys.version),
        [
            hashlib.sha256(inspect.getsource(sys.modules[name]).encode()).digest()
            for name in inlined
        ],
    )
    name = f"{function.__module__}.{function.__name__}".removeprefix("mlhw.")
    return folder() / f"{name}-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]}"
