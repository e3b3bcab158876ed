"""params.yaml and settings."""

from __future__ import annotations

from typing import Any

from tests.unit.bad_input.cases import Case

__all__ = ["CASES"]

PARTITION = ("partition", "small")
TRAIN = ("train", "small", "fedmvp", "1")
_BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
)
_FOLD = {"train": {"datasets": "all"}, "targets": [{"group": "base"}]}


def entry(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of wrong entries in params.yaml."""
    return Case(name, lambda w: w.params(**entries), PARTITION, ("params.yaml: ", *tells))


def method(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of wrong entries in the method's section."""
    changes = {f"methods__fedmvp__{key}": value for key, value in entries.items()}
    return Case(name, lambda w: w.params(**changes), TRAIN, tells)


def file(name: str, content: str | bytes, *tells: str) -> Case:
    """Return a case of a params.yaml that is none."""
    return Case(name, lambda w: w.write("params.yaml", content), PARTITION, ("params.yaml", *tells))


def setting(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of a wrong setting."""
    return Case(name, lambda w: w.edit_yaml("settings/own/small.yaml", entries), PARTITION, tells)


CASES = [
    entry(
        "a misspelt key",
        "partition.shotz: unknown key; got 8",
        "candidates, classes_per_client, scheme, seed, shots",
        partition={"classes_per_client": 20, "shotz": 8, "seed": 1},
    ),
    entry("a misspelt section", "federaton: unknown key", "federation", federaton={}),
    entry(
        "a share above one",
        "partition.annotations",
        "less than or equal to 1",
        partition__annotations={"known": 1.5},
    ),
    entry(
        "a share below zero",
        "partition.annotations",
        "greater than or equal to 0",
        partition__annotations={"missing": -0.1},
    ),
    entry(
        "a mask above one",
        "partition.annotations",
        "less than 1",
        partition__annotations={"missing": 1.2},
    ),
    entry(
        "two rules of partial labels",
        "give either known or missing",
        partition__annotations={"known": 0.5, "missing": 0.5},
    ),
    entry("an unknown head", "multilabel.head", multilabel={"head": "pixels"}),
    entry("a clip beyond one", "multilabel.clip", multilabel={"clip": 1.5}),
    setting(
        "a protocol of many labels for images of one class",
        "is for images that show many classes",
        protocol="multilabel",
        folds=[{"train": {}, "targets": [{"group": "global"}]}],
    ),
    entry("a missing key", "partition.seed: key is missing; hint: add it", partition__seed=None),
    entry(
        "an unknown scheme",
        "params.yaml: partition.scheme: unknown partition scheme",
        "got 'iidd'; hint: did you mean 'iid'?",
        partition__scheme="iidd",
    ),
    entry(
        "a scheme without its clients",
        "partition.scheme: clients: key is missing",
        partition__scheme="iid",
    ),
    entry(
        "an alpha of zero",
        "partition.scheme: alpha: ",
        "greater than 0",
        "got 0",
        partition__scheme={"name": "dirichlet", "alpha": 0, "clients": 2},
    ),
    entry(
        "an alpha below zero",
        "partition.scheme: alpha: ",
        "got -0.5",
        partition__scheme={"name": "dirichlet_capped", "alpha": -0.5, "clients": 2},
    ),
    entry(
        "an entry of another scheme",
        "partition.scheme: alpha: unknown key",
        partition__scheme={"name": "iid", "clients": 2, "alpha": 1},
    ),
    entry(
        "more shards than images",
        "2000 shards need 2000 training images",
        partition__scheme={"name": "shards", "clients": 1000},
    ),
    entry(
        "more clients than classes",
        "cannot be dealt to 99 clients without sharing",
        partition__scheme={"name": "few_shot_disjoint", "clients": 99},
    ),
    entry(
        "no superclasses",
        "needs a dataset with superclasses",
        partition__scheme={"name": "pachinko", "alpha": 1, "clients": 2},
    ),
    entry(
        "unknown candidates", "partition.candidates: ", "got 'some'", partition__candidates="some"
    ),
    entry(
        "fine-tuning that nothing tests",
        "evaluation: fine_tune_epochs needs personal: true",
        evaluation__fine_tune_epochs=2,
    ),
    entry(
        "fine-tuning of what is not trained",
        "evaluation.fine_tuned lists 'fedclip'",
        evaluation__personal=True,
        evaluation__fine_tune_epochs=2,
        evaluation__fine_tuned=["fedclip"],
    ),
    entry(
        "methods to fine-tune for no epochs",
        "evaluation: fine_tuned needs fine_tune_epochs",
        evaluation__fine_tuned=["fedmvp"],
    ),
    entry("no round kept", "federation.kept_rounds: ", "got 0", federation__kept_rounds=0),
    entry(
        "a list for a scheme", "partition.scheme: give a scheme's name", partition__scheme=["iid"]
    ),
    entry("a negative severity", "data.capture: ", "got -1", data__capture=-1),
    entry("a severity beyond use", "data.capture: ", "got 5", data__capture=5),
    entry(
        "a severity that is true", "data: capture is true instead of a number", data__capture=True
    ),
    entry("a severity in words", "data.capture: ", "got 'cheap'", data__capture="cheap"),
    entry("no rounds", "federation.rounds: ", "got 0", federation__rounds=0),
    entry("negative rounds", "federation.rounds: ", "got -1", federation__rounds=-1),
    entry("half a round", "federation.rounds: ", "got 2.5", federation__rounds=2.5),
    entry("rounds without end", "rounds holds a number beyond", federation__rounds=10**30),
    entry("yes for a number", "rounds is true instead of a number", federation__rounds=True),
    entry("true among seeds", "seeds is true instead of a number", run__seeds=[True]),
    entry(
        "a learning rate of NaN",
        "federation.learning_rate: ",
        "got nan",
        federation__learning_rate=float("nan"),
    ),
    entry(
        "an infinite learning rate",
        "federation.learning_rate: ",
        "got inf",
        federation__learning_rate=float("inf"),
    ),
    entry(
        "a learning rate in words",
        "federation.learning_rate: ",
        "got 'fast'",
        federation__learning_rate="fast",
    ),
    entry(
        "more than all clients",
        "federation.participation: ",
        "got 1.5",
        federation__participation=1.5,
    ),
    entry(
        "an unknown schedule",
        "federation.schedule: ",
        "got 'linear'",
        federation__schedule="linear",
    ),
    entry("no seed", "run.seeds: ", "at least 1", run__seeds=[]),
    entry("a seed twice", "run: seeds repeats an entry", run__seeds=[1, 1]),
    entry(
        "words for a shell as a seed",
        "run.seeds.0: ",
        "got '1; touch PWNED; true'",
        run__seeds=["1; touch PWNED; true"],
    ),
    entry("a seed in quotes", "run.seeds.0: ", "got '1'", run__seeds=["1"]),
    entry("a command as a setting", "run.settings.0: ", run__settings=["$(touch PWNED)"]),
    entry("a way out as a setting", "run.settings.0: ", run__settings=["../../docs"]),
    entry("a line feed in a method", "run.trained.0: ", run__trained=["fedmvp\ntouch PWNED"]),
    entry("a command as a suite", "run.suite: ", run__suite="`touch PWNED`"),
    entry("a way out as a dataset", "data.datasets.0: ", data__datasets=["../toys"]),
    entry("a way out as a template", "attributes.template: ", attributes__template="../../x"),
    entry("a negative seed", "run.seeds.0: ", "got -1", run__seeds=[-1]),
    entry("a setting that is a path", "run.settings.0: ", "got '../up'", run__settings=["../up"]),
    entry("a profile of 10,000 characters", "profile: ", "…", profile="x" * 10_000),
    entry(
        "a method without a section",
        "'promptfl' but methods has no section",
        run__trained=["promptfl"],
        methods__promptfl=None,
    ),
    entry("a list for a section", "params.yaml: evaluation: ", "got [1]", evaluation=[1]),
    entry(
        "attributes by the handful",
        "attributes.per_class: ",
        "got True",
        attributes__per_class=True,
    ),
    file("params that are a list", "[1, 2]", "not a mapping of sections; got [1, 2]"),
    file("params that are not YAML", "run: [", "not valid YAML"),
    file("a key twice", "profile: a\nprofile: b\n", "key 'profile' is given twice"),
    file("a bomb of aliases", _BOMB, "more than 1000000 values"),
    file("a value that holds itself", "profile: &a [*a]", "*a stands inside itself"),
    file("an object of Python", "run: !!python/object/apply:os.getcwd []", "not valid YAML"),
    file("a number of 5,000 digits", f"profile: {'9' * 5000}", "not valid YAML", "4300 digits"),
    file("a date that is none", "profile: 2024-99-99", "not valid YAML", "month must be"),
    file("bytes that are not text", b"profile: \xff\xfe", "not valid YAML", "utf-8"),
    file("control characters", "profile: \x00", "not valid YAML"),
    Case(
        "no params.yaml",
        lambda w: w.remove("params.yaml"),
        PARTITION,
        ("params.yaml: file is missing", "repository root"),
    ),
    Case(
        "a folder for params.yaml",
        lambda w: (w.remove("params.yaml"), w.write("params.yaml/x", "")),
        PARTITION,
        ("params.yaml: Is a directory",),
    ),
    method(
        "a misspelt key of a method",
        "methods.fedmvp: n_promts: unknown key; got 3",
        "n_prompts",
        n_promts=3,
    ),
    method("prompts without end", "n_prompts holds a number beyond", n_prompts=10**30),
    method(
        "prompts no memory can hold",
        "methods.fedmvp: n_prompts: ",
        "got 10000000000000",
        n_prompts=10**13,
    ),
    method("heads that do not divide", "methods.fedmvp: ", "choose sizes that fit tiny", heads=7),
    method(
        "a negative weight", "methods.fedmvp: consistency_weight: ", "got -1", consistency_weight=-1
    ),
    method(
        "an override of nothing",
        "methods.fedmvp.federation: roundz: unknown key; got 3",
        federation={"roundz": 3},
    ),
    setting("a setting without folds", "small.yaml: ", "exactly one of folds", folds=[]),
    setting(
        "a group of another protocol",
        "group 'target' is not one of protocol 'base_to_new'",
        folds=[{"train": {}, "targets": [{"group": "target"}]}],
    ),
    setting(
        "a fold that is a path",
        "small.yaml: folds.0.name: ",
        "'../up'",
        folds=[{**_FOLD, "name": "../up"}],
    ),
    setting(
        "a name of any length",
        "name may contain only {dataset}, {fold}",
        folds=[{"train": {}, "targets": [{"group": "base", "name": "{fold:>999999999}"}]}],
    ),
    setting(
        "a dataset that is not listed",
        "setting names something unknown; got 'birds'",
        "params.yaml: data.datasets",
        folds=[{**_FOLD, "train": {"datasets": ["birds"]}}],
    ),
    setting(
        "a domain that is not there",
        "toys: dataset has no such domain; got 'clay'",
        "sketch, photo",
        folds=[{**_FOLD, "train": {"domains": ["clay"]}}],
    ),
]
