"""Fine-tuning as a task for the loop: batches, loss, and what becomes of tokens on the way."""
