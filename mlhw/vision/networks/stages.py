"""A network cut into stages from input to output, for unfreezing it from the top down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

Stages = tuple[tuple[str, tuple[str, ...]], ...]

_FEWEST = 4
_DOMINANT = 0.9


@dataclass(frozen=True)
class _Piece:
    """A module, or a parameter or buffer that a module holds beside its child modules."""

    name: str
    size: int
    container: nn.Module | None  # the module, where it has children to be opened up into
    is_layer: bool  # a convolution, a linear layer or more; not a norm, not a bare tensor


def find_stages(network: nn.Module) -> Stages:
    """Stages of ``network``, (name, prefixes of parameter and buffer names), input first.

    Modules count in the order in which they are registered, which for image networks is the order of
    the data. The network is opened up level by level, the largest piece first, until there are four
    stages, and on as long as one piece holds over nine tenths of all weights (a transformer's stack
    of blocks). Norms and bare tensors go with the layer before them. The first stage is ``stem``.
    """
    pieces = _open("", network)
    while True:
        groups = _group(pieces)
        containers = [piece for piece in pieces if piece.container is not None]
        if not containers:
            break
        largest = max(containers, key=lambda piece: piece.size)
        is_dominant = largest.size > _DOMINANT * sum(piece.size for piece in pieces)
        if len(groups) >= _FEWEST and not is_dominant:
            break
        at = pieces.index(largest)
        assert largest.container is not None
        pieces[at : at + 1] = _open(largest.name + ".", largest.container)
    return tuple(
        ("stem" if index == 0 else group[0].name, tuple(piece.name for piece in group))
        for index, group in enumerate(groups)
    )


def _open(prefix: str, module: nn.Module) -> list[_Piece]:
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    pieces = [_Piece(prefix + name, tensor.numel(), None, False) for name, tensor in own]
    for name, child in module.named_children():
        tensors = [*child.parameters(), *child.buffers()]
        if not tensors:
            continue
        has_children = any(True for _ in child.children())
        pieces.append(
            _Piece(
                prefix + name,
                sum(tensor.numel() for tensor in tensors),
                child if has_children else None,
                any(tensor.ndim > 1 for tensor in tensors),
            )
        )
    return pieces


def _group(pieces: list[_Piece]) -> list[list[_Piece]]:
    groups: list[list[_Piece]] = []
    for piece in pieces:
        if groups and not (piece.is_layer and any(other.is_layer for other in groups[-1])):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups
