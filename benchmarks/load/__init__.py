"""Load our Triton, and what a user would build instead, by callers that wait or by the clock."""
