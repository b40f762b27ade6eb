"""What the stylists on a picture server have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence

from ..config import ServerConfig
from ..stylist import Stylist, View
from .server import Server

# ControlNet 1.1 for Stable Diffusion 1.5, as servers call its models
CONTROLNETS = {"canny": "control_v11p_sd15_canny", "depth": "control_v11f1p_sd15_depth",
               "normal": "control_v11p_sd15_normalbae"}


class ServerStylist(Stylist):
    """A program that the user runs. Nothing is sent before `ready` or the first picture.

    address: where it runs by default. program: its name for messages. start: how to start it.
    sampler: where the settings name none.
    """

    config_type = ServerConfig
    source_type = "compositeWithTrainedAlgorithmicMedia"
    reads_prompt = True
    size = 512
    multiple = 8
    address: str
    program: str
    start: str
    sampler: str

    def __init__(self, config: ServerConfig):
        super().__init__(config)
        self._server = Server(self.address, self.program, self.start, config)
        self._controls = config.controls()

    @property
    def controls(self) -> Collection[str]:
        return self._controls

    def settings(self) -> dict:
        c = self.config
        return {"stylist": self.name, "model": c.model, "negative_prompt": c.negative_prompt,
                "steps": c.steps, "guidance": c.guidance, "sampler": c.sampler or self.sampler,
                "controlnet": self._controls}

    @abstractmethod
    def ready(self) -> None:
        """Ask the server once whether it is there and has everything by name; IdfError if not."""

    def prepare(self, views: Sequence[View]) -> None:
        self.ready()
