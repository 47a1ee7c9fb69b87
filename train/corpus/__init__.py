"""What a run learns from: splits read, labels mapped, lines divided."""
