"""The named, versioned sets of problems. A change to one of them makes a new version: results of different versions do not compare."""
from __future__ import annotations

import dataclasses
from typing import Any

from minicnn.benchmarks.problems import FAMILIES

CONV = {
    "LeNet": ["mb64ic1ih28oc6oh28kh5ph2", "mb64ic6ih14oc16oh10kh5"],
    "TinyVGG": ["mb64ic1ih28oc32oh28kh3ph1", "mb64ic32ih28oc32oh28kh3ph1", "mb64ic32ih14oc64oh14kh3ph1", "mb64ic64ih14oc64oh14kh3ph1"],
    "ResNet": ["mb64ic3ih32oc16oh32kh3ph1", "mb64ic16ih32oc16oh32kh3ph1", "mb64ic16ih32oc32oh16kh3sh2ph1", "mb64ic16ih32oc32oh16kh1sh2",
               "mb64ic32ih16oc32oh16kh3ph1", "mb64ic32ih16oc64oh8kh3sh2ph1", "mb64ic64ih8oc64oh8kh3ph1"],
    "MobileNet": ["g32mb64ic32ih28oc32oh28kh3ph1", "mb64ic32ih28oc64oh28kh1", "g64mb64ic64ih28oc64oh14kh3sh2ph1",
                  "mb64ic128ih14oc128oh14kh1"],
    "groups of 8": ["g4mb64ic32ih28oc32oh28kh3ph1"],
    "dilation 2": ["mb64ic32ih28oc32oh28kh3ph2dh1"],
    "5x5": ["mb64ic16ih28oc32oh28kh5ph2"],
    "7x7 stride 2": ["mb8ic3ih224oc64oh112kh7sh2ph3"],
    "odd channels": ["mb64ic3ih28oc10oh28kh3ph1", "mb64ic6ih14oc17oh14kh3ph1", "mb64ic10ih28oc6oh28kh3ph1", "mb64ic17ih14oc10oh14kh3ph1"],
    "convnet-benchmarks": ["mb8ic3ih128oc96oh118kh11", "mb8ic64ih64oc128oh56kh9", "mb8ic128ih32oc128oh24kh9",
                           "mb8ic128ih16oc128oh10kh7", "mb8ic384ih13oc384oh11kh3"],      # github.com/soumith/convnet-benchmarks, L1 to L5
}
POOL = {
    "LeNet": ["max:mb64ic6ih28oh14kh2sh2", "max:mb64ic16ih10oh5kh2sh2"],
    "TinyVGG": ["max:mb64ic32ih28oh14kh2sh2", "max:mb64ic64ih14oh7kh2sh2"],
    "overlapping": ["max:mb64ic64ih14oh7kh3sh2ph1", "max:mb8ic64ih112oh56kh3sh2ph1"],
    "average": ["avg:mb64ic32ih28oh14kh2sh2", "avg:mb64ic32ih28oh14kh3sh2ph1", "avg:mb64ic64ih8oh1kh8"],
}
BATCH_NORM = {
    "ResNet": ["mb64ic16ih32", "mb64ic32ih16", "mb64ic64ih8"],
    "DigitsNet": ["mb64ic32ih8"],
    "large": ["mb64ic32ih28", "mb8ic64ih112"],
}
LINEAR = {
    "LeNet": ["mb64ic400oc120", "mb64ic120oc84", "mb64ic84oc10"],
    "TinyVGG": ["mb64ic3136oc128", "mb64ic128oc10"],
    "VGG-16": ["mb16ic4096oc1000"],
}
CROSS_ENTROPY = {
    "10 classes": ["mb64ic10", "mb256ic10"],
    "100 classes": ["mb64ic100"],
    "1000 classes": ["mb64ic1000"],
}
NETWORKS = {name: [f"{model}:mb{N}" for N in (1, 64, 256)]
            for name, model in (("LeNet", "lenet"), ("TinyVGG", "tinyvgg"), ("ResNet-8", "resnet8"))}

ACCURACY = ["digits", "fashion-fast"]        # recipes that every contestant trains by

SUITES: dict[str, tuple[str, str, dict[str, list[str]]]] = {      # kind: (version, family of its problems, groups of problem strings)
    "conv": ("conv-1", "conv", CONV), "pool": ("pool-1", "pool", POOL), "batch-norm": ("batch-norm-1", "batch-norm", BATCH_NORM),
    "linear": ("linear-1", "linear", LINEAR), "cross-entropy": ("cross-entropy-1", "cross-entropy", CROSS_ENTROPY),
    "train": ("train-1", "network", NETWORKS), "infer": ("infer-1", "network", NETWORKS),
}


def suite(kind: str) -> list[tuple[str, Any]]:
    """(group, problem) of all problems of a kind, in order; those of single operations also at batch 1."""
    _, family, groups = SUITES[kind]
    found: list[tuple[str, Any]] = []
    for group, strings in groups.items():
        for string in strings:
            problem = FAMILIES[family].parse(string)
            found.append((group, problem))
            if family != "network":
                found.append((group, dataclasses.replace(problem, N=1)))
    return list(dict.fromkeys(found))                          # two shapes may differ in the batch alone


def directions(kind: str) -> tuple[str, ...]:
    """What a kind of benchmark computes of its problems."""
    family = SUITES[kind][1]
    return {"train": ("step",), "infer": ("forward",)}.get(kind) or FAMILIES[family].directions
