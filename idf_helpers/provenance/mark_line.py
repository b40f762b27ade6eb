"""What a mark says: one line, an XMP packet, and the payload of the watermark."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

import numpy as np

from ..data.media import to_uint8
from .watermark import embed, payload_of, payload_text

# IPTC NewsCodes, http://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPES = ("compositeSynthetic", "compositeWithTrainedAlgorithmicMedia",
                "trainedAlgorithmicMedia")
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOFTWARE = "ImplicitDeepfake (idf_helpers)"


@dataclass(frozen=True)
class Mark:
    """What is written.

    run_id: of the run folder the file came from. source_type: one of SOURCE_TYPES; a classical
    swap is "compositeSynthetic", one by a trained generator "compositeWithTrainedAlgorithmicMedia".
    consent: digest of the consent record ("" where nothing was swapped). made: what the file is.
    payload: of the imperceptible watermark, 32 bits; 0 = follows from run and consent. A run that
    others can repeat takes it from its identity (what was done to what), so that the same work
    leaves the same pixels.
    inputs: (name, SHA-256) of what it was made of, for its credentials.
    """

    run_id: str
    made: str
    source_type: str = "compositeSynthetic"
    consent: str = ""
    payload: int = 0
    inputs: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self):
        if not self.payload:
            object.__setattr__(self, "payload", payload_of(self.run_id, self.consent))

    def text(self) -> str:
        """Return one readable line that `parse` reads back."""
        consent = re.sub(r"\W", "", self.consent)[:64]
        return (f"synthetic, made with {SOFTWARE}: {_plain(self.made)}; run {_plain(self.run_id)}; "
                f"digitalSourceType {self.source_type}; consent {consent or 'none'}; "
                f"watermark {payload_text(self.payload)}")

    def watermarked(self, picture: np.ndarray) -> np.ndarray:
        """Return a uint8 copy of a picture, uint8 or float in [0, 1], (H, W, 3 or 4), that carries
        the imperceptible watermark of this run and consent. The last step before encoding."""
        out = to_uint8(picture)
        rgb = embed(np.ascontiguousarray(out[..., :3]), self.payload)
        return np.concatenate([rgb, out[..., 3:]], -1)

    def xmp(self) -> str:
        made, line = html.escape(_plain(self.made)), html.escape(self.text())
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
            'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
            'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
            'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" '
            f'Iptc4xmpExt:DigitalSourceType="{IPTC}{self.source_type}" '
            f'xmp:CreatorTool="{html.escape(SOFTWARE)}"><dc:title><rdf:Alt><rdf:li '
            f'xml:lang="x-default">{made}</rdf:li></rdf:Alt></dc:title><dc:description><rdf:Alt>'
            f'<rdf:li xml:lang="x-default">{line}</rdf:li></rdf:Alt></dc:description>'
            '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>')


def _plain(text: str) -> str:
    """Return one line without the separator and without control characters."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f;]+", " ", str(text)).split())[:120] or "unknown"


# Every part has a bound: an unbounded one takes quadratic time on a text of many beginnings.
_LINE = re.compile(r"synthetic, made with (?P<software>[^:;]{1,80}): (?P<made>[^;]{0,200}); "
                   r"run (?P<run_id>[^;]{0,200}); digitalSourceType (?P<source_type>\w{1,64}); "
                   r"consent (?P<consent>\w{1,64})(?:; watermark (?P<watermark>[0-9a-f]{8}))?")


def parse(text: str) -> dict[str, str] | None:
    """Return the fields of the first mark line in `text`, or None."""
    found = _LINE.search(html.unescape(text))
    if not found:
        return None
    out = {key: value or "" for key, value in found.groupdict().items()}
    out["consent"] = "" if out["consent"] == "none" else out["consent"]
    return out
