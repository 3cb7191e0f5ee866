"""Who follows a computation: autograd, ``torch.compile``, ``torch.export``.

Networks and front ends have quick ways on processors that write in place, go segment by segment or
use tables derived from weights. Whoever follows gets the plain way, which gives the same numbers to
rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def followed(values: Tensor, module: nn.Module | None = None) -> bool:
    """Whether code is traced, or gradients to ``values`` or to weights of ``module`` are kept."""
    if torch.compiler.is_compiling():
        return True
    if not torch.is_grad_enabled():
        return False
    return values.requires_grad or (
        module is not None and any(weight.requires_grad for weight in module.parameters())
    )
