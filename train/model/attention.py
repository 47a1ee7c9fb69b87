"""Owns attention in training on a CPU, where PyTorch has no fused form for it as soon as it drops.

What PyTorch falls back to there computes in FP32 whatever the arithmetic is and draws dropout's
numbers one by one; short lines spend more on that than on their attention's products. Without
dropout, as in scoring, and on a GPU it is transformers' `sdpa` as ever.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from train.model.dropout import drop

ATTENTION = "linetag"
"""Its name as an `attn_implementation`; transformers writes it into no checkpoint."""


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **settings: Any,  # noqa: ANN401 (transformers' own, passed on)
) -> tuple[Tensor, None]:
    """Return what the heads attend to, as transformers expects it of an attention.

    Args:
        module: The layer that asks.
        query: Shape: (B, heads, T, width of a head), as are key and value.
        key: What is compared with the query.
        value: What is summed up.
        attention_mask: False where nothing is to be seen, None to see all. Shape: (B, 1, T, T)
        dropout: Share of the attention that is dropped.
        scaling: Of the products; None for 1 over the root of a head's width.
        settings: For `sdpa`.

    Returns:
        Shape: (B, T, heads, width of a head); and no weights.
    """
    if not dropout or query.device.type != "cpu":
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **settings
        )
        return output, None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scale) @ key.transpose(2, 3)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = drop(scores.softmax(-1), dropout).to(value.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
