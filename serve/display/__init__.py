"""Entities and figures for people: terminal, pages."""
