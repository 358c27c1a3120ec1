"""How much would the claims catch? Mutants of the mathematics, with the runs as the only test.

    python bench/claims.py                  # the sample of bench/results/claims.json, an hour or so
    python bench/claims.py --count 20       # what CI runs
    python bench/claims.py --module mlhw/maths/sgd.py --count 50

Each mutant (``mutants.py``) is put into a private copy of the package, and the experiments are run there
in small configurations, by the program's own entry. How it ends:

=========== ==============================================================================
caught      a claim fails
crashed     the run ends with an error, or beyond its limits of time and memory
survived    every claim holds, and a number is another than before, beyond rounding
equivalent  every claim holds and no number has moved
unreached   no configuration executes the line
=========== ==============================================================================

The score of a module is caught / (caught + survived). A mutant is run only by the configurations that
execute its line, known from one run under a tracer.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import itertools
import json
import math
import os
import py_compile
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# One thread each: these runs are small, and no thread may outlive a fork.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from mutants import Mutant, mutated, sample

ROOT = Path(__file__).parents[1]
MATHS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "mlhw" / "maths").glob("*.py"))
# The names of others' mistakes and the error of each step are told and drawn, and no statement of a run
# depends on them; ``arrays`` and ``__init__`` hold no code.
_NO_STATEMENT = {"mistakes.py", "step_errors.py", "arrays.py", "__init__.py"}
# What is drawn to be checked: another draw is as good, so that no run can tell one from another.
DRAWN = "mlhw/maths/random_networks.py"
GROUPS: dict[str, list[str]] = {
    "maths": [m for m in MATHS if Path(m).name not in _NO_STATEMENT and m != DRAWN],
    "sweeps": [
        "mlhw/experiments/lr_sweep/experiment.py",
        "mlhw/experiments/sgd_sweep/experiment.py",
        "mlhw/experiments/sgd_sweep/passes.py",
        "mlhw/experiments/sweeps/problem.py",
    ],
    "vanishing": [
        "mlhw/experiments/vanishing/kinds.py",
        "mlhw/experiments/vanishing/sample.py",
    ],
    "what is drawn": [DRAWN],
    "fine-tuning": [
        "mlhw/vision/schedules.py",
        "mlhw/vision/training/batches.py",
        "mlhw/vision/training/loop.py",
        "mlhw/vision/training/task.py",
    ],
}

SMALL = (
    "--model cifar_resnet20 --weights none --image-size 8 --val 0.45 --test 0.45 --threads 1 "
    "--precision fp32 --layout channels-last --batch-size 32"
)
WIDE = "x1,x2,x3,x4,x5,x6,label\n1,0,2,-1,.5,3,a\n0,1,-2,1,1,0,b\n2,-1,0,.3,1,1,a\n-1,1,1,2,0,1,b\n"
# Overlapping classes at steady and oscillating rates; separable ones; more features than points, and
# divergence; rates above what can settle. Then one sample at a time; batches in several orders; a start
# far off. Every activation; every kind of region; frozen and open layers, in every schedule.
CONFIGURATIONS = [
    shlex.split(line.replace("SMALL", SMALL))
    for line in """
