"""How the embedded CLIP was pretrained; not in the wheel. Read `pretrain`, then `stream` and `scores`."""
