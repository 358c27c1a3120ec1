"""What the formulas and columns of lr-sweep mean, for its report."""

from __future__ import annotations

from mlhw.experiments.sweeps import problem as sweeps
from mlhw.result.result import Formula

FORMULAS = [
    *sweeps.FORMULAS,
    Formula(
        "One iteration at the learning rate η (eq. 4.91).",
        r"w \leftarrow w - \eta \nabla E(w), \quad \nabla E(w) = \frac{1}{N} \sum_n (y_n - t_n) x_n",
    ),
    Formula(
        "L bounds the curvature of E everywhere, since σ' is at most 1/4: below 2/L (monotone_eta) no "
        "step can raise E.",
        r"\eta < \frac{2}{L}, \quad L = \frac{1}{4N} \lambda_{\max}(X^\top X)",
    ),
    Formula(
        "H is the matrix of second derivatives: above this rate (critical_eta) descent cannot settle "
        "at the optimum w*. The same with H(w) is the local limit along the path.",
        r"\eta > \frac{2}{\lambda_{\max}(H(w^*))}",
    ),
]

METRICS = {
    "eta": "learning rate",
    "iteration": "updates made so far; 0 is the start",
    "nll": "mean negative log-likelihood over all points",
}
LIMITS = {
    "eta": METRICS["eta"],
    "iteration": METRICS["iteration"],
    "local_eta": "2/λmax of the second derivatives there: a rate above it can raise the NLL",
}
