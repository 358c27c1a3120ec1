"""The mathematics of a finetune for its report, as its configuration has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlhw.result.result import Formula

if TYPE_CHECKING:
    from mlhw.experiments.finetune.experiment import Config


def formulas(config: Config) -> list[Formula]:
    """The model, what is minimised, one step of the optimizer, and which model is kept."""
    smoothing = config.optim.label_smoothing
    targets = r"q_k(n) = \begin{cases} 1 & k = t_n \\ 0 & k \neq t_n \end{cases}"
    if smoothing:
        targets = r"q_k(n) = (1 - \varepsilon) \, [k = t_n] + \frac{\varepsilon}{K}"
    smoothed = ""
    if smoothing:
        smoothed = (
            f" With label smoothing ε = {smoothing:g} (Szegedy et al. 2015); the tables hold the one "
            "without."
        )
    steps = {
        "adamw": Formula(
            "One step of AdamW (Loshchilov and Hutter 2019): g is the gradient of a batch's E, m and v "
            "its running mean and mean square, hats their correction for the start, η the rate of the "
            "schedule, λ the weight decay.",
            r"w \leftarrow w - \eta \left( \frac{\hat{m}}{\sqrt{\hat{v}} + 10^{-8}} + \lambda w \right), "
            r"\quad m \leftarrow 0.9 \, m + 0.1 \, g, \quad v \leftarrow 0.999 \, v + 0.001 \, g^2",
        ),
        "sgd": Formula(
            "One step of gradient descent with momentum μ: g is the gradient of a batch's E, η the rate "
            "of the schedule, λ the weight decay.",
            r"v \leftarrow \mu v + g + \lambda w, \quad w \leftarrow w - \eta "
            + (r"(g + \lambda w + \mu v)" if config.optim.nesterov else "v"),
        ),
    }
    return [
        Formula(
            "The model: φ(x) are the backbone's features of the image x, a the logits that the head "
            "makes of them, p the probabilities of the K classes.",
            r"a(x) = \text{head}(\varphi(x)), \quad p_k(x) = \frac{e^{a_k(x)}}{\sum_j e^{a_j(x)}}",
        ),
        Formula(
            "What training minimises: the cross-entropy over the N training images, t their classes "
            f"(Bishop, PRML, eq. 4.108).{smoothed}",
            r"E = -\frac{1}{N} \sum_n \sum_k q_k(n) \ln p_k(x_n), \quad " + targets,
        ),
        steps[config.optim.name],
        Formula(
            "The model that is kept is the one of the best validation; it alone is tested.",
            r"e^* = \text{arg} \min_e E_{\text{val}}(w_e)"
            if config.best == "loss"
            else r"e^* = \text{arg} \max_e \text{accuracy}_{\text{val}}(w_e)",
        ),
    ]
