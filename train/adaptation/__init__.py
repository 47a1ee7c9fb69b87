"""Adaptation: a base model's masked-language-model training continued on lines of a domain."""
