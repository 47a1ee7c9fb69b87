"""What each precision needs: ranges, what stays FP32, and the search for it."""
