"""What sgd-sweep claims.

A claim fails only where theory says that it has to hold, or where nearly every order of the samples
shows it. Where the order that was drawn or the rates that were given cannot show it, the claim is not
applicable, and its note says why. What excuses one comparison excuses no other.
"""

from __future__ import annotations

import numpy as np

from mlhw.experiments.sgd_sweep.audit import audit_gd
from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.experiments.sgd_sweep.excuses import (
    BOUNDARY_NOISE,
    boundary_stays,
    excuse_of,
    lead_of,
    little_noise,
    need_not_be_slower,
    noise_explains,
    noise_range,
)
from mlhw.experiments.sweeps.columns import COLUMNS_STATEMENT, judge_columns
from mlhw.experiments.sweeps.lowest import (
    LIMITS_STATEMENT,
    OPTIMUM_STATEMENT,
    SEPARATION_STATEMENT,
    judge_limits,
    judge_optimum,
    judge_separation,
    limits_off,
)
from mlhw.maths.descent import DIVERGED_FACTOR
from mlhw.result.claims import Claim, Claims, check, not_applicable

LAST_EPOCHS = 100  # over which the fluctuation is judged
EXCESS = 1e-9  # of the squared distances: they are sums of d+1 squares, each right to some ulps
GD_UPDATES = 20  # of gradient descent, worked out again

CLAIMS = Claims[Evidence]()

ONE_BATCH = "one batch is all the data: it is gradient descent, without noise"


@CLAIMS.claim(
    "as-the-formula",
    "worked out again, update by update by the textbook's formula, passes end at the recorded weights "
    "and NLLs",
)
def passes_as_the_formula(e: Evidence) -> Claim:
    """Everything that is compared is measured in what rounding may part the two by."""
    worst = {"weights": 0.0, "online NLL": 0.0, "NLL": 0.0, "NLL by GD": 0.0}
    lost = compared = 0
    where = ""
    for one in e.passes:
        lost += one.lost
        for name, apart in zip(worst, (one.weights, one.online, one.full), strict=False):
            known = apart[~np.isnan(apart)]
            compared += len(known)
            if len(known) and known.max() > worst[name]:
                worst[name] = float(known.max())
                eta = e.etas[int(np.nanargmax(apart))]
                where = f"eta {eta:g}, repeat {one.repeat}, epoch {one.epoch}"
    updates = min(len(e.gd) - 1, GD_UPDATES)
    apart, gone = audit_gd(e.problem, e.etas, e.gd, e.asked.w0, updates)
    lost += gone
    compared += int(np.sum(~np.isnan(apart)))
    worst["NLL by GD"] = float(np.max(apart[~np.isnan(apart)], initial=0.0))
    if not compared:
        return not_applicable("rounding alone moves the weights by more than can be compared")
    return check(
        max(worst.values()) <= 1.0,
        measured=worst,
        expected="at most 1",
        note="distances between the two over what rounding allows; "
        f"{len(e.passes)} passes and {updates} updates of gradient descent, {compared} comparisons"
        + (f"; {lost} left out that rounding moves by more than 1e-6" if lost else "")
        + (f"; last worst at {where}" if max(worst.values()) > 1.0 and where else ""),
    )


@CLAIMS.claim(
    "distance-law",
    "no pass ends farther from the optimum than the convexity of the NLL allows",
)
def distance_law(e: Evidence) -> Claim:
    known = ~np.isnan(e.excess)
    if not known.any():
        return not_applicable("no pass was completed")
    largest = float(e.excess[known].max())
    repeat, epoch, rate = (int(i) for i in np.argwhere(known & (e.excess == largest))[0])
    to = "the optimum" if e.problem.optimum is not None else "the smallest rate's last weights"
    return check(
        largest <= EXCESS,
        measured=largest,
        expected="at most 0",
        tolerance=EXCESS,
        note=f"squared distance to {to} at the end of a pass, above the bound, relative; the most of "
        f"{int(known.sum())} passes is at eta {e.etas[rate]:g}, repeat {repeat}, epoch {epoch}",
    )


@CLAIMS.claim("columns-as-asked", COLUMNS_STATEMENT)
def columns_for_sgd(e: Evidence) -> Claim:
    return judge_columns(e.problem)


@CLAIMS.claim("optimum-is-lowest", OPTIMUM_STATEMENT)
def optimum_for_sgd(e: Evidence) -> Claim:
    return judge_optimum(e.problem)


@CLAIMS.claim("separation-as-told", SEPARATION_STATEMENT, figure="separators")
def separation_for_sgd(e: Evidence) -> Claim:
    return judge_separation(e.problem)


