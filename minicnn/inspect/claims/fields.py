"""Claims about receptive fields: networks are built, and what their units see is found."""
from __future__ import annotations

from minicnn import nn
from minicnn.document import Column, Table
from minicnn.inspect.claims.counting import parameters, weights
from minicnn.inspect.claims.registry import DEPENDS, HALF_TRUE, Answer, claim, numbers, verdict
from minicnn.inspect.receptive_fields import receptive_field
from minicnn.inspect.recorder import example_input, record
from minicnn.inspect.summarizing.work import work


def sizes(*layers: nn.Module, image: int = 64) -> list[int]:
    """What a unit of each layer sees, in pixels along one axis."""
    return [layer.size[0] for layer in receptive_field(nn.Sequential(*layers), (layers[0].in_channels, image, image)).layers]


@claim("field-formula", "The receptive field after 1, 2, 5, 10 layers of 3x3: 1 + 2L", "3, 5, 11, 21")
def field_formula(quoted: str) -> Answer:
    found = sizes(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(10)])
    at = {L: found[L - 1] for L in (1, 2, 5, 10)}
    return Answer(verdict(list(at.values()) == numbers(quoted)), ", ".join(map(str, at.values())),
                  "Every layer adds k - 1 = 2 pixels, as long as there is no stride, pooling or dilation.", {"sizes": at})


@claim("field-table", "The receptive fields of layers 1 to 5 of a network of 3x3 convolutions", "3, 7, 15, 31, 63")
def field_table(quoted: str) -> Answer:
    plain = sizes(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(5)])
    strided = sizes(*[nn.Conv2d(1, 1, 3, stride=2, padding=1) for _ in range(5)])
    dilated = sizes(*[nn.Conv2d(1, 1, 3, padding=2**i, dilation=2**i) for i in range(5)])
    pooled = sizes(*[layer for _ in range(5) for layer in (nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2))])[::2]
    networks = [("3x3, stride 1", plain), ("3x3, stride 2", strided), ("3x3, dilation 1, 2, 4, 8, 16", dilated),
                ("3x3, each then pooled 2x2", pooled)]
    table = Table("", [Column("five layers of", left=True), *map(Column, ("1", "2", "3", "4", "5"))],
                  [[name, *map(str, found)] for name, found in networks])
    exact = [name for name, found in networks if found == numbers(quoted)]
    why = (f"With stride 1 it grows by 2 a layer. The quoted table is that of five layers of {' or of '.join(exact)}, "
           "where what a layer adds doubles each time.")
    return Answer(verdict(plain == numbers(quoted)) if plain == numbers(quoted) or not exact else DEPENDS, ", ".join(map(str, plain)),
                  why if exact else "", dict(networks), (table,))


@claim("pooling-field", "Each pooling layer (stride 2) doubles the receptive field", "x2")
def pooling_field(quoted: str) -> Answer:
    layers = [layer for _ in range(4) for layer in (nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2))]
    found = receptive_field(nn.Sequential(*layers), (1, 64, 64)).layers
    field, jump = [1, *(layer.size[0] for layer in found)], [1, *(int(layer.jump[0] or 0) for layer in found)]
    rows = [["conv 3x3" if layer.kind == "Conv2d" else "pool 2x2", str(before), str(after), f"x{after / before:.2f}", str(step)]
            for layer, before, after, step in zip(found, field, field[1:], jump[1:], strict=False)]
    pools = [(field[i + 1] / field[i], jump[i + 1] / jump[i]) for i, layer in enumerate(found) if layer.kind == "MaxPool2d"]
    growth = [round(by, 2) for by, _ in pools]
    table = Table("", [Column("layer", left=True), Column("field before"), Column("after"), Column("growth"), Column("stride after")], rows)
    doubled = all(by == 2 for by, _ in pools)
    return Answer(verdict(doubled) if doubled or any(by != 2 for _, by in pools) else HALF_TRUE,
                  ", ".join(f"x{by:.2f}" for by in growth) + " (the stride: x2)",
                  "Pooling doubles the stride, the distance between what neighbouring units see, and so what every later layer adds. "
                  "The field itself grows by one stride only.", {"fields": field, "strides": jump, "growth": growth}, (table,))


@claim("stacked-3x3", "Two stacked 3x3 convolutions see as much as one 7x7, with fewer weights per channel", "18 weights against 49")
def stacked_3x3(quoted: str) -> Answer:
    C, image = 64, 16
    stacks = {name: [layer for _ in range(n) for layer in (nn.Conv2d(C, C, k, padding=k // 2), nn.ReLU())]
              for name, k, n in (("one 7x7", 7, 1), ("two 3x3", 3, 2), ("three 3x3", 3, 3))}
    rows, facts = [], {}
    for name, layers in stacks.items():
        net = nn.Sequential(*layers)
        field = sizes(*layers, image=image)[-1]
        macs = sum(work(op).macs for op in record(net, example_input((C, image, image))).ops) // image**2
        each, relus = weights(net) // C**2, sum(isinstance(layer, nn.ReLU) for layer in layers)
        facts[name] = {"field": field, "weights_per_pair": each, "parameters": parameters(net), "macs_per_pixel": macs,
                       "nonlinearities": relus}
        rows.append([name, f"{field}x{field}", str(each), f"{parameters(net):,}", f"{macs:,}", str(relus)])
    seven, two, three = (facts[name] for name in stacks)
    table = Table("", [Column(f"{C} channels", left=True), Column("sees"), Column("weights a pair"), Column("parameters"),
                       Column("MACs a pixel"), Column("ReLUs")], rows,
                  ["weights a pair: for each pair of an input and an output channel. MACs: multiply-adds for each output pixel."])
    same = two["field"] == seven["field"]
    return Answer(verdict(same), f"two see {two['field']}x{two['field']}, three {three['field']}x{three['field']}",
                  f"Three are needed: {three['weights_per_pair']} weights a pair against {seven['weights_per_pair']}, "
                  f"{1 - three['macs_per_pixel'] / seven['macs_per_pixel']:.0%} fewer multiply-adds, and "
                  "three nonlinearities instead of one; but three maps to keep for backward instead of one.", facts, (table,))


