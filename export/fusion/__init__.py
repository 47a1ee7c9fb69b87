"""Turns an export's standard operators into ONNX Runtime's fused ones, one rule per operator."""
