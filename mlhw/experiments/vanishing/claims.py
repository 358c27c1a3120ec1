"""The claims of ``vanishing``."""

from __future__ import annotations

import math

import numpy as np

from mlhw.experiments.vanishing.evidence import Evidence
from mlhw.experiments.vanishing.rounding import CHECKED
from mlhw.experiments.vanishing.sample import SURVIVAL_WIDTHS, Profile, least_slope, slope
from mlhw.maths import survival
from mlhw.maths.random_weights import draw_weights, mean_log
from mlhw.result.claims import Claim, Claims, check, not_applicable

ENOUGH_DRAWS = 100  # for a median that is smooth enough to be judged

SATURATING = 20.0  # sigma' of it is 2e-9, where sigma' of the other layers is near 1/4

LAW_DRAWS = 20_000  # weights drawn anew
DEVIATIONS = 6.5  # beyond it a mean of so many lies once in 10^10 times

MOST_KEPT = 2**25  # gradients of one network that its quantiles are taken over

TOTAL_ERROR = 1e-6
"""The probability with which some share of zeros lies outside its band although the law holds."""

CLAIMS = Claims[Evidence]()


@CLAIMS.claim(
    "sigmoid-vanishes",
    "the sigmoid chain's median gradient falls towards the input by a steady number of decades a layer",
    figure="gradients",
)
def sigmoid_vanishes(e: Evidence) -> Claim:
    chains = [
        p
        for p in e.profiles
        if (p.network.activation, p.network.width) == ("sigmoid", 1) and not p.network.residual
    ]
    if not chains:
        return not_applicable("no plain sigmoid chain was drawn")
    p = chains[0]
    if abs(e.setting.x * e.setting.scale) > SATURATING:
        return not_applicable(
            f"the input {e.setting.x:g} saturates the first unit, and one layer takes most of the decades"
        )
    medians = p.quantiles[0]
    if p.slope is None or p.network.depth < 10 or np.isnan(medians).any():
        return not_applicable("fewer than 10 layers, or gradients that are zero in every draw")
    half = len(medians) // 2
    first, last = slope(medians[:half]), slope(medians[half:])
    assert first is not None
    assert last is not None
    fall, error = p.slope
    gap = abs(first[0] - last[0])
    allowed = 4.0 * math.hypot(first[1], last[1]) + 0.05 * abs(fall)
    least = least_slope(e.setting)
    holds = (
        medians[0] < medians[-1]
        and fall > 3.0 * error
        and gap <= allowed
        and fall >= least - 4.0 * error - 0.01
    )
    if not holds and p.drawn.draws < ENOUGH_DRAWS:
        return not_applicable(
            f"the median of {p.drawn.draws} draws is too rough; {ENOUGH_DRAWS} are enough to tell"
        )
    return check(
        holds,
        measured={
            "decades a layer": fall,
            "error": error,
            "log10 first": float(medians[0]),
            "log10 last": float(medians[-1]),
            "gap between halves": gap,
        },
        expected=f"at least {least:.4g} decades a layer, since h' <= 1/4",
        tolerance=allowed,
        note="the two halves of the chain fall equally within the tolerance",
    )


@CLAIMS.claim(
    "relu-chain-zeros",
    "a ReLU chain's gradient is zero exactly when some unit has a <= 0",
    figure="slopes",
)
def relu_chain_zeros(e: Evidence) -> Claim:
    return _exceptions(e, e.plain_relu(chains=True), "no plain ReLU chain was drawn")


@CLAIMS.claim(
    "relu-chain-product",
    "otherwise every h' is 1 and the gradient is a plain product: of a - t, z and the weights behind",
)
def relu_chain_product(e: Evidence) -> Claim:
    if e.setting.biased:
        return not_applicable("with biases z is no product of weights")
    chains = [p for p in e.plain_relu(chains=True) if p.drawn.product_error is not None]
    if not chains:
        return not_applicable("no plain ReLU chain without a dead unit was drawn")
    worst = max(chains, key=lambda p: p.drawn.product_error or 0.0)
    error = worst.drawn.product_error
    assert error is not None
    return check(
        error <= 1e-9,
        measured=error,
        expected=0,
        tolerance=1e-9,
        note=f"largest difference of log10 over all layers of "
        f"{sum(p.drawn.products for p in chains)} living draws, in {worst.network.title}",
    )


