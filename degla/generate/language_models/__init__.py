"""Rewrites by a language model, in this process or behind a server.

What the model is told is in `prompts`. In this process: `prompt_tokens` makes token ids of it, `vllm_engine` runs the model,
`engine_backends` asks it to write or to choose, and `tiny_model` stands in where there are no weights. Behind a server:
`openai_server` is the back end, `server_connection` puts its requests, `server_answers` reads what comes back. `answers` says
what an answer means, whoever gave it.
"""
