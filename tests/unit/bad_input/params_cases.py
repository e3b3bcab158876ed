"""params.yaml, settings, the environment and the words on the command line."""

from __future__ import annotations

from typing import Any

from tests.unit.bad_input.cases import Case

__all__ = ["CASES"]

PARTITION = ("partition", "small")
SHOW = ("datasets", "show", "toys", "--out", "sheet.png")
ZERO_SHOT = ("predict", "image0.png", "--dataset", "toys", "--method", "zero_shot")
WEIGHTS = "results/small/fedmvp/seed1/weights.safetensors"
TRAIN = ("train", "small", "fedmvp", "1")


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


def words(name: str, given: tuple[str, ...], *tells: str) -> Case:
    """Return a case of wrong words."""
    return Case(name, lambda w: None, given, tells)


def variable(name: str, value: str, *tells: str) -> Case:
    """Return a case of a wrong environment variable."""
    return Case(
        f"{name}={value}",
        lambda w: None,
        ("zero_shot", "small", "zero_shot"),
        (name, repr(value), *tells),
        {name: value},
    )


def setting(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of a wrong setting."""
    return Case(name, lambda w: w.edit_yaml("settings/own/small.yaml", entries), PARTITION, tells)


_BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
)
_FOLD = {"train": {"datasets": "all"}, "targets": [{"group": "base"}]}

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
        "two rules of partial labels",
        "give either known or missing",
        partition__annotations={"known": 0.5, "missing": 0.5},
    ),
    entry("an unknown head", "multilabel.head", multilabel={"head": "pixels"}),
    entry("a clip beyond one", "multilabel.clip", multilabel={"clip": 1.5}),
    setting(
        "a protocol of many labels for images of one class",
        "is of images that show many classes",
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
    words(
        "an unknown method",
        ("train", "small", "fedmpv", "1"),
        "unknown method; got 'fedmpv'",
        "fedmvp",
    ),
    words(
        "a trained method for zero-shot",
        ("zero_shot", "small", "fedmvp"),
        "params.yaml: run.zero_shot",
        "needs training; got 'fedmvp'",
    ),
    words(
        "an unknown setting",
        ("partition", "smal"),
        "unknown setting; got 'smal'",
        "did you mean 'small'?",
    ),
    words(
        "an unknown dataset",
        ("download", "toy"),
        "unknown dataset; got 'toy'",
        "did you mean 'toys'?",
    ),
    words("a dataset that is a path", ("download", "../../x"), "unknown dataset; got '../../x'"),
    words(
        "too few words",
        ("train", "small", "fedmvp"),
        "command line: wrong number of words",
        "SETTING METHOD SEED",
    ),
    words("a seed in words", ("train", "small", "fedmvp", "one"), "not a seed; got 'one'"),
    words(
        "an unknown profile", ("profile", "use", "fast"), "unknown profile; got 'fast'", "default"
    ),
    words(
        "a folder for a sheet of images",
        ("datasets", "show", "toys", "--out", "data"),
        "data: is a folder",
        "name the file",
    ),
    words(
        "attributes of a device that never ends",
        (*ZERO_SHOT, "--attributes", "/dev/zero"),
        "/dev/zero: holds more than",
    ),
    words(
        "classes of a device that never ends",
        ("predict", "image0.png", "--method", "zero_shot", "--classes", "/dev/zero"),
        "/dev/zero: holds more than 16 MiB",
    ),
    words(
        "attention over an image",
        (*ZERO_SHOT, "--explain", "image0.png"),
        "image0.png: is read by this command",
    ),
    words(
        "attention over weights",
        ("predict", "image0.png", "--weights", WEIGHTS, "--explain", WEIGHTS),
        "weights.safetensors: is read by this command",
    ),
    words(
        "a checkpoint over itself",
        ("import-official", WEIGHTS, "--export", WEIGHTS),
        "is read by this command",
    ),
    words(
        "two files under one name",
        ("import-official", WEIGHTS, "--export", "x", "--out", "./x"),
        "--out and --export are one file",
    ),
    words(
        "a sheet over an image",
        ("datasets", "show", "toys", "--out", ".fedmvp/data/toys/sketch/kite/0.png"),
        "is read by this command",
    ),
    words(
        "a sheet of another kind",
        ("datasets", "show", "toys", "--out", "sheet.gif"),
        "--out: not a kind of image file",
        "got 'sheet.gif'",
        ".png, .jpg, .webp",
    ),
    words("a sheet of no classes", (*SHOW, "--classes", "0"), "--classes: ", "got 0", "1 to 50"),
    words("a sheet of huge images", (*SHOW, "--size", "4096"), "--size: ", "got 4096", "8 to 256"),
    words(
        "a sheet of nobody's images",
        ("datasets", "show", "toy", "--out", "sheet.png"),
        "unknown dataset; got 'toy'",
        "did you mean 'toys'?",
    ),
    words(
        "an impossible port", ("track", "ui", "--port", "0"), "--port: no such port; got 0", "65535"
    ),
    words("a dataset nobody has", ("datasets", "verify", "x" * 10_000), "File name too long"),
    variable("FEDMVP_DEVICE", "gpu", "unknown device", "use cpu"),
    variable("FEDMVP_DEVICE", "cpu,gpu", "unknown device", "separated by commas"),
    variable("FEDMVP_THREADS", "-1", "not a number of threads"),
    variable("FEDMVP_DETERMINISM", "maybe", "unknown determinism level", "strict or fast"),
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
        "name may hold {dataset}, {fold} only",
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
