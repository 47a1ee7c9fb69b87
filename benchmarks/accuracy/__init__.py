"""Measures how accurate taggers become: settings, few labels, other domains, distillation."""
