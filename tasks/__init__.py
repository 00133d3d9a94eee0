"""Prefect tasks: one per stage, a child process around `degla.<stage>` with retries, a time limit and dashboard artifacts.

Knows Prefect and `degla`, not `flows`. Read `stages`, `stage`, then `child`, `supervisor`, `retries` and `dashboard`.
"""
