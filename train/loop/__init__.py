"""The training loop, whatever it trains: plan, steps, state, devices, progress."""
