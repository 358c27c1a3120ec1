"""The keys of a configuration that describe a feed-forward network."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mlhw.config.model import ExperimentConfig, Option, Synonyms, comma_list
from mlhw.errors import ConfigError
from mlhw.grading.options import as_bias
from mlhw.maths.activations import ACTIVATIONS
from mlhw.maths.network import LINKS, Network
from mlhw.text.words import hint, nearest

# What PyTorch, Keras and textbooks call activations and losses.
OTHER_NAMES = (
    ("sigmoid", "logistic"),
    ("linear", "identity"),
    ("none", "identity"),
    ("mse", "half_squared_error"),
    ("squared_error", "half_squared_error"),
    ("bce", "binary_cross_entropy"),
    ("nll", "cross_entropy"),
)
MOST_WEIGHTS = 10_000_000


def _activations(value: Any) -> Any:
    """One name for all hidden layers, or a list (``tanh,relu`` on the command line)."""
    names = comma_list(value, read=str)
    if not isinstance(names, list):
        raise ValueError(f"must be an activation or a list of them (got {value})")
    for name in names:
        if not isinstance(name, str) or name not in ACTIVATIONS:
            near = nearest(str(name), list(ACTIVATIONS), dict(OTHER_NAMES))
            raise ValueError(f"must be of {', '.join(ACTIVATIONS)} (got {name}){hint(near)}")
    return names[0] if isinstance(value, str) and len(names) == 1 else names


class NetworkConfig(ExperimentConfig):
    GROUP = "Network"

    layers: Annotated[
        list[Annotated[int, Field(ge=1, le=10_000)]],
        BeforeValidator(comma_list),
        Option(metavar="LIST"),
        Field(
            min_length=2, max_length=100, description="layer sizes, from the input to the output"
        ),
    ] = [3, 2, 2, 1]
    hidden: Annotated[
        str | list[str],
        BeforeValidator(_activations),
        Option(metavar="NAME|LIST"),
        Field(description=f"hidden activation, or one a layer: {', '.join(ACTIVATIONS)}"),
    ] = "logistic"
    output: Annotated[
        Literal[
            "logistic", "tanh", "relu", "leaky_relu", "softplus", "gelu", "identity", "softmax"
        ],
        Synonyms(values=OTHER_NAMES),
        Field(description="activation of the output layer"),
    ] = "identity"
    loss: Annotated[
        Literal["half_squared_error", "binary_cross_entropy", "cross_entropy"],
        Synonyms(values=OTHER_NAMES),
        Field(description="loss; the cross-entropies need logistic and softmax outputs"),
    ] = "half_squared_error"
    bias: Annotated[
        bool | Literal["none", "first", "last", "separate"],
        BeforeValidator(as_bias),
        Option(flag=("none", "last")),
        Field(
            description="biases, the last column of every weight matrix; for submissions also the first, "
            "or separate, as a list behind that of the weights"
        ),
    ] = False
    batch: Annotated[
        int, Field(ge=1, le=10_000, description="inputs; of more than one, E is their mean loss")
    ] = 1


def network_of(config: NetworkConfig) -> Network:
    """The configured network; raises ConfigError where its parts do not fit together."""
    hidden = config.hidden
    between = len(config.layers) - 2
    names = [hidden] * between if isinstance(hidden, str) else hidden
    errors = []
    if len(names) != between:
        errors.append(f"hidden: {between} activations needed, one a hidden layer; got {len(names)}")
    link = LINKS.get(config.loss)
    if link and config.output != link:
        errors.append(f"output: the loss {config.loss} needs {link} outputs (got {config.output})")
    if config.output == "softmax" and config.layers[-1] < 2:
        errors.append("layers: softmax needs two output units at least; one is always 1")
    if sum(a * b for a, b in pairwise(config.layers)) > MOST_WEIGHTS:
        errors.append("layers: more than 10 million weights")
    if errors:
        raise ConfigError(*errors)
    return Network(
        tuple(config.layers), tuple(names), config.output, config.loss, bool(config.bias)
    )