lr-sweep --etas 0.5,0.15,0.1,0.05 --max-iterations 120
lr-sweep --data iris --classes 0,1 --standardize --etas 5,0.9,0.3 --max-iterations 80 --tolerance 1e-4 \
--w0 0.1,0.2,-0.3,0.1,0.05
lr-sweep --data wide.csv --etas 1e308,60,0.05,0.01 --max-iterations 40 --tolerance 0
lr-sweep --standardize --etas 60,5,1,0.5 --tolerance 0 --max-iterations 150
sgd-sweep --etas 0.3,0.03,0.01 --epochs 200
sgd-sweep --data iris --classes 0,1 --standardize --batch-size 7 --repeats 2 --epochs 30 --tolerance 1e-3 \
--etas 0.5,0.1,0.01
sgd-sweep --data wine --classes 0,1 --features 0,1 --etas 1e300,0.05,0.005 --epochs 12 --batch-size 4 \
--w0 1,-1,0.5
vanishing --depth 14 --draws 300
vanishing --activation tanh --width 3 --residual --weights xavier --depth 8 --draws 60
vanishing --activation gelu --weights uniform --scale 2 --depth 12 --draws 60
vanishing --activation leaky_relu --width 2 --weights he --depth 8 --draws 60
vanishing --activation softplus --weights constant --scale 0.7 --depth 9 --draws 1
backprop-check --trials 12 --max-width 5
backprop-check --layers 3,4,3 --hidden tanh --output softmax --loss cross_entropy --bias --batch 3 \
--trials 2 --max-width 4
backprop-check --layers 4,60,64,1 --hidden gelu --trials 0
softmax-regions
softmax-regions --config five.yaml
softmax-regions --fit iris --features 2,3
softmax-regions --weights "1,0;-1,0;3,0;3,0" --biases 0,1,-5,-6
finetune SMALL --epochs 4 --unfreeze-at 2 --lr 0.01 --features memory
finetune SMALL --optim sgd --lr 0.05 --clip 0.5 --schedule cosine --warmup 0.3 --best accuracy \
--epochs 3 --unfreeze-at 1 --unfreeze-stages 1 --augment flip-crop --views 2 --val-every 2 \
--features memory --hidden 16 --label-smoothing 0
finetune SMALL --schedule step --warmup 0.2 --lr 0.01 --layer-decay 0.8 --epochs 3 --unfreeze-at 0 \
--batch-norm train --features off --augment flip --patience 1
""".strip().splitlines()
]

SECONDS = 30  # of processor time, and three times that by the clock
MEMORY = 8 << 30  # of addresses; torch alone takes half
# These are sizes of rounding, which entry has the largest and how many it hides: a claim's tolerance and
# bounds judge them.
ROUNDING = re.compile(
    r"summary\.(max_relative_error|worst|unresolved|derivatives\.finite)|\.unresolved$|networks\.csv\.\d+\.(autograd|complex_step|finite_diff)"
    r"|\.log10_accuracy$"
)
RELATIVE, ABSOLUTE = 1e-9, 1e-13  # a number that moved by less has moved by rounding
SINGLE = 1e-4  # the same where layers learn in float32 and rounding is carried from step to step


@dataclass
class Run:
    """One configuration's end: exit code (None: killed), failing claims, numbers by place."""

    code: int | None
    fails: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass
class Workplace:
    """A private copy of the package in ``folder``, in which one module at a time is another."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Workplace:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "mlhw", folder / "copy" / "mlhw", ignore=ignore)
        shutil.copytree(ROOT / "configs", folder / "copy" / "configs")
        for path in (folder / "copy").rglob("*.py"):
            # Bytecode that names the hash of its source: that of a mutant never fits.
            mode = py_compile.PycInvalidationMode.CHECKED_HASH
            py_compile.compile(str(path), doraise=True, invalidation_mode=mode)
        (folder / "here").mkdir()
        (folder / "here" / "wide.csv").write_text(WIDE)
        five = ROOT / "configs" / "smoke" / "softmax-regions.yaml"
        shutil.copy(five, folder / "here" / "five.yaml")
        made = cls(folder)
        for module in itertools.chain.from_iterable(GROUPS.values()):
            made.write(module, (ROOT / module).read_text(encoding="utf-8"))
        return made

    def write(self, module: str, text: str) -> None:
        """Put this text in a module's place. The time of the file is a hash of the text.

        numba keeps machine code by a file's path, size and time; so that of one text is never taken
        for another's.
        """
        path = self.folder / "copy" / module
        path.write_text(text, encoding="utf-8")
        stamp = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
        os.utime(path, (stamp, stamp))

    def run(
        self,
        configurations: Sequence[int],
        trace: Sequence[str] = (),
        stop: Callable[[Run], bool] = lambda run: False,
    ) -> dict[int, Run]:
        """Run configurations by number in a new process; ``stop`` ends it after a run.

        ``trace`` are modules whose executed lines are noted in ``lines-N.json``.
        """
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        found: dict[int, Run] = {}
        left = list(configurations)
        while left:
            child = os.fork()
            if child == 0:
                _in_child(self.folder, left, trace)
            ended = self._wait(child, left, found, stop)
            if ended:
                break
            # The one at work took the process down: it has crashed, the others get a process of their own.
            number = left.pop(0)
            found[number] = Run(None)
            if stop(found[number]):
                break
        return found

    def _wait(
        self,
        child: int,
        left: list[int],
        found: dict[int, Run],
        stop: Callable[[Run], bool],
    ) -> bool:
        """Gather runs as they end; True when all have, or one was to stop at."""
        deadline = time.monotonic() + 3 * SECONDS
        while True:
            gone, _ = os.waitpid(child, os.WNOHANG)
            while left and (self.folder / "out" / f"run-{left[0]}.json").exists():
                number = left.pop(0)
                entry = json.loads((self.folder / "out" / f"run-{number}.json").read_text())
                found[number] = Run(entry["code"], entry["fails"], entry["numbers"])
                deadline = time.monotonic() + 3 * SECONDS
                if stop(found[number]):
                    _kill(child, gone)
                    return True
            if gone:
                return not left
            if time.monotonic() > deadline:
                _kill(child, gone)
                return False
            time.sleep(0.01)


def _kill(child: int, gone: int) -> None:
    """End a child and what it started; ``gone`` if it has been waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not gone:
        os.waitpid(child, 0)


# ------------------------------------------------------------------------------------- in the child


def preload() -> None:
    """What the runs import from elsewhere, once, so that a fork is a process with it ready."""
    for name in [
        "jinja2",
        "latex2mathml.converter",
        "numba",
        "PIL.Image",
        "pydantic",
        "scipy.optimize",
        "scipy.special",
        "scipy.stats",
        "sklearn.datasets",
        "threadpoolctl",
        "torch",
        "typer",
        "yaml",
    ]:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)