@CLAIMS.claim(
    "bipartite-zeros",
    "a wider ReLU network's gradient is zero exactly when a layer is all dead or unit 1 of layer l or "
    "l+1 is",
)
def bipartite_zeros(e: Evidence) -> Claim:
    return _exceptions(
        e, e.plain_relu(chains=False), "no plain ReLU network of several units was drawn"
    )


def _exceptions(e: Evidence, profiles: list[Profile], missing: str) -> Claim:
    if not profiles:
        return not_applicable(missing)
    settled = sum(p.drawn.settled for p in profiles)
    judged = sum((p.drawn.draws - p.drawn.settled) * (p.network.depth - 1) for p in profiles)
    if not judged:
        return not_applicable("every draw hits the target exactly, so every gradient is zero")
    return check(
        not any(p.drawn.exceptions for p in profiles),
        measured={p.network.title: p.drawn.exceptions for p in profiles},
        expected=0,
        note=f"exceptions among {judged} gradients"
        + (f"; {settled} draws that hit the target exactly are left out" if settled else "")
        + ("; with biases of the units in the layers from l on" if e.setting.biased else ""),
    )


@CLAIMS.claim(
    "zero-shares",
    "observed shares of zero gradients lie in the binomial band around theory",
    figure="zeros",
)
def zero_shares(e: Evidence) -> Claim:
    """All cells at once: each has the share 1/cells of the total error (Bonferroni)."""
    cells = [
        (p.drawn.draws, law, p.drawn.draws - int(zeros), f"{p.network.title}, layer {layer}")
        for p in e.profiles
        if p.theory
        for layer, (law, zeros) in enumerate(zip(p.theory, p.drawn.zeros, strict=True), 1)
    ]
    cells += [
        (c.draws, law, c.draws - int(zeros), f"width {c.width}, depth {depth}, layer 1")
        for c in e.curves
        for depth, law, zeros in zip(c.depths, c.theory, c.zeros, strict=True)
    ]
    # Of networks drawn as they come the share that lives, and all of those drawn alive.
    cells += [
        (
            p.drawn.draws,
            0.0 if p.network.alive else survival.log_alive(p.network.width, p.network.depth),
            p.drawn.alive,
            f"{p.network.title}, alive",
        )
        for p in e.profiles
        if p.theory and p.network.plain_relu
    ]
    if not cells:
        return not_applicable(
            "no law is known for constant weights, an input of 0, or these networks"
        )
    n = np.array([cell[0] for cell in cells])
    share = np.exp([cell[1] for cell in cells])
    nonzero = np.array([cell[2] for cell in cells])
    low, high = survival.binomial_band(n, share, TOTAL_ERROR / len(cells))
    outside = (nonzero < low) | (nonzero > high)
    spread = np.sqrt(np.maximum(n * share * (1 - share), 1.0))
    worst = int(np.argmax(np.where(outside, np.inf, 1.0) * np.abs(nonzero - n * share) / spread))
    return check(
        not outside.any(),
        measured={
            "cells outside": int(outside.sum()),
            "furthest: zeros": int(n[worst] - nonzero[worst]),
        },
        expected={
            "cells outside": 0,
            "furthest: zeros": [int(n[worst] - high[worst]), int(n[worst] - low[worst])],
        },
        tolerance=TOTAL_ERROR,
        note=f"{len(cells)} shares; furthest: {cells[worst][3]}, {n[worst]} draws",
    )


@CLAIMS.claim(
    "weights-have-their-law",
    "weights drawn anew have the variance and the mean logarithm that their law says",
)
def weights_have_their_law(e: Evidence) -> Claim:
    """Normal: E w² = s², E w⁴ = 3s⁴, E log|w| = log s − (γ + log 2)/2; uniform: s²/3, s⁴/5, log s − 1."""
    kind, scale = e.setting.weights, e.setting.scale
    if kind == "constant":
        return not_applicable("constant weights have no law")
    rng = np.random.default_rng([e.setting.seed, 3])
    widths = sorted({p.network.width for p in e.profiles})
    off = {}
    for m in widths:
        w = draw_weights(rng, kind, scale, (LAW_DRAWS,), m, m) / scale
        # Glorot and Bengio: 2/(fan-in + fan-out); He et al.: 2/fan-in.
        square = {"normal": 1.0, "uniform": 1 / 3, "xavier": 1 / m, "he": 2 / m}[kind]
        fourth = 1 / 5 if kind == "uniform" else 3 * square**2
        spread = math.sqrt((fourth - square**2) / LAW_DRAWS)
        off[f"width {m}, square"] = float(abs(np.mean(w**2) - square) / spread)
        off[f"width {m}, mean"] = float(abs(np.mean(w)) / math.sqrt(square / LAW_DRAWS))
        if m == 1:
            # The variance of log|w| is π²/8 of a normal, 1 of a uniform weight.
            spread = math.sqrt((1.0 if kind == "uniform" else math.pi**2 / 8) / LAW_DRAWS)
            log = float(np.mean(np.log(np.abs(w)))) + math.log(scale)
            off["width 1, log"] = abs(log - mean_log(kind, scale)) / spread
    return check(
        max(off.values()) <= DEVIATIONS,
        measured=off,
        expected=f"at most {DEVIATIONS}",
        note=f"{LAW_DRAWS} weights each: means off their expectations, in standard deviations",
    )


