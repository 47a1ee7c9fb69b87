"""From the logits of words to their tags: how, as a record, and the doing."""
