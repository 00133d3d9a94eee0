"""Prefect tasks: one a stage, each a child process around `degla.<stage>` with retries, a timeout and dashboard artifacts.

Knows Prefect and `degla`, not the flows that call it.
"""
