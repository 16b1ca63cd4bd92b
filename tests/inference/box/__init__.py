"""Tests of the box models run in."""