@CLAIMS.claim(
    "told-as-drawn",
    "medians, with and without a - t, shares of zeros and decades a layer are those of the gradients drawn",
    figure="gradients",
)
def told_as_drawn(e: Evidence) -> Claim:
    wrong = []
    for p in e.profiles:
        logs = p.drawn.log10
        again = np.array([_ranked(row[row > -np.inf]) for row in logs]).T
        apart = _apart(p.quantiles, again)
        for at in {0, len(logs) // 2, len(logs) - 1}:
            factor = _ranked((logs[at] - p.drawn.error)[logs[at] > -np.inf])
            apart |= _apart(p.jacobian[:, at], np.array(factor))
        middle = again[0]
        zeros = np.sum(logs == -np.inf, axis=1)
        known = np.flatnonzero(np.isfinite(middle))
        whole = logs.shape[1] == p.drawn.draws
        if not whole and logs.shape[1] * len(logs) < MOST_KEPT - len(logs):
            wrong.append(f"{p.network.title}: quantiles of {logs.shape[1]} draws")
        if apart or (whole and (zeros != p.drawn.zeros).any()):
            wrong.append(p.network.title)
        elif p.drawn.draws != e.setting.draws or len(logs) != p.network.depth - 1:
            wrong.append(f"{p.network.title}: the number of draws or layers")
        elif len(known) >= 3:
            fall = float(np.polyfit(known, middle[known], 1)[0])
            told, error = p.slope or (np.nan, np.nan)
            steps = np.diff(middle[known]) / np.diff(known)
            size = max(1.0, float(np.abs(middle[known]).max()))
            walk = size * math.sqrt(1.2 * float(np.var(steps / size, ddof=1)) / len(known))
            # A slope far below what it falls from is known to the rounding of that.
            rounding = 1e-12 * size
            if not abs(error - walk) <= 1e-6 * max(1.0, walk) + rounding:
                wrong.append(f"{p.network.title}: the error of its decades")
            if not abs(told - fall) <= 1e-6 * max(1.0, abs(fall)) + rounding:
                wrong.append(f"{p.network.title}: {told:.6g} decades, not {fall:.6g}")
        kind = "chain" if p.network.width < 2 else f"bipartite-{p.network.width}"
        if p.network.name != kind + "|alive" * p.network.alive:
            wrong.append(f"{p.network.title} is no {p.network.name}")
    widths = [curve.width for curve in e.curves]
    if widths != ([1, 2, 4, 8, 16] if e.relu_drawn else []):
        wrong.append(f"survival of widths {widths}")
    for curve in e.curves:
        # Not more networks than were asked for, but 50, of 20 million weights or 2 million in a layer.
        a_layer = curve.width**2
        weights = min(2 * 10**7 // (a_layer * (e.depth - 2)), 2**21 // a_layer)
        ends = (curve.depths[0], curve.depths[-1]) == (3, e.depth)
        rising = bool((np.diff(curve.depths) > 0).all() and (np.diff(curve.zeros) >= 0).all())
        if not ends or not rising or curve.draws != max(50, min(e.setting.draws, weights)):
            wrong.append(f"survival of width {curve.width}")
    return check(
        not wrong,
        measured=len(wrong),
        expected=0,
        note=f"of {len(e.profiles)} networks" + (f"; wrong: {'; '.join(wrong)}" if wrong else ""),
    )


def _apart(told: np.ndarray, again: np.ndarray) -> bool:
    """Whether numbers, of which some may be missing, differ by more than rounding."""
    same = np.isnan(again) == np.isnan(told)
    return bool((~same | (np.abs(told - again) > 1e-9 * np.maximum(1.0, np.abs(again)))).any())


def _ranked(values: np.ndarray) -> tuple[float, float, float]:
    """Median, 5 % and 95 % quantile: between the two of the ordered values beside that rank."""
    if not len(values):
        return np.nan, np.nan, np.nan
    ordered = np.sort(values)

    def at(share: float) -> float:
        below, part = divmod(share * (len(ordered) - 1), 1.0)
        low, high = ordered[int(below)], ordered[min(int(below) + 1, len(ordered) - 1)]
        return float((1.0 - part) * low + part * high)

    return at(0.5), at(0.05), at(0.95)


@CLAIMS.claim(
    "law-by-counting",
    "the law of dead ReLUs is what counting signs gives, and the widths are the fewest",
    figure="zeros",
)
def law_by_counting(e: Evidence) -> Claim:
    """Of the 2^m patterns of signs one is all dead, and half of them have unit 1 dead."""

    def layer(m: int) -> float:
        return math.log(2**m - 1) - m * math.log(2.0)

    off, wrong = [0.0], []
    for p in e.profiles:
        kind = p.network
        # Nothing is random without random weights or an input; and sums may cancel to the last bit.
        known = kind.activation == "relu" or not kind.residual
        if (p.theory is None) == (e.setting.weights != "constant" and e.setting.x != 0 and known):
            wrong.append(f"{kind.title}: whether there is a law")
        if not p.theory or kind.activation != "relu":
            off += map(abs, p.theory or [])
            continue
        off += [abs(survival.share_zero(law) - (1.0 - math.exp(law))) for law in p.theory]
        if kind.residual:
            # Only the unit that the weight leads to can stop its gradient, and the output is none.
            due = [-math.log(2.0)] * (kind.depth - 2) + [0.0]
            off += [abs(told - law) for told, law in zip(p.theory, due, strict=True)]
            continue
        for at, told in enumerate(p.theory, 1):
            s = (2 <= at < kind.depth) + (at + 1 < kind.depth)
            if e.setting.biased:
                # Behind a dead layer the biases go on: only the layers behind l + 1 can stop a gradient.
                others = max(0, kind.depth - 2 - at)
            else:
                others = -s if kind.alive else kind.depth - 2 - s
            off.append(abs(told - (others * layer(kind.width) - s * math.log(2.0))) / kind.depth)
    for m in SURVIVAL_WIDTHS:
        told = survival.log_alive(m, e.depth)
        off.append(abs(told - (e.depth - 2) * layer(m)) / e.depth)
    for share in (0.5, 0.9, 0.99):
        m = survival.width_alive(share, e.depth)
        fewer = (e.depth - 2) * layer(m - 1) if m > 1 else -math.inf
        if (
            not fewer < math.log(share) + 1e-9
            or not (e.depth - 2) * layer(m) > math.log(share) - 1e-9
        ):
            wrong.append(f"width {m} for {share:g}")
    return check(
        max(off) <= 1e-12 and not wrong,
        measured=max(off),
        expected=0,
        tolerance=1e-12,
        note="logarithms of probabilities, for each layer of a network"
        + (f"; wrong: {', '.join(wrong)}" if wrong else ""),
    )


@CLAIMS.claim("autograd", "torch autograd gives the same gradients where float64 can hold them")
def agrees_with_torch(e: Evidence) -> Claim:
    compared = sum(p.drawn.rounding.compared for p in e.profiles)
    unheld = sum(p.drawn.rounding.unheld for p in e.profiles)
    unsure = sum(p.drawn.rounding.unsure for p in e.profiles)
    left_out = f"; {unheld} beyond float64" + (
        f"; {unsure} that rounding moves by more than 1e-11" if unsure else ""
    )
    known = [p for p in e.profiles if p.drawn.rounding.difference is not None]
    if not known:
        return not_applicable(f"no gradient could be compared{left_out}")
    worst = max(known, key=lambda p: p.drawn.rounding.difference or 0.0)
    difference = worst.drawn.rounding.difference
    assert difference is not None
    return check(
        difference <= 1e-9,
        measured=difference,
        expected=0,
        tolerance=1e-9,
        note=f"largest difference of log10 over {compared} gradients, at most {CHECKED} draws a network, in "
        f"{worst.network.title}{left_out}",
    )
