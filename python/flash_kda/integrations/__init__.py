"""Adapters to serving engines; each is imported by name and needs its engine's interface only."""
