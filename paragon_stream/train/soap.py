"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv:2409.11321).

For each weight, as a matrix, running means of G·Gᵀ and Gᵀ·G are kept; their eigenvectors, refreshed by one
step of orthogonal iteration every `frequency` steps, rotate the gradient into a basis in which Adam's
element-wise scaling fits. In these networks the matrices are small, so this costs a few per cent of a step,
and its result after 3,000 steps takes Adam more than 8,000 (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

LARGEST_SIDE = 512
"""Sides longer than this are not preconditioned."""


class SOAP(torch.optim.Optimizer):
    """No weight decay. Parameters of one dimension get plain Adam."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        preconditioner_beta: float = 0.99,
        eps: float = 1e-8,
        frequency: int = 10,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "preconditioner_beta": preconditioner_beta,
            "eps": eps,
            "frequency": frequency,
        }
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update; the very first call only sets up the bases."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return None

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        is_matrix = parameter.dim() >= 2 and parameter.shape[0] > 1
        gradient = gradient.contiguous()
        if is_matrix:
            gradient = gradient.reshape(parameter.shape[0], -1)
        state = self.state[parameter]
        if not state:
            self._begin(state, gradient, is_matrix)
            return
        beta1, beta2 = group["betas"]
        state["step"] += 1
        rotated = _rotate(state, gradient)
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(rotated, rotated, value=1 - beta2)
        mean = _rotate(state, state["mean"]) / (1 - beta1 ** state["step"])
        root = (state["square"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        update = _rotate_back(state, mean / root)
        parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])
        self._refresh(state, gradient, group)

    @staticmethod
    def _begin(state: dict[str, Any], gradient: Tensor, is_matrix: bool) -> None:
        state["step"] = 0
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
        for axis, side in enumerate(("left", "right")):
            if is_matrix and gradient.shape[axis] <= LARGEST_SIDE:
                state[side] = gradient @ gradient.T if side == "left" else gradient.T @ gradient
                state[f"{side}_basis"] = _eigenbasis(state[side])

    @staticmethod
    def _refresh(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> None:
        weight = 1 - group["preconditioner_beta"]
        if "left" in state:
            state["left"].lerp_(gradient @ gradient.T, weight)
        if "right" in state:
            state["right"].lerp_(gradient.T @ gradient, weight)
        # Early on the bases are those of a single batch, so they are refreshed more often.
        if state["step"] % group["frequency"] and state["step"] not in (1, 2, 4):
            return
        for axis, side in enumerate(("left", "right")):
            if side not in state:
                continue
            basis = state[f"{side}_basis"]
            order = (basis.T @ state[side] @ basis).diagonal().argsort(descending=True)
            state["square"] = state["square"].index_select(axis, order)
            state[f"{side}_basis"] = torch.linalg.qr(state[side] @ basis[:, order])[0]


def _eigenbasis(matrix: Tensor) -> Tensor:
    """Eigenvectors of a symmetric matrix as columns, those of the largest eigenvalues first.

    Layers that hardly learn at first (a LayerScale of 1e-5) give matrices near 0, for which the solver gives
    up or gives NaN in float32. Then float64 finds them, or else any basis does: it is refreshed a step later.
    """
    scaled = matrix.double() / matrix.abs().max().clamp_min(torch.finfo(matrix.dtype).tiny)
    for tried in (matrix, scaled):
        try:
            basis = torch.linalg.eigh(tried)[1].flip(1).to(matrix)
        except RuntimeError:  # torch.linalg.LinAlgError is one
            continue
        if basis.isfinite().all():
            return basis
    return torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def _rotate(state: dict[str, Any], matrix: Tensor) -> Tensor:
    """Into the eigenbasis."""
    if "left" in state:
        matrix = state["left_basis"].T @ matrix
    return matrix @ state["right_basis"] if "right" in state else matrix


def _rotate_back(state: dict[str, Any], matrix: Tensor) -> Tensor:
    if "left" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].T if "right" in state else matrix
