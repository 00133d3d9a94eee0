"""Exemplars chosen by a person, the first step of DeGLA's recipe (arXiv 2504.16801): a model proposes, a person selects.

As the data goes: `proposing` asks a back end and keeps what passes every check (`checks`), `proposals` is the file that a
person marks, `selection` leads from captions to that file and from the file to a prompt's next version. Called from the
command line (`python -m degla.generate.exemplars`) and by the flow `exemplars`; the stage itself knows nothing of it.
"""
