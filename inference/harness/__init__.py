"""lm-evaluation-harness in a process of its own.

Trusted code, but heavy: it imports torch, and it sees neither database nor secrets. What it asks
of a model is answered by the worker, which asks the box.
"""