@CLAIMS.claim("limits-are-curvatures", LIMITS_STATEMENT)
def limits_for_sgd(e: Evidence) -> Claim:
    return judge_limits(limits_off(e.problem, e.asked.w0))


@CLAIMS.claim(
    "stops-as-asked",
    "a rate stops at its first change below the tolerance, at divergence, or after the last epoch",
    figure="nll",
)
def epochs_end_as_asked(e: Evidence) -> Claim:
    """Each row of ``runs`` against the recorded NLLs."""
    wrong = []
    start = e.gd[0, 0]
    for run in e.runs:
        rate = e.etas.index(run["eta"])
        nll = e.nll[run["repeat"], :, rate]
        recorded = int(np.isfinite(nll).sum())
        nll = nll[:recorded]
        small = np.abs(np.diff(nll)) < e.asked.tolerance
        high = nll > DIVERGED_FACTOR * start
        inside = not small[:-1].any() and not high[:-1].any() and recorded == run["epochs"]
        last_small, last_high = bool(small[-1:].any()), bool(high[-1:].any())
        right = {
            "tolerance": last_small and not last_high,
            # One that is recorded no more was not finite.
            "diverged": last_high or (recorded < e.asked.epochs and not last_small),
            "max_epochs": recorded == e.asked.epochs and not last_small and not last_high,
        }
        if not (inside and right[run["stopped"]]):
            wrong.append(f"eta {run['eta']:g}, repeat {run['repeat']}: {run['stopped']}")
    return check(
        not wrong,
        measured=len(wrong),
        expected=0,
        note=f"of {len(e.runs)} ends" + (f"; wrong: {', '.join(wrong[:4])}" if wrong else ""),
    )


@CLAIMS.claim(
    "equal-passes",
    "the two are compared after equal passes: k updates of gradient descent, k epochs of the other",
    figure="against_gd",
)
def equal_passes(e: Evidence) -> Claim:
    wrong = sum(not _may_be_gone(e, i) for i in range(len(e.etas)))
    due = {
        (eta, k): reached
        for rate, eta in enumerate(e.etas)
        for k in (1, 10, 100, 500)
        if k <= e.asked.epochs and np.isfinite(reached := _after_passes(e, rate, k)).any()
    }
    wrong += sorted(due) != sorted((row["eta"], row["passes"]) for row in e.against)
    for row in e.against:
        sgd, gd = due.get((row["eta"], row["passes"]), (np.nan, np.nan))
        told = [np.inf if row[key] is None else row[key] for key in ("sgd_nll", "gd_nll")]
        winner = "equal" if f"{sgd:.6g}" == f"{gd:.6g}" else "sgd" if sgd < gd else "gd"
        wrong += told != [sgd, gd] or row["faster"] != winner
    return (
        check(
            wrong == 0,
            measured=wrong,
            expected=0,
            note=f"of {len(e.against)} comparisons differ from the recorded NLLs",
        )
        if e.against or wrong
        else not_applicable("there is no comparison: both diverged at every rate")
    )


def _after_passes(e: Evidence, rate: int, k: int) -> tuple[float, float]:
    """The recorded NLLs after k passes, the median over repeats and of gradient descent; infinite if gone."""
    nlls = np.where(np.isnan(e.nll[:, :, rate]), np.inf, e.nll[:, :, rate])[:, k - 1]
    for run in e.runs:
        if run["eta"] == e.etas[rate] and run["stopped"] == "tolerance" and run["epochs"] < k:
            nlls[run["repeat"]] = run["nll"]
    return float(np.median(nlls)), float(e.gd[k, rate])


def _may_be_gone(e: Evidence, rate: int) -> bool:
    """Whether gradient descent has its NLLs to the last update, or they can have ended by diverging.

    One update raises the NLL by ηR² at most, so it cannot leave float64 from a low one unless that does.
    """
    known = np.isfinite(e.gd[:, rate])
    count = int(np.argmin(known)) if not known.all() else len(known)
    if known[count:].any() or count == 0:
        return False
    last, step = e.gd[count - 1, rate], 8.0 * e.etas[rate] / e.sample_eta
    return bool(count == len(known) or last > DIVERGED_FACTOR * e.gd[0, rate] or step > 1e290)


