"""Owns what a model makes of a line as a whole: the mean of its tokens' last hidden states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from serve.encoding import Encoder

BATCH_SIZE = 64


def embed(model: PreTrainedModel, encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return a vector of length 1 for each text; of a long one its first window counts.

    Returns:
        Shape: (N, D), float32; zeros for a text without words.
    """
    device = next(model.parameters()).device
    model.train(False)
    windows = [text.windows[0] if text.windows else None for text in encoder.encode(texts)]
    rows = [row for row, window in enumerate(windows) if window]
    rows.sort(key=lambda row: len(windows[row].input_ids))  # type: ignore[union-attr]
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(rows), BATCH_SIZE):
        chosen = rows[start : start + BATCH_SIZE]
        batch = [window for row in chosen if (window := windows[row])]
        arrays = encoder.collate(batch, max(len(window.input_ids) for window in batch))
        mask = torch.from_numpy(arrays.attention_mask).to(device)
        with torch.inference_mode():
            states = model.base_model(
                input_ids=torch.from_numpy(arrays.input_ids).to(device), attention_mask=mask
            ).last_hidden_state
        # Padding counts for nothing; the special tokens do, as in any sentence embedding.
        sums = (states.float() * mask.unsqueeze(-1)).sum(dim=1)
        vectors[chosen] = torch.nn.functional.normalize(sums, dim=-1).cpu().numpy()
    return vectors
