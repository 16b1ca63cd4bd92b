"""Trains the demo catalogue: three small models on public-domain books, with honest cards.

``make demo-models`` runs :mod:`scripts.demo_models.__main__`; the results are committed under
``demo/`` so that a new store has something real to show without any of this.
"""
