"""Study: many experiments of one protocol, from the choice of each method's settings to tables and plots.

Stands above the stages, like `degla.benchmark`: it plans their runs and reads their artifacts, and no stage knows it. Read in
this order:

    config     what a study asks: methods and their trials, questions and their variants
    runs       the runs that follow, each an experiment; `measured` reads a finished one
    choice     the settings of each method, chosen on the validation split, once
    planted    training negatives of which a share is true, or gives itself away (mini world)
    spread     intervals over seeds and items; fronts  composition at equal retention
    tables     Markdown; plots  pictures; desk  the folder with all of it
    preflight  what a study takes and lacks; cost  the arithmetic of a training
    several    runs at once, `one` in each process

`python -m degla.study` is the command, which `flows/study.py` runs step by step.
"""
