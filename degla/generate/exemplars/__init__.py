"""Exemplars chosen by a person, the first step of DeGLA's recipe (arXiv 2504.16801): a model proposes, a person selects.

Read it as the data goes: `proposing` asks a back end and keeps what passes every check (`checks`), `proposals` is the file that a
person marks, `selection` joins the two: captions to proposals, proposals to a prompt's next version. The command line is
`python -m degla.generate.exemplars`. The stage does not use this room.
"""