def _in_child(folder: Path, numbers: Sequence[int], trace: Sequence[str]) -> None:
    """Run configurations, each one's end in ``out/run-N.json``; never returns."""
    import resource

    try:
        os.setsid()
        if not trace:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS * len(numbers),) * 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(folder / "copy"))
        os.chdir(folder / "here")
        log = os.open(folder / "out" / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        lines: dict[str, set[int]] = {str(folder / "copy" / module): set() for module in trace}
        if trace:
            os.environ["NUMBA_DISABLE_JIT"] = "1"
            import numba.core.config

            numba.core.config.reload_config()
            sys.settrace(_tracer(lines))
        for number in numbers:
            entry = _one(folder, CONFIGURATIONS[number])
            if trace:
                reached = {module: sorted(lines[str(folder / "copy" / module)]) for module in trace}
                (folder / "out" / f"lines-{number}.json").write_text(json.dumps(reached))
                for module, known in lines.items():
                    # What an import executed counts for every configuration.
                    known.intersection_update(_at_import(Path(module)))
            part = folder / "out" / f"run-{number}.part"
            part.write_text(json.dumps(entry))
            part.rename(folder / "out" / f"run-{number}.json")
    finally:
        os._exit(0)


def _tracer(lines: dict[str, set[int]]) -> Callable[..., Any]:
    def local(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            lines[frame.f_code.co_filename].add(frame.f_lineno)
        return local

    def call(frame: Any, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename in lines else None

    return call


def _at_import(path: Path) -> set[int]:
    """Lines that stand in no function."""
    import ast

    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for statement in node.body
        for line in range(statement.lineno, (statement.end_lineno or 0) + 1)
    }
    return set(range(1, len(path.read_text().splitlines()) + 1)) - inside


def _one(folder: Path, words: Sequence[str]) -> dict[str, Any]:
    """One run by the program's own entry: its exit code, failing claims and numbers."""
    import io

    runs = folder / "out" / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        from mlhw.commands.main import main

        code = main([*words, "--runs-dir", str(runs), "--no-plots", "--json", "-q"])
    try:
        found = json.loads(text.getvalue())
    except ValueError:
        return {"code": 1, "fails": [], "numbers": {}}
    from mlhw.experiments.registry import experiment

    timing = experiment(words[0]).timing
    numbers = dict(_leaves("summary", found.get("summary", {}), timing))
    for path in sorted(Path(found["run"] or "/nowhere").glob("*.csv")):
        numbers |= _cells(path, timing)
    fails = [claim["id"] for claim in found.get("claims", []) if claim["verdict"] == "fails"]
    return {"code": code, "fails": fails, "numbers": numbers}


def _leaves(key: str, value: Any, timing: Iterable[str]) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name not in timing:
                yield from _leaves(f"{key}.{name}", part, timing)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _leaves(f"{key}.{i}", part, timing)
    else:
        yield key, value


def _cells(path: Path, timing: Iterable[str]) -> dict[str, Any]:
    """The cells of a table, numbers as numbers."""
    import csv

    found: dict[str, Any] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for n, row in enumerate(csv.DictReader(file)):
            for column, cell in row.items():
                if column not in timing:
                    try:
                        found[f"{path.name}.{n}.{column}"] = float(cell or "nan")
                    except (TypeError, ValueError):
                        found[f"{path.name}.{n}.{column}"] = cell
    return found


# ------------------------------------------------------------------------------------- judging


def moved(
    before: Mapping[str, Any], after: Mapping[str, Any], relative: float = RELATIVE
) -> str | None:
    """The first number that is another than before, beyond rounding; None without one."""
    if before.keys() != after.keys():
        return next(iter(before.keys() ^ after.keys()))
    for key, a in before.items():
        b = after[key]
        if ROUNDING.search(key):
            continue
        if isinstance(a, float) and isinstance(b, float):
            if a == b or (math.isnan(a) and math.isnan(b)):
                continue
            if abs(a - b) <= ABSOLUTE + relative * max(abs(a), abs(b)):
                continue
            return key
        if a != b:
            return key
    return None


def outcome(
    place: Workplace,
    mutant: Mutant,
    reached: Mapping[int, Mapping[str, list[int]]],
    known: Mapping[int, Run],
) -> dict[str, Any]:
    """How one mutant ends, and by what."""
    first, last = mutant.lines
    executing = [
        number
        for number, lines in reached.items()
        if any(first <= line <= last for line in lines.get(mutant.module, []))
    ]
    entry: dict[str, Any] = {"mutant": mutant.name}
    if not executing:
        return entry | {"outcome": "unreached"}
    source = (ROOT / mutant.module).read_text(encoding="utf-8")
    place.write(mutant.module, mutated(source, mutant))
    try:
        runs = place.run(executing, stop=lambda run: bool(run.fails) or run.code is None)
    finally:
        place.write(mutant.module, source)
    for number, run in runs.items():
        if run.fails:
            claim = f"{CONFIGURATIONS[number][0]}/{run.fails[0]}"
            return entry | {"outcome": "caught", "by": claim, "configuration": number}
    broken = [number for number, run in runs.items() if run.code != 0]
    if broken:
        return entry | {"outcome": "crashed", "configuration": broken[0]}
    for number, run in runs.items():
        relative = SINGLE if CONFIGURATIONS[number][0] == "finetune" else RELATIVE
        where = moved(known[number].numbers, run.numbers, relative)
        if where is not None:
            return entry | {"outcome": "survived", "moved": where, "configuration": number}
    return entry | {"outcome": "equivalent"}


def group_of(module: str) -> str:
    return next(group for group, modules in GROUPS.items() if module in modules)


def table_of(outcomes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each module, each group and all: counts, and the score."""

    def row(name: str, part: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        count = Counter(entry["outcome"] for entry in part)
        judged = count["caught"] + count["survived"]
        kinds = ("caught", "survived", "crashed", "equivalent", "unreached")
        score = count["caught"] / judged if judged else None
        return {"module": name, **{kind: count[kind] for kind in kinds}, "score": score}

    by_module: dict[str, list[Mapping[str, Any]]] = {}
    for entry in outcomes:
        by_module.setdefault(entry["mutant"].split(":")[0], []).append(entry)
    rows = [row(module, part) for module, part in sorted(by_module.items())]
    for group, modules in GROUPS.items():
        part = [entry for module in modules for entry in by_module.get(module, [])]
        if part:
            rows.append(row(group, part))
    return [*rows, row("all", outcomes)]


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as a page has it."""
    lines = ["| module | " + " | ".join(list(rows[0])[1:]) + " |", "|---" * len(rows[0]) + "|"]
    for row in rows:
        cells = [
            "" if v is None else f"{100 * v:.0f} %" if isinstance(v, float) else str(v)
            for v in row.values()
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def judge(
    mutants: Sequence[Mutant],
    log: Callable[[str], None] = print,
    numbers: Sequence[int] = range(len(CONFIGURATIONS)),
) -> list[dict[str, Any]]:
    """The outcome of each of these mutants under the configurations of these numbers."""
    modules = sorted({mutant.module for mutant in mutants})
    preload()
    with tempfile.TemporaryDirectory(prefix="mlhw-claims-") as folder:
        os.environ["NUMBA_CACHE_DIR"] = str(Path(folder) / "numba")
        place = Workplace.made(Path(folder))
        place.run(numbers, trace=modules)
        reached = {}
        for number in numbers:
            path = place.folder / "out" / f"lines-{number}.json"
            reached[number] = json.loads(path.read_text())
        known = place.run(numbers)
        for number, run in known.items():
            if run.code != 0:
                log(f"{' '.join(CONFIGURATIONS[number])}: exit {run.code}, {run.fails}")
                log((place.folder / "out" / "log.txt").read_text()[-2000:])
                raise SystemExit(1)
        found = []
        for done, mutant in enumerate(mutants, 1):
            started = time.monotonic()
            entry = outcome(place, mutant, reached, known)
            found.append(entry)
            more = entry.get("by") or entry.get("moved") or ""
            seconds = time.monotonic() - started
            log(f"{done}/{len(mutants)} {entry['outcome']} {mutant.name} {more} {seconds:.1f} s")
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=470, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", action="append", help="only this module or group; repeatable")
    parser.add_argument(
        "--again", type=Path, help="of the mutants in this .json run those anew that survived"
    )
    parser.add_argument("--out", type=Path, help="write this .json, and a .md beside it")
    asked = parser.parse_args()
    modules: list[str] = []
    for name in asked.module or GROUPS:
        modules += GROUPS.get(name, [name])
    started = time.monotonic()
    mutants = sample(ROOT, modules, asked.count, asked.seed)
    before = json.loads(asked.again.read_text())["mutants"] if asked.again else []
    known = {entry["mutant"]: entry for entry in before if entry["outcome"] != "survived"}
    new = judge([m for m in mutants if m.name not in known], lambda line: print(line, flush=True))
    whole = known | {entry["mutant"]: entry for entry in new}
    found = [whole[mutant.name] for mutant in mutants]
    rows = table_of(found)
    print(markdown(rows))
    if asked.out:
        from timing import machine

        results = {
            "command": f"python bench/claims.py --count {asked.count} --seed {asked.seed}",
            "machine": machine(),
            "minutes": round((time.monotonic() - started) / 60, 1),
            "scores": rows,
            "mutants": found,
        }
        asked.out.write_text(json.dumps(results, indent=1) + "\n")
        head = f"`{results['command']}` on {results['machine']}, {results['minutes']} minutes.\n\n"
        asked.out.with_suffix(".md").write_text(head + markdown(rows))


if __name__ == "__main__":
    main()
