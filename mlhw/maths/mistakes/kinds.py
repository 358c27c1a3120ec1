"""What a mistake is: its code, its words, and what is done differently."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

# In the order in which they are named.
CODES = (
    "transposed",
    "sign",
    "factor",
    "missing_derivative",
    "extra_derivative",
    "derivative_at_z",
    "slope_formula",
    "softmax_jacobian",
    "wrong_error",
    "wrong_layer",
    "missing_sum",
    "missing_weight",
    "gradient_for_weight",
    "updated_before_delta",
    "weight_decay",
    "activation",
    "bias_ignored",
    "bias_column",
    "bias_sum",
    "batch_mean",
    "batch_average_twice",
    "last_sample_only",
    "product_of_means",
    "accumulated",
    "order_reversed",
    "layer_missing",
)


@dataclass(frozen=True)
class Mistake:
    """What is done differently: ``kind`` of step, in which ``layer`` (0: in all), and ``how``.

    The kinds, as ``mistaken.py`` makes them:

    ==============  =========================================================================
    activation      another h in the forward pass of layer l; ``NAME/own`` keeps the right h'
    bias_ignored    no bias in the forward pass
    error           what stands for z − t in δ^(L)
    slope           h' of layer l: where it is taken, or by which formula
    delta           δ^(l) times a number
    passed          what layer l gets from the one above: its error without h'
    matrix          what stands for W^(l) in δ^(l)
    sum             which k of the sum in δ^(l) are kept
    updated         W^(l) − number · ∂E/∂W^(l) stands for W^(l) in every δ^(l)
    z, from_delta   the layer whose z or δ enters ∂E/∂W^(l); ``z`` "a": a^(l) for z^(l)
    batch           how the samples are put together
    bias            the column of the biases
    bias_factor     that column times a number
    gradient        ∂E/∂W^(l) times a number
    decay           number · W^(l) is added
    accumulated     gradients of earlier calls are added
    zero, turned    ∂E/∂W^(l) is 0; is transposed
    ==============  =========================================================================

    ``fitted``: ``how`` is a number still to be found, in which ∂E/∂W^(l) is linear; ``words`` then
    has {} where it stands. ``common``: likely enough to be tried together with a second one.
    """

    code: str
    words: str
    kind: str
    layer: int
    how: float | str = ""
    fitted: bool = False
    common: bool = False

    @property
    def step(self) -> tuple[str, int]:
        return self.kind, self.layer

    def with_number(self, number: float, words: str, code: str | None = None) -> Mistake:
        """The same once its number is known."""
        said = self.words.format(words)
        return replace(self, code=code or self.code, words=said, how=number, fitted=False)


Mistakes = tuple[Mistake, ...]

LARGEST_DENOMINATOR = 20
CLOSE = 1e-5
"""Single precision leaves a fitted number about so exact."""


def simplest(number: float) -> float:
    """The simple fraction that a fitted number is, or its six leading digits."""
    near = Fraction(number).limit_denominator(LARGEST_DENOMINATOR)
    if near and abs(number - float(near)) <= CLOSE * abs(number):
        return float(near)
    rounded = float(f"{number:.6g}")
    shorter = float(f"{number:.3g}")
    return shorter if abs(number - shorter) <= CLOSE * abs(number) else rounded


def as_fraction(number: float) -> str:
    """``2/3``, ``-0.1``, ``0.0123``: a simple fraction where it is shorter than the decimals."""
    near = Fraction(number).limit_denominator(LARGEST_DENOMINATOR)
    decimal = f"{number:.6g}"
    if near.denominator > 1 and abs(float(near) - number) <= 1e-12 and len(decimal) > 5:
        return f"{near.numerator}/{near.denominator}"
    return decimal


def multiplied(number: float, outputs: int, features: int, samples: int) -> tuple[str, str]:
    """Code and words for a gradient or δ that is ``number`` times what it should be.

    Parameters
    ----------
    outputs, features, samples
        n_L, n_1 and N: numbers that somebody may have divided by.
    """
    if number == -1:
        return "sign", "has the wrong sign"
    if samples > 1 and abs(number) == samples:
        return "batch_mean", f"is {as_fraction(number)} times too large: summed over the batch"
    if samples > 1 and number == simplest(1 / samples):
        return "batch_average_twice", f"is 1/{samples} of what it should be: averaged twice"
    known = {
        2.0: "is 2 times too large",
        0.5: "is half as large as it should be",
    }
    if number in known:
        return "factor", known[number]
    reasons = []
    if outputs > 1:
        reasons += [(2 / outputs, f"2/K for K = {outputs} outputs: the mean over the outputs")]
        reasons += [(1 / outputs, f"1/K for K = {outputs} outputs: the mean over the outputs")]
    if features > 1:
        reasons += [(1 / features, f"1/{features}, the number of features")]
    for value, why in reasons:
        if abs(number - value) <= CLOSE * value:
            return "factor", f"is {as_fraction(number)} times what it should be ({why})"
    said = f"is {as_fraction(number)} times what it should be"
    if number < 0 and abs(number) < 1:
        said += " (the update of the weights, with its learning rate and sign?)"
    elif 0 < number <= 0.1:
        said += " (a learning rate?)"
    return "factor", said
