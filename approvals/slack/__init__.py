"""Slack as a door to approvals: posted copies of requests, and what people click and type there."""
