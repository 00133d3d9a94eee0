"""Prefect flows: one a stage, the pipeline that chains them, and what serves and starts them on one machine."""
