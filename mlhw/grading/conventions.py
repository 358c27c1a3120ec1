"""In which form a class writes its back-propagation: what a function is given, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlhw.maths.network import Network

if TYPE_CHECKING:
    import numpy as np

Orientation = Literal["out-in", "in-out"]
Bias = Literal["none", "first", "last", "separate"]
Samples = Literal["rows", "columns"]
Reduction = Literal["mean", "sum"]
Returns = Literal["list", "flat", "dict", "loss-and-grads"]
Loading = Literal["auto", "whole", "definitions"]


@dataclass(frozen=True)
class Conventions:
    """How a function is called and what it returns; the defaults are the course's.

    Attributes
    ----------
    orientation
        W is (outputs, inputs) or (inputs, outputs).
    bias
        Where it is among the weights: the first or last of the inputs, or a list of its own, which the
        function then gets after that of the weights. Nothing to a network without.
    samples
        None: one input is a vector, several are rows. ``rows``: (N, n) always; ``columns``: (n, N) always.
    reduction
        Of the samples' losses.
    returns
        The form that is asked for; None takes any that is clear.
    order
        Which argument comes first: w, x and t. The course's, but where another is tried.
    """

    orientation: Orientation = "out-in"
    bias: Bias = "last"
    samples: Samples | None = None
    reduction: Reduction = "mean"
    returns: Returns | None = None
    order: str = "wxt"

    def arguments(self, call: Sequence[np.ndarray], network: Network) -> list[np.ndarray]:
        """The arrays of a call in this form: weights, biases where apart, x and t.

        ``call`` has weights with the biases last, x (n_1,) or (N, n_1), and t likewise; t (N,) or () are
        labels and stay.
        """
        import numpy as np

        *weights, x, t = call
        matrices, biases = [], []
        for W in weights:
            if network.bias and self.bias == "separate":
                biases.append(W[:, -1])
                W = W[:, :-1]
            elif network.bias and self.bias == "first":
                W = np.roll(W, 1, axis=1)
            matrices.append(W.T if self.orientation == "in-out" else W)
        if self.samples is not None:
            labels = t.ndim == x.ndim - 1
            x = np.atleast_2d(x)
            t = np.atleast_1d(t) if labels else np.atleast_2d(t)
            if self.samples == "columns":
                x = x.T
                t = t if labels else t.T
                biases = [b[:, None] for b in biases]
        return [np.ascontiguousarray(a) for a in (*matrices, *biases, x, t)]

    def layout(self, network: Network) -> list[Any]:
        """Which arrays make which argument."""
        count = network.depth - 1
        apart = network.bias and self.bias == "separate"
        at = 2 * count if apart else count
        parts: dict[str, list[Any]] = {
            "w": [list(range(count)), *([list(range(count, at))] if apart else [])],
            "x": [at],
            "t": [at + 1],
        }
        return [argument for letter in self.order for argument in parts[letter]]

    def in_words(self) -> str:
        """As the arguments are written: ``(weights, x, t)``."""
        names = {"w": "weights, biases" if self.bias == "separate" else "weights"}
        return f"({', '.join(names.get(letter, letter) for letter in self.order)})"

    def matrix(
        self, got: np.ndarray, bias: np.ndarray | None, wanted: tuple[int, int]
    ) -> np.ndarray:
        """A gradient as it came, and that of its biases where apart, in the course's form.

        ``wanted`` is the shape of W, (outputs, inputs + 1 with biases). What does not fit stays as it came.
        """
        import numpy as np

        rows, columns = wanted
        if bias is not None:
            columns -= 1
        shape = (rows, columns) if self.orientation == "out-in" else (columns, rows)
        if got.ndim != 2 or got.shape not in (shape, shape[::-1]):
            # A vector for a matrix of one row or column: no number could stand elsewhere.
            if got.size == rows * columns and (min(shape) == 1 or got.squeeze().shape == shape):
                got = got.reshape(shape)
            else:
                return got
        if self.orientation == "in-out":
            got = got.T
        if bias is not None:
            if bias.size != rows or got.shape != (rows, columns):
                return got
            return np.column_stack([got, bias.reshape(rows)])
        if self.bias == "first" and got.shape == wanted:
            return np.roll(got, -1, axis=1)
        return got


COURSE = Conventions()
