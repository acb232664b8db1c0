"""Adapters to serving engines; each is imported by name and needs its engine's interface only.

flash-linear-attention needs none: its `chunk_kda` calls flash_kda.fwd by itself.
"""
