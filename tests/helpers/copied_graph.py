"""A CUDA graph without a card: what a recorded step does with its inputs."""

from sdnb.engine.memory.graphs import Graphed, _shapes
from sdnb.engine.stages.unet_passes import UNetPasses


class CopiedGraph(Graphed):
    """A graph on a CPU: after the first call, each reads its inputs where they were then."""

    def __call__(self, *tensors):
        if self._shapes != _shapes(tensors):
            self._inputs, self._shapes = [t.clone() for t in tensors], _shapes(tensors)
            self._graph = "recorded"
        for kept, new in zip(self._inputs, tensors, strict=True):
            if kept is not new:
                kept.copy_(new)
        return self.function(*self._inputs)

    def forget(self):
        self._graph, self._shapes, self._inputs = None, (), []


def recorded(monkeypatch):
    """From now on each kind of pass is recorded, as on a card; they are in the list."""
    graphs = []

    def graph(passes, kind):
        graphs.append(CopiedGraph(passes._function(kind)))
        return graphs[-1]

    monkeypatch.setattr(UNetPasses, "_graph", graph)
    monkeypatch.setattr("torch.cuda.synchronize", lambda _: None)
    return graphs
