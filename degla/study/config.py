"""What a study asks, as a file of `flows/studies/` says it."""

from __future__ import annotations

from itertools import product

from pydantic import Field, field_validator, model_validator

from degla.config import Config, read_yaml, validate
from degla.home import find_yaml, studies_dir

NAME = r"^[a-z][a-z0-9_]*$"


class Method(Config):
    """A way to fine-tune. Its settings are chosen among its own trials, or are those of another method."""

    overrides: tuple[str, ...] = ()
    """What makes it this method, such as `train.objective=negclip`."""

    trials: tuple[tuple[str, ...], ...] = ()
    """Lists of overrides; each combination of one of every list is a trial. An entry may hold several, with spaces between."""

    settings_of: str = ""
    """The method whose chosen settings it takes, as an ablation does."""

    @property
    def combinations(self) -> list[tuple[str, ...]]:
        """The overrides of each trial; none if its settings are another method's."""
        if not self.trials:
            return []
        return [tuple(word for entry in entries for word in entry.split()) for entries in product(*self.trials)]

    @model_validator(mode="after")
    def _one_source(self) -> Method:
        if bool(self.trials) == bool(self.settings_of):
            raise ValueError("give a method its own trials, or settings_of another method, and not both")
        return self


class Planted(Config):
    """Training negatives replaced by others: a share of all, drawn from a seed. Of the mini world, which knows the truth."""

    holds: float = Field(0.0, ge=0, le=1)
    """Share that is true of the image: half of it says what the caption says in other words, half says something else."""

    jumbled: float = Field(0.0, ge=0, le=1)
    """Share that has the caption's words in a random order, which text alone gives away."""


class Variant(Config):
    """One value of what a question varies."""

    name: str
    """Its name in tables and plots, such as `5`."""

    overrides: tuple[str, ...] = ()
    """Its changes to the experiment."""

    planted: Planted | None = None
    """Its changes to the training negatives."""


class Question(Config):
    """Runs that are compared with each other, with the chosen settings of their methods, scored on the test split."""

    title: str
    methods: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    """Fine-tuning seeds."""

    variants: tuple[Variant, ...] = (Variant(name=""),)

    checkpoints: tuple[str, ...] = ()
    """Those of the study's that it is asked of; empty: all."""

    line: tuple[float, ...] = ()
    """Weights of the fine-tuned model in averages with its start that are scored too (WiSE-FT)."""

    axis: str = ""
    """What the names of the variants say, for tables and plots: `false negatives, %`."""

    reference: str = ""
    """The method that the others are compared with; empty compares each variant with the first one."""

    lost: tuple[float, ...] = (2.0, 4.0, 8.0)
    """Points of retention lost at which the fronts of lines are compared."""

    reached: tuple[float, ...] = (70.0, 75.0, 80.0)
    """Compositions at which fronts are compared."""

    front: float = Field(10.0, gt=0)
    """Largest loss of the area under a front, in points."""

    @field_validator("variants", mode="after")
    @classmethod
    def _distinct(cls, value: tuple[Variant, ...]) -> tuple[Variant, ...]:
        if len({variant.name for variant in value}) < len(value):
            raise ValueError("two variants have the same name")
        return value


class Choosing(Config):
    """The metrics by which settings are chosen."""

    composition: str
    """The metric that should be high."""

    retention: str
    """The metric of what the start could do and should stay."""


class Study(Config):
    """A protocol: everything that is run, chosen and compared."""

    name: str = Field(pattern=NAME)
    description: str = ""
    preset: str
    """The experiment that every run changes."""

    overrides: tuple[str, ...] = ()
    """Changes that every run has."""

    checkpoints: dict[str, tuple[str, ...]]
    """Pretrained models by name, as overrides."""

    validation: tuple[str, ...]
    """Overrides by which a trial is scored on the validation split."""

    test: tuple[str, ...] = ()
    """Overrides by which a final run is scored; empty: as the preset says."""

    composition: str
    """The metric that should be high."""

    retention: str
    """The metric of what the start could do and should stay."""

    shown: dict[str, str] = Field(default_factory=dict)
    """Further metrics of the tables, with what to call them."""

    choose_by: Choosing | None = None
    """The metrics that trials are chosen by, if validation and test are different benchmarks; empty: the two above."""

    budget: float = Field(gt=0)
    """Points of retention that a chosen trial may lose."""

    at_once: int = Field(2, ge=1)
    """Runs at the same time, each a process of its own."""

    tuning_seed: int
    methods: dict[str, Method] = Field(min_length=1)
    questions: dict[str, Question] = Field(min_length=1)

    @property
    def chosen_by(self) -> Choosing:
        """The metrics that trials are chosen by."""
        return self.choose_by or Choosing(composition=self.composition, retention=self.retention)

    @property
    def metrics(self) -> dict[str, str]:
        """Metrics of the tables, with what to call them."""
        return {self.composition: "composition", self.retention: "retention"} | self.shown

    @model_validator(mode="after")
    def _check(self) -> Study:
        for name, method in self.methods.items():
            if method.settings_of and not getattr(self.methods.get(method.settings_of), "trials", ()):
                raise ValueError(f"method {name}: settings_of={method.settings_of!r} is no method with trials")
        for title, question in self.questions.items():
            if unknown := set(question.methods) - set(self.methods):
                raise ValueError(f"question {title}: no method {sorted(unknown)[0]!r}; there are: {', '.join(self.methods)}")
            if unknown := set(question.checkpoints) - set(self.checkpoints):
                raise ValueError(
                    f"question {title}: no checkpoint {sorted(unknown)[0]!r}; there are: {', '.join(self.checkpoints)}"
                )
            if question.reference and question.reference not in question.methods:
                raise ValueError(f"question {title}: reference={question.reference!r} is none of its methods")
            if self.tuning_seed in question.seeds:
                raise ValueError(f"question {title}: seed {self.tuning_seed} chose the settings; final runs need other seeds")
        counts = {name: len(method.combinations) for name, method in self.methods.items() if method.trials}
        if len(set(counts.values())) > 1:
            each = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise ValueError(f"every method needs the same number of trials, or the comparison favours one: {each}")
        return self


def study_names() -> list[str]:
    """Names of the studies in `flows/studies/`."""
    return sorted(path.stem for path in studies_dir().glob("*.yaml"))


def load_study(name_or_path: str) -> Study:
    """Load a study by name, or by the path of a YAML file.

    Raises:
        MissingInputError: there is none; the message names the nearest.
        ConfigError: a key is unknown or a value wrong.
    """
    path = find_yaml(name_or_path, studies_dir(), "study")
    return validate(Study, {"name": path.stem, **read_yaml(path)}, str(path))
