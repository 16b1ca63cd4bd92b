"""Measures the figures the store promises, on the machine it runs on.

``python -m bench`` runs everything, ``python -m bench search`` one bench. Each bench is a module
here with ``run() -> list[tuple[str, str]]``: (figure, value) rows.
"""
