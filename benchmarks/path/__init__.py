"""Follow single lines through client, gRPC, Triton, its Python process, the model, and back."""
