"""Readers and writers of labelled lines, one module a format; `registry` finds the right one."""
