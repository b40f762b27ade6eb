"""Ready-made prompts for the stylists that read them."""

from __future__ import annotations

NEGATIVE = "blurry, text, frame, extra face, cropped head, hat, hands"

PROMPTS: dict[str, str] = {
    "bronze bust": "a cast bronze bust of this person with a green patina in the folds, museum "
                   "light, plain background",
    "red hair": "the same person with long-dyed copper red hair, natural skin, soft daylight, "
                "plain background",
    "elf": "this person as a forest elf, slender face, pointed ears, pale freckled skin, painted "
           "in oil, plain background",
    "marble": "a white marble head of this person, fine chisel marks, studio light, plain "
              "background",
    "pilot": "this person as the pilot of a worn spaceship, grime on the cheeks, cold rim light, "
             "film still, plain background",
    "old age": "the same person at eighty years, deep wrinkles, white hair, kind eyes, photograph, "
               "plain background",
    "clay": "this person as a plasticine puppet of a stop-motion film, thumb prints in the clay, "
            "plain background",
}


def ready(name: str) -> str:
    """Return the prompt of that name; any other text is a prompt itself."""
    return PROMPTS.get(name.strip().lower(), name)
