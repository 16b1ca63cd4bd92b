"""Tests of the demo catalogue and of what makes it."""
