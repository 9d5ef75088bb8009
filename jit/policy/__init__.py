"""Policy as code: facts in, a ruling out."""
