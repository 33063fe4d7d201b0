"""Counts that are known, how far units see, exports that others read back, pictures, and what is refused."""
from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import Tensor, models, nn
from minicnn.inspect.graphs import Connectivity, Degrees, connectivity
from minicnn.inspect.graphs.export import quoted
from minicnn.inspect.graphs.layer_drawing import folded, layout
from minicnn.inspect.graphs.wiring import EDGES
from minicnn.nn import functional as F


class Residual(nn.Module):
    """input -> conv -> relu -> (conv) + itself -> pool -> fc"""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        return self.fc(F.max_pool2d(x + self.conv2(x), 2).flatten(1))


def test_a_3x3_convolution_over_8x8() -> None:
    layer, = connectivity(nn.Conv2d(1, 1, 3, padding="same"), (1, 8, 8)).layers
    assert (layer.edges, layer.weights, layer.sharing) == ((3 * 8 - 2) ** 2, 9, 484 / 9)
    assert layer.in_degrees == layer.out_degrees == Degrees({4: 4, 6: 24, 9: 36})
    assert (layer.interior, layer.fully_connected, layer.locally_connected, layer.padded) == (9, 64 * 64, 484, 576)
    assert layer.density == 484 / 4096
    wide, = connectivity(nn.Conv2d(1, 5, 3, padding="same"), (1, 8, 8)).layers
    assert (wide.edges, wide.weights, wide.out_degrees.most) == (5 * 484, 45, 45)


def test_a_fully_connected_layer_of_an_image_of_imagenet() -> None:
    layer, = connectivity(nn.Linear(150_528, 1_000), (150_528,)).layers
    assert layer.edges == layer.weights == layer.fully_connected == 150_528_000
    assert (layer.sharing, layer.density, layer.in_degrees.counts, layer.out_degrees.counts) == (1, 1, {150_528: 1000}, {1000: 150_528})
    with pytest.raises(ValueError, match=re.escape(
            "150,528,000 edges: as a matrix they would take 1.8 GB, and to list them several times that; the limit is 20,000,000 edges. "
            "Counts and degrees need no matrix; a smaller input makes a smaller one")):
        layer.matrix()


def test_an_unshared_filter_over_224x224() -> None:
    """Each of the numbers in use: taps in the padding or not, and no padding."""
    same, = connectivity(nn.Conv2d(3, 1, 3, padding=1), (3, 224, 224)).layers
    valid, = connectivity(nn.Conv2d(3, 1, 3), (3, 224, 224)).layers
    assert (same.locally_connected, same.padded) == (3 * (3 * 224 - 2) ** 2, 1_354_752)
    assert (valid.locally_connected, valid.padded) == (27 * 222 * 222, 27 * 222 * 222)


def test_large_networks_are_counted() -> None:
    found = connectivity(models.create("lenet", 1, 28, 10), (1, 28, 28))
    assert [(layer.name, layer.edges) for layer in found.layers if layer.learnt] == [
        ("conv1", 6 * (5 * 28 - 6) ** 2), ("conv2", 1600 * 150), ("fc1", 48_000), ("fc2", 10_080), ("fc3", 840)]
    assert (found.weights, found.paths, found.diameter) == (61_706 - 236, (7, 7), (5, 5))
    vgg = connectivity(models.create("vgg16", 3, 64, 10), (3, 64, 64))
    assert vgg.layer("features.2").edges == 64 * 64 * (3 * 64 - 2) ** 2 > EDGES
    assert vgg.layer("features.2").weights == 36_864


def test_taps_that_no_edge_has_are_no_weights() -> None:
    """A 3x3 window on 1x1 pixels reaches the image with its middle only."""
    layer, = connectivity(nn.Conv2d(1, 1, 3, padding=1), (1, 1, 1)).layers
    assert (layer.edges, layer.weights, layer.sharing) == (1, 1, 1)


@given(st.lists(st.tuples(st.sampled_from(["conv", "pool", "relu", "strided"]), st.integers(1, 3)), min_size=1, max_size=4),
       st.integers(5, 9), st.integers(5, 9))
