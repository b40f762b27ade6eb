"""The writers alone, without a scene."""

from idf_helpers.reconstruction.splats.formats.registry import FORMATS, function

WRITERS = {suffix: function(f.writer) for suffix, f in FORMATS.items() if f.writer}
