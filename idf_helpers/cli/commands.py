"""The commands of `idf`: one module a stage, whose `COMMANDS` maps their names to functions.

Only the settings' classes are imported at the top of these modules; each command loads what it
needs, so that `idf doctor` can still say what is missing, and help is quick.
"""

from . import avatar, machine, main_job, nerf, results, splats, stylize, swap, track

# in the order of `idf --help`
MODULES = (main_job, machine, swap, splats, nerf, track, avatar, stylize, results)
COMMANDS = {name: command for module in MODULES for name, command in module.COMMANDS.items()}
