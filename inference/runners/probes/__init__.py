"""Our own tasks: what lm-evaluation-harness has no words for."""
