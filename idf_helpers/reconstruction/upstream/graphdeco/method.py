"""The method `splats graphdeco`: the trainer of 3DGS as published."""

from __future__ import annotations

from ....data.dataset import Dataset
from ....errors import IdfError
from ....runtime.progress import Reporter
from ....runtime.runs import RunFolder
from ...splats.scene import GaussianScene
from ...splats.splat_method import SplatMethod
from .config import GraphdecoConfig
from .program import GraphdecoProgram


class Graphdeco(SplatMethod):
    """The steps of `GraphdecoProgram` one after another."""

    config_type = GraphdecoConfig

    def fit(self, data: Dataset, config: GraphdecoConfig, run: RunFolder, reporter: Reporter
            ) -> GaussianScene:
        program = GraphdecoProgram.within(data, config, run)
        reporter.note(program.check())
        program.train(reporter=reporter)
        notes = list(program.start[1])
        if program.training["halved"]:
            notes.append("the GPU's memory was full: trained at half the resolution")
        try:  # its own pictures and figures, which ours do not need
            program.render()
            program.metrics()
        except IdfError as error:
            notes.append(f"{error.what}: {error.found}; {error.do}")
        scene = program.scene()
        scene.training["notes"] = notes
        return scene
