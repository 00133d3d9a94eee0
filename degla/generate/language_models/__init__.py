"""Rewrites by a language model, in this process or behind a server.

Read in this order: `prompts` (what a model is told), `answers` (what its answer means). In this process: `prompt_tokens` turns
a prompt into token ids, `vllm_engine` runs the model, `likelihoods` scores texts with it, `engine_backends` let it write
(`vllm`) or pick (`choice`), and `tiny_model` makes a model if there is none. Behind a server: `openai_server` is the back end,
`server_connection` asks, `server_requests` says what and adapts it to refusals, `server_answers` checks captions and reads
replies.
"""
