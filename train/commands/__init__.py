"""The commands of `python -m train` besides fine-tuning, one module each."""