@CLAIMS.claim(
    "not-always-faster",
    "stochastic gradient descent is not always faster than gradient descent",
    figure="against_gd",
)
def not_always_faster(e: Evidence) -> Claim:
    """A comparison counts only where stochastic descent works: it lost by noise, not by being ruined."""
    if e.batch_size == len(e.problem.X):
        return not_applicable(ONE_BATCH)
    slower = [row for row in e.against if lead_of(row) < 0]
    ruined = [row for row in slower if not noise_explains(e, row)]
    if ruined:
        return check(
            False,
            measured={
                f"eta {row['eta']:g} after {row['passes']}": row["sgd_nll"] for row in ruined[:4]
            },
            expected={
                f"eta {row['eta']:g} after {row['passes']}": f"at most {e.ceiling(row['eta']):.6g}"
                for row in ruined[:4]
            },
            note=f"in {len(ruined)} comparisons its NLL is above all that noise can bring about: it "
            "is the slower because it does not descend",
        )
    if not slower:
        reason = need_not_be_slower(e)
        if reason:
            return not_applicable(reason)
    some = ", ".join(f"eta {row['eta']:g} after {row['passes']}" for row in slower[:4])
    return check(
        len(slower) > 0,
        measured=len(slower),
        expected="at least 1",
        note=f"of {len(e.against)} comparisons gradient descent wins {len(slower)}"
        + (f": {some} passes" if some else ""),
    )


@CLAIMS.claim("keeps-fluctuating", "at the largest rate its NLL keeps fluctuating", figure="nll")
def keeps_fluctuating(e: Evidence) -> Claim:
    if len(e.etas) < 2 or e.etas[0] < 2 * e.etas[-1]:
        return not_applicable("two rates are needed, one at least twice the other")
    if e.problem.optimum is None and not boundary_stays(e):
        return not_applicable(little_noise(e))
    if e.batch_size == len(e.problem.X):
        return not_applicable(ONE_BATCH)
    if e.etas[0] <= e.sample_eta:
        return not_applicable(
            "even the largest rate is small for single samples: none exceeds 2/max L_i = "
            f"{e.sample_eta:.4g}"
        )
    if e.nll.shape[1] < 2 * LAST_EPOCHS:
        return not_applicable(f"fewer than {2 * LAST_EPOCHS} epochs")
    last = e.nll[:, -LAST_EPOCHS:, :]
    if not np.isfinite(last[:, :, [0, -1]]).all():
        return not_applicable("the largest or the smallest rate stopped before the last epochs")
    largest, smallest = (float(np.median(noise_range(last[:, :, i]))) for i in (0, -1))
    if e.batch_size > 1 and largest == 0:
        return not_applicable(
            f"the mean of {e.batch_size} samples is too little noisy at this rate"
        )
    if largest == 0 and (np.diff(last[:, :, 0], axis=1) < 0).all():
        return not_applicable("the NLL at the largest rate still falls in every epoch")
    shown = largest > 2 * smallest
    if not shown and e.problem.optimum is None:
        return not_applicable(BOUNDARY_NOISE)
    highest = float(np.median(last[:, :, 0].max(axis=1)))
    if shown and highest > e.ceiling(e.etas[0]):
        return check(
            False,
            measured={f"eta {e.etas[0]:g}": highest},
            expected=f"at most {e.ceiling(e.etas[0]):.6g}",
            note="the highest NLL of the last epochs: no noise brings a working descent there",
        )
    if not shown and e.etas[0] < 10 * e.etas[-1]:
        return not_applicable(
            "the spread grows about like the rate, and the largest is less than ten times the smallest"
        )
    return check(
        shown,
        measured={f"eta {e.etas[0]:g}": largest, f"eta {e.etas[-1]:g}": smallest},
        expected="the first above twice the second",
        note="5-95 % range of the NLL above its lowest so far, or below its highest where that is less, "
        f"over the last {LAST_EPOCHS} epochs, median over repeats",
    )


@CLAIMS.claim("faster-at-smallest", "at the smallest rate it is faster", figure="against_gd")
def faster_at_smallest(e: Evidence) -> Claim:
    """Each number of passes by itself: one that is excused leaves the others to be judged."""
    eta = e.etas[-1]
    if eta >= e.sample_eta:
        return not_applicable(
            f"no rate is small for single samples, below 2/max L_i = {e.sample_eta:.4g}"
        )
    if e.batch_size == len(e.problem.X):
        return not_applicable(ONE_BATCH)
    rows = [row for row in e.against if row["eta"] == eta]
    leads = {f"after {row['passes']}": lead_of(row) for row in rows}
    excuses = {row["passes"]: excuse_of(e, row) for row in rows if lead_of(row) <= 0}
    excused = {passes: reason for passes, reason in excuses.items() if reason}
    judged = [row for row in rows if row["passes"] not in excused]
    words = "; ".join(f"after {passes} passes {reason}" for passes, reason in excused.items())
    if not judged:
        return not_applicable(words or "both diverged", measured=leads)
    return check(
        all(lead_of(row) > 0 for row in judged),
        measured=leads,
        expected="above 0",
        note=f"NLL of gradient descent less that of stochastic descent at eta {eta:g}, by passes"
        + (f"; left out: {words}" if words else ""),
    )