def test_what_units_see_is_what_their_paths_reach(steps: list[tuple[str, int]], H: int, W: int) -> None:
    """Products of the patterns, from the image on; every window here is without holes, so that its box is what it reads."""
    layers: list[nn.Module] = []
    h, w = H, W
    for kind, k in steps:
        if kind != "relu" and min(h, w) < k:
            break
        layers.append({"conv": nn.Conv2d(1, 1, k, padding=k // 2), "pool": nn.MaxPool2d(k), "relu": nn.ReLU(),
                       "strided": nn.Conv2d(1, 1, k, k)}[kind])
        h, w = nn.Sequential(*layers)(Tensor(np.zeros((1, 1, H, W), np.float32))).shape[2:]
    found = connectivity(nn.Sequential(*layers, nn.Flatten(), nn.Linear(h * w, 2)), (1, H, W))
    reached = np.eye(H * W, dtype=bool)
    sees_all = None
    for layer in found.layers:
        reached = ((layer.matrix() != 0).astype(np.int64) @ reached.astype(np.int64)) > 0
        share = reached.mean(axis=1)
        assert layer.sees == (share.min(), share.max())
        sees_all = sees_all or (layer.name if share.min() == 1 else None)
    assert found.all_see_all == sees_all
    joining = [layer.name for layer in found.layers if layer.joins]
    if sees_all in joining and found.diameter:
        assert found.diameter == (joining.index(sees_all) + 1,) * 2


def test_branches() -> None:
    found = connectivity(Residual(), (1, 4, 4))
    names = [layer.name for layer in found.layers]
    assert names == ["conv1", "relu", "conv2", "add", "max_pool2d", "reshape", "fc"]
    add = found.layer("add")
    assert (add.sources, add.edges, add.weights, add.joins) == (["relu", "conv2"], 64, 0, False)
    assert found.paths == (3, 4)
    graph = found.to_networkx()
    assert sorted(graph.edges) == sorted([("input", "conv1"), ("conv1", "relu"), ("relu", "conv2"), ("relu", "add"), ("conv2", "add"),
                                          ("add", "max_pool2d"), ("max_pool2d", "reshape"), ("reshape", "fc")])
    assert graph.nodes["conv2"] == {"kind": "Conv2d", "shape": "2 x 4 x 4", "units": 32, "edges": 4 * 100, "weights": 36}


def test_the_units_of_a_layer_in_networkx() -> None:
    model = nn.Conv2d(1, 2, 2)
    found = connectivity(model, (1, 3, 3))
    graph = found.to_networkx("Conv2d")
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (9 + 8, 32)
    assert graph.nodes["Conv2d:1,0,1"] == {"layer": "Conv2d", "channel": 1, "row": 0, "column": 1}
    edge = graph.edges["input:0,1,2", "Conv2d:1,0,1"]
    assert edge == {"tap": 7, "weight": float(model.weight.array[1, 0, 1, 1]), "parameter": "1,0,1,1"}
    added = connectivity(Residual(), (1, 4, 4)).to_networkx("add")
    assert added.has_edge("relu:1,2,3", "add:1,2,3")
    assert added.has_edge("conv2:1,2,3", "add:1,2,3")


def test_files(tmp_path: Path) -> None:
    import networkx

    found = connectivity(Residual(), (1, 4, 4))
    for layer in (None, "conv1"):
        graph = found.to_networkx(layer)
        read = networkx.read_graphml(found.to_graphml(tmp_path / "graph.graphml", layer))
        assert dict(read.nodes(data=True)) == dict(graph.nodes(data=True))
        assert {(a, b): d for a, b, d in read.edges(data=True)} == {(a, b): d for a, b, d in graph.edges(data=True)}
        text = found.to_dot(tmp_path / "graph.dot", layer).read_text()
        assert text.count(" -> ") == graph.number_of_edges()
        assert text.startswith('digraph "Residual" {\n')
        assert text.endswith("\n}\n")
    assert '  "input" -> "conv1";\n' in found.to_dot(tmp_path / "graph.dot").read_text()
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'
    large = connectivity(nn.Conv2d(1, 32, 3, padding=1), (1, 64, 64))
    with pytest.raises(ValueError, match=re.escape(
            "Conv2d has 1,155,200 edges between 4,096 and 131,072 units: at most 500,000 edges and units can be exported; choose another "
            "layer or a smaller input, or take its matrix()")):
        large.to_graphml(tmp_path / "large.graphml", "Conv2d")
    with pytest.raises(OSError, match="cannot write"):
        found.to_dot(tmp_path / "nowhere" / "graph.dot")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["graph.dot", "graph.graphml"]


@pytest.mark.parametrize("kind", ["matrix", "degrees", "layers"])
def test_pictures(tmp_path: Path, kind: str) -> None:
    found = connectivity(Residual(), (1, 4, 4))
    found.picture = kind
    path = found.save(tmp_path / "graph.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    texts = " ".join(text.get_text() for text in found.figure(kind).findobj(lambda a: hasattr(a, "get_text")))
    assert {"matrix": "conv1: 200 edges,\n18 weights", "degrees": "conv1: edges into a unit", "layers": "conv2\n400 edges"}[kind] in texts


def test_the_same_weight_has_the_same_colour() -> None:
    found = connectivity(nn.Conv2d(1, 1, (1, 2)), (1, 2, 3))
    shared, local, _ = (axes.images[0].get_array() for axes in found.figure("matrix").axes)
    pattern = found.layers[0].matrix().toarray() != 0
    taps = found.layers[0].listed()
    colours = {tap: {tuple(shared[r, c]) for r, c, t in zip(taps.row, taps.column, taps.tap, strict=True) if t == tap} for tap in (0, 1)}
    assert [len(seen) for seen in colours.values()] == [1, 1]
    assert colours[0] != colours[1]
    assert len({tuple(colour) for colour in local[pattern]}) == 8
    assert (shared[~pattern] == 1).all()
    assert (local[~pattern] == 1).all()


def test_pictures_that_are_too_large() -> None:
    found = connectivity(models.create("lenet", 1, 28, 10), (1, 28, 28))
    with pytest.raises(ValueError, match=re.escape(
            "the matrix of conv1 is 4,704 x 784: pictures have at most 1,000,000 cells; choose a smaller input or another layer, or draw "
            "its degrees")):
        found.figure()
    with pytest.raises(ValueError, match=re.escape("kind is 'pie': expected matrix, degrees, layers")):
        found.figure("pie")
    with pytest.raises(ValueError, match=re.escape("LeNet has no layer 'conv9'; it has: conv1, relu, max_pool2d, conv2, ")):
        found.figure("degrees", "conv9")


def test_layers_are_laid_out_without_one_hiding_another() -> None:
    found = connectivity(models.create("resnet20", 3, 32, 10), (3, 32, 32))
    sources = {layer.name: layer.sources for layer in found.layers}
    places = layout(sources)
    assert len(set(places.values())) == len(places) == len(found.layers) + 1
    assert all(places[source][0] < places[name][0] for name, reads in sources.items() for source in reads)
    columns = folded(places, sources)
    assert [row for column in columns for row in column] == list(range(1 + max(row for row, _ in places.values())))


def test_text_and_json() -> None:
    found = connectivity(Residual(), (1, 4, 4))
    text = str(found)
    assert text.startswith("Residual, the graph of a 1 x 4 x 4 input: ")
    assert "From the image to the output: 3 layers on the shortest way, 4 on the longest." in text
    assert max(len(line) for line in text.split("From the image")[0].splitlines()) <= 120       # sentences wrap, tables do not
    values = json.loads(found.to_json())
    assert values["layers"][0]["in_degrees"] == {"4": 8, "6": 16, "9": 8}
    assert values["layers"][0]["locally_connected"] == {"edges": 200, "weights": 200, "weights_with_padding": 288}
    found.focus = "conv1"
    assert "9 (interior)      8   25 %" in str(found)
    assert len(json.loads(found.to_json())["layers"]) == 1
    assert "<table>" in found._repr_html_()


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ x.transpose(2, 3)


def test_what_has_no_rule_says_so() -> None:
    found = connectivity(Own(), (1, 3, 3))
    layer = found.layers[-1]
    assert (layer.how, layer.edges) == ("", 0)
    assert layer.note == "minicnn has no rule for what matmul reads here, so its edges are not known"
    assert layer.note in str(found)
    with pytest.raises(ValueError, match=re.escape(f"{layer.name}: {layer.note}")):
        layer.matrix()


def test_what_is_refused() -> None:
    conv = nn.Conv2d(1, 1, 3)
    with pytest.raises(ValueError, match=re.escape("input_shape is (2, 1, 8, 8), a batch of 2: the graph is that of one image, which is "
                                                   "(1, 8, 8)")):
        connectivity(conv, (2, 1, 8, 8))
    with pytest.raises(ValueError, match="x has 3 channels"):
        connectivity(conv, (3, 8, 8))
    with pytest.raises(ValueError, match="of numbers from 1"):
        connectivity(conv, (1, 0, 8))
    with pytest.raises(TypeError, match="expected a Module, got int"):
        connectivity(3, (1, 8, 8))
    found: Connectivity = connectivity(Residual(), (1, 4, 4))
    with pytest.raises(ValueError, match=re.escape("add reads 2 (relu, conv2): source must be from 0 to 1, got 2")):
        found.layer("add").matrix(2)
