"""What serving with Triton needs: its configuration, the model it runs, protocol and processes."""
