"""Distillation: several taggers, or a larger one, taught to one model of the usual size."""
