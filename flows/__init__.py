"""Prefect flows: one per stage and the pipeline that chains them. Read `running`, `stages`, `pipeline`, `serve`, then `local`."""
