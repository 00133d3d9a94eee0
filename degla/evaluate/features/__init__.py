"""Features under one model, each image and text encoded once. Read `passes`, then `encoding`, `store` and `contents`."""
