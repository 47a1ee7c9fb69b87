"""The sample corpus that ships with the project, and the grammar that writes it.

`train.jsonl` and `dev.jsonl` come from a seeded grammar (`python -m train.sample`); `test.jsonl` is
written by hand and unlike it. All of it is synthetic: see README.md beside this file.
"""
