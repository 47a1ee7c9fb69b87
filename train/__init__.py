"""Fine-tune a BERT-family model for token tagging."""
